//! Incidents: what a server was caught at, with the evidence.
//!
//! The rule for all of them is one: on the wire the failure is an ordinary disconnect; local data stays byte for byte as it
//! was; the incident is kept, sealed, for the app to show. Names are stable: an app may store and compare them.

use std::fmt;

use alcove_crypto::space::violation::Violation;
use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What a server was caught at, or had to be helped with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum IncidentKind {
            $($(#[$doc])* $name,)*
        }

        impl IncidentKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }

        impl fmt::Display for IncidentKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

kinds! {
    /// Its history and ours part: both are verified, and nothing was merged. Merge them on request.
    Fork = "the server's history and ours part";
    /// It is back at a place before what this device has seen. An operator who restored a backup looks like this; what was
    /// lost was put back.
    Rollback = "the server had lost commits";
    /// It had lost states of the account, or the account; they were put back.
    AccountRollback = "the server had lost the account's newest state";
    /// A commit or record was exchanged for another, or altered.
    Substitution = "something was exchanged or altered";
    /// What was served is not what the newest commit signs.
    Incomplete = "something was left out, added, or put back";
    /// A commit by somebody who is no device of the account.
    UnknownAuthor = "a commit by an unknown device";
    /// A commit by a device that was revoked.
    RevokedAuthor = "a commit by a revoked device";
    /// A signature that does not verify.
    BadSignature = "a signature does not verify";
    /// An account state that never was, or does not follow.
    UnknownState = "an account state that does not follow";
    /// An older account state, suite or version than one seen before.
    Downgrade = "something older than what was seen before";
    /// An identity that is not the one that was verified.
    IdentityChanged = "the identity of an account changed";
    /// A key that is not the one that was committed to.
    WrongKey = "a key that was not committed to";
    /// A change that the author may not make.
    NotAllowed = "a change that its author may not make";
    /// An answer that is not in its one form, or not about what was asked.
    Malformed = "an answer that is malformed";
    /// More than any account may hold.
    TooMuch = "more than an account may hold";
    /// A commit under this device's own key that it never made: its store was cloned.
    Cloned = "another store writes under this device's keys";
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What it was.
    pub kind: IncidentKind,
    /// When this device noticed, in milliseconds since 1970.
    pub at_ms: u64,
    /// What exactly, for people.
    pub detail: String,
    /// How often it happened in a row.
    pub count: u32,
    /// What the server sent, as far as it can be kept: for whoever looks into it.
    pub evidence: Vec<u8>,
}

impl From<&Violation> for IncidentKind {
    fn from(violation: &Violation) -> Self {
        match violation {
            Violation::Fork { .. } => Self::Fork,
            Violation::Rollback { .. } => Self::Rollback,
            Violation::WrongSpace | Violation::Substitution(_) | Violation::RecordHash => Self::Substitution,
            Violation::UnknownAuthor { .. } => Self::UnknownAuthor,
            Violation::RevokedAuthor { .. } => Self::RevokedAuthor,
            Violation::BadSignature { .. } => Self::BadSignature,
            Violation::UnknownState { .. } => Self::UnknownState,
            Violation::StateRollback { .. } | Violation::WrongEpoch { .. } => Self::Downgrade,
            Violation::IdentityChanged { .. } => Self::IdentityChanged,
            Violation::NotAllowed { .. } | Violation::WrongControl { .. } | Violation::Control { .. } => {
                Self::NotAllowed
            }
            Violation::Incomplete | Violation::Vanished | Violation::OutOfOrder { .. } => Self::Incomplete,
            Violation::TooMuch => Self::TooMuch,
            _ => Self::Malformed,
        }
    }
}
