//! What a server can be caught at, and what is merely missing.
//!
//! SPEC.md section 7.6. A [`Violation`] is something that no honest server serves; [`Needs`] is something that an honest one
//! has and that must be fetched first. The two are never mixed up: the one is an incident, the other a request.

use thiserror::Error;

use super::control::ControlError;
use super::header::Place;
use crate::cbor::DecodeError;
use crate::ids::{AccountId, DeviceId};
use crate::sealed::OpenError;

/// What a server did that no honest one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// A commit, slot or page is not in its one form.
    #[error("malformed: {0}")]
    Malformed(DecodeError),
    /// A commit of another space.
    #[error("a commit of another space")]
    WrongSpace,
    /// Commits do not follow each other.
    #[error("commit {found} where {expected} should be")]
    OutOfOrder {
        /// The number that follows.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The server's chain does not contain what this device has seen.
    #[error("the server's history and ours part after commit {}", ours.seq)]
    Fork {
        /// Where this device is.
        ours: Place,
        /// What the server says stands there.
        theirs: Place,
    },
    /// The server's chain ends before what this device has seen.
    #[error("the server is back at commit {}, we know {}", theirs.seq, ours.seq)]
    Rollback {
        /// Where this device is.
        ours: Place,
        /// Where the server says the chain ends.
        theirs: Place,
    },
    /// Bytes are not those that were hashed, or not sealed for this place.
    #[error("substituted: {0}")]
    Substitution(OpenError),
    /// A record whose bytes do not have the hash that came with it.
    #[error("a record does not have the hash that came with it")]
    RecordHash,
    /// The author is no device of the account, or no member.
    #[error("commit {seq} is by an unknown author")]
    UnknownAuthor {
        /// The commit.
        seq: u64,
        /// The device that claims it.
        device: DeviceId,
    },
    /// The author was a device, and is revoked.
    #[error("commit {seq} is by a revoked device")]
    RevokedAuthor {
        /// The commit.
        seq: u64,
        /// The device that claims it.
        device: DeviceId,
    },
    /// The device has not signed the commit.
    #[error("the signature of commit {seq} does not verify")]
    BadSignature {
        /// The commit.
        seq: u64,
    },
    /// The commit names an account state that is not on the account's chain.
    #[error("commit {seq} names an account state that never was")]
    UnknownState {
        /// The commit.
        seq: u64,
    },
    /// The commit names an older account state than one before it.
    #[error("commit {seq} names an older account state than one before it")]
    StateRollback {
        /// The commit.
        seq: u64,
    },
    /// The commit is sealed in another epoch than the one in force.
    #[error("commit {seq} is sealed in another epoch than the one in force")]
    WrongEpoch {
        /// The commit.
        seq: u64,
    },
    /// A member has another identity than the control lists.
    #[error("a member's identity is not the one that was verified")]
    IdentityChanged {
        /// The member.
        account: AccountId,
    },
    /// The author's role does not allow it.
    #[error("commit {seq} is by a member who may not write")]
    NotAllowed {
        /// The commit.
        seq: u64,
    },
    /// The control that the commit names is missing where it must be, or present where it must not.
    #[error("commit {seq} does not name the control that belongs there")]
    WrongControl {
        /// The commit.
        seq: u64,
    },
    /// The members may not be changed like this.
    #[error("commit {seq} breaks a rule of the space: {rule}")]
    Control {
        /// The commit.
        seq: u64,
        /// The rule.
        rule: ControlError,
    },
    /// What was served is not what the newest commit signs: something was left out, added, or put back.
    #[error("what was served is not what the newest commit signs")]
    Incomplete,
    /// A slot of a shared space is gone without a signed deletion.
    #[error("a slot of a shared space is gone without a signed deletion")]
    Vanished,
    /// More than a space may hold.
    #[error("more than a space may hold")]
    TooMuch,
}

/// What must be fetched before a commit can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// The key of this epoch.
    Key {
        /// The epoch.
        epoch: u64,
    },
    /// This version of the account's state, and all between it and what is known.
    State {
        /// The account.
        account: AccountId,
        /// The version.
        version: u64,
    },
    /// The sealed control of this version.
    Control {
        /// The version.
        version: u64,
    },
}

/// Why a commit was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It must not be.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It cannot be judged yet.
    #[error("{0:?} is needed first")]
    Needs(Needs),
}
