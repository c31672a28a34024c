//! Records of a shared space: signed by their author, so that no member writes as another.
//!
//! SPEC.md section 7.5. Inside the seal stands
//!
//! ```text
//! content of the record = version ‖ [ body, signature ]
//! body      = [ author, device, state hash, record version, replaced hash, text ]
//! signature = Ed25519 by the device over label ‖ 0x00 ‖ [ version, space, slot, body ]
//! text      = [ bytes ], or [] for a deletion
//! ```
//!
//! A deletion is a signed record too: in a shared space nothing may vanish without a signature, for a member who works
//! with the server could otherwise delete what is not its own. The record's version and the hash of what it
//! replaces keep an older record of somebody else from being put back.

use thiserror::Error;

use super::control::{Member, Role};
use crate::account::keys::DeviceSecret;
use crate::account::state::VerifiedState;
use crate::cbor::{DecodeError, Decoder, Item, encode, encode_versioned};
use crate::ids::{AccountId, AccountStateHash, DeviceId, RecordHash, SlotId, SpaceId};
use crate::labels;
use crate::signing::{BadSignature, Signature};

/// The highest version of a record that still says something. A deletion may go beyond, so that nobody can put a record
/// out of an admin's reach by giving it the highest number there is.
pub const LIVE_VERSION_MAX: u64 = 1 << 32;

/// Who wrote a record, and where it stands in the history of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorship {
    /// The account that wrote it.
    pub author: AccountId,
    /// The device that signed it.
    pub device: DeviceId,
    /// The author's account state in which the device is listed.
    pub state: AccountStateHash,
    /// 1 for the first record of a slot, then one more each time.
    pub version: u64,
    /// Hash of the sealed record that this one replaces; zeros for the first.
    pub replaces: RecordHash,
}

/// A record of a shared space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRecord {
    /// Who wrote it.
    pub authorship: Authorship,
    /// What it says; nothing if it deletes the slot.
    pub content: Option<Vec<u8>>,
}

/// A record that has been read; its signature is yet to be verified.
#[derive(Clone, Debug)]
pub struct UnverifiedRecord {
    record: SharedRecord,
    message: Vec<u8>,
    signature: Signature,
}

/// Why a record of a shared space is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SharedRecordError {
    /// The account state that it names is not the one given, or does not list the device.
    #[error("the record is not by a device of its author")]
    UnknownAuthor,
    /// The device has not signed it.
    #[error("the record's signature does not verify")]
    BadSignature,
    /// It does not follow what is known of its slot: an older record put back, or a branch.
    #[error("the record does not follow what is known of its slot")]
    Rollback,
    /// The author's role does not allow it.
    #[error("the author may not do this")]
    NotAllowed,
}

impl SharedRecord {
    /// Signs the record; the result is the content of a sealed record.
    #[must_use]
    pub fn sign(&self, space: &SpaceId, slot: &SlotId, device: &DeviceSecret) -> Vec<u8> {
        let body = self.body();
        let signature = device.signing.sign(labels::SHARED_RECORD_SIGNATURE, &message(space, slot, &body));
        encode_versioned(&[body.as_slice().into(), (&signature).into()])
    }

    /// Reads the content of a sealed record.
    ///
    /// # Errors
    /// When it is not in the one form that a signed record has.
    pub fn parse(space: &SpaceId, slot: &SlotId, content: &[u8]) -> Result<UnverifiedRecord, DecodeError> {
        let mut d = Decoder::versioned(content, 2)?;
        let (body, signature) = (d.bytes()?, d.fixed()?);
        d.finish()?;
        let mut d = Decoder::new(body, 6)?;
        let authorship = Authorship {
            author: d.fixed()?.into(),
            device: d.fixed()?.into(),
            state: d.fixed()?.into(),
            version: d.uint()?,
            replaces: d.fixed()?.into(),
        };
        let content = (d.array(1)? == 1).then(|| d.bytes()).transpose()?.map(<[u8]>::to_vec);
        d.finish()?;
        let message = message(space, slot, body);
        Ok(UnverifiedRecord { record: Self { authorship, content }, message, signature })
    }

    fn body(&self) -> Vec<u8> {
        let content = self.content.iter().map(|content| Item::Bytes(content)).collect::<Vec<_>>();
        encode(&[
            (&self.authorship.author).into(),
            (&self.authorship.device).into(),
            (&self.authorship.state).into(),
            self.authorship.version.into(),
            (&self.authorship.replaces).into(),
            content.into(),
        ])
    }

    /// Whether the author, in this role, may put this record where `before` stood. `before` is the authorship and the
    /// hash of the record that this device knows in the slot, if it knows one.
    ///
    /// # Errors
    /// Says whether it is a role that is missing or the order that is wrong.
    pub fn check_after(
        &self,
        before: Option<(&Authorship, &RecordHash)>,
        role: Role,
    ) -> Result<(), SharedRecordError> {
        let Authorship { author, version, replaces, .. } = &self.authorship;
        let too_far = self.content.is_some() && *version > LIVE_VERSION_MAX;
        if role < Role::Writer || too_far {
            return Err(SharedRecordError::NotAllowed);
        }
        // What was replaced unseen in between cannot be checked; what is one step on can.
        let follows = match before {
            None => *version >= 1 && (*version > 1 || replaces.as_bytes() == &[0; 32]),
            Some((old, hash)) if version.checked_sub(1) == Some(old.version) => replaces == hash,
            Some((old, _)) => *version > old.version,
        };
        if !follows {
            return Err(SharedRecordError::Rollback);
        }
        let own = before.is_none_or(|(old, _)| old.author == *author);
        let allowed = own || (role == Role::Admin && self.content.is_none());
        if allowed { Ok(()) } else { Err(SharedRecordError::NotAllowed) }
    }
}

impl UnverifiedRecord {
    /// What it claims: enough to find the account state of its author.
    #[must_use]
    pub fn claims(&self) -> &Authorship {
        &self.record.authorship
    }

    /// Believes the record because a device of its author, live in the state that it names, signed it. The state is one of
    /// the author's history, under the identity that the space's control lists.
    ///
    /// `named` is the newest state of the author that commits had named where this pull began: what changed since cannot be
    /// by a device that was barred before. A barrier within the pull, and a device that starts afresh, are beyond this.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(
        self,
        state: &VerifiedState,
        member: &Member,
        named: Option<&VerifiedState>,
    ) -> Result<SharedRecord, SharedRecordError> {
        let claims = self.record.authorship;
        let known = state.hash() == claims.state && state.state().account == claims.author;
        let listed = member.account == claims.author && member.identity == state.state().identity;
        let barred = named.is_some_and(|named| {
            named.state().version > state.state().version
                && named.state().live_device(&claims.device).is_none()
        });
        if !known || !listed || barred {
            return Err(SharedRecordError::UnknownAuthor);
        }
        let device = state.state().live_device(&claims.device).ok_or(SharedRecordError::UnknownAuthor)?;
        device
            .keys
            .signing
            .verify(labels::SHARED_RECORD_SIGNATURE, &self.message, &self.signature)
            .map_err(|BadSignature| SharedRecordError::BadSignature)?;
        Ok(self.record)
    }
}

fn message(space: &SpaceId, slot: &SlotId, body: &[u8]) -> Vec<u8> {
    encode(&[u64::from(crate::VERSION).into(), space.into(), slot.into(), body.into()])
}

#[cfg(test)]
mod tests;
