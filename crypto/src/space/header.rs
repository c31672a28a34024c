//! The header of a commit: who wrote when, and what the space holds after it. Signed, then sealed.
//!
//! SPEC.md section 7.3.
//!
//! ```text
//! header    = [ author, device, state version, state hash, [ control version, control hash ]?, state root, time,
//!               [ [ space, seq, head ], … ], [ [ seq, head ], … ] ]
//! signature = Ed25519 by the device over label ‖ 0x00 ‖ [ version, space, seq, epoch, prev, header ]
//! sealed    = seal(key of the epoch, [ label, version, space, seq, epoch, prev ],
//!                  [ header, signature ] padded to a multiple of 256)
//! ```
//!
//! Signing first keeps the signature from the server, which so holds no diary of who wrote when.

use rand_core::CryptoRng;

use super::commit::Commit;
use super::keys::SpaceKey;
use crate::account::keys::DeviceSecret;
use crate::cbor::{Decoder, Item, encode};
use crate::hash::context;
use crate::ids::{AccountId, AccountStateHash, ControlHash, DeviceId, Head, SpaceId, StateRoot};
use crate::labels;
use crate::sealed::{self, OpenError};
use crate::signing::{BadSignature, Signature, VerifyingKey};

/// Heads of other spaces that one header may name.
pub const OTHER_HEADS_MAX: usize = 16;
/// Heads that one header may join after a repair.
pub const JOINED_HEADS_MAX: usize = 8;
const PADDING: u64 = 256;

/// A place in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of the newest commit.
    pub seq: u64,
    /// Head after it.
    pub head: Head,
}

/// What a commit says to the members of its space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The account that wrote it.
    pub author: AccountId,
    /// The device that signed it.
    pub device: DeviceId,
    /// Version and hash of the author's account state, as the device knew it.
    pub state: (u64, AccountStateHash),
    /// In a shared space: version and hash of the control after this commit.
    pub control: Option<(u64, ControlHash)>,
    /// Merkle root over all live slots after this commit.
    pub root: StateRoot,
    /// The device's clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// Heads of other spaces that the device knew: they must be on those spaces' chains.
    pub other_heads: Vec<(SpaceId, Place)>,
    /// After a repair: the heads of the branches that this commit joins.
    pub joined: Vec<Place>,
}

/// A header that was opened; its signature is yet to be verified under the key of the device it names.
#[derive(Clone, Debug)]
pub struct UnverifiedHeader {
    header: Header,
    message: Vec<u8>,
    signature: Signature,
}

impl Header {
    /// Signs and seals the header, giving the bytes of the commit that follows `at`.
    #[must_use]
    pub fn seal(
        &self,
        space: &SpaceId,
        at: &Place,
        key: &SpaceKey,
        device: &DeviceSecret,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let mut commit =
            Commit { space: *space, seq: at.seq + 1, epoch: key.epoch, prev: at.head, header: &[] };
        let header = self.encode();
        let signature = device.signing.sign(labels::COMMIT_SIGNATURE, &signed_message(&commit, &header));
        let plaintext = encode(&[header.as_slice().into(), (&signature).into()]);
        let sealed = sealed::seal_padded(&key.key, &header_context(&commit), &plaintext, to_multiple, rng);
        commit.header = &sealed;
        commit.to_bytes()
    }

    /// Opens the header of a commit.
    ///
    /// # Errors
    /// When it was not sealed under this key for this place in the chain.
    pub fn open(commit: &Commit<'_>, key: &SpaceKey) -> Result<UnverifiedHeader, OpenError> {
        let plaintext = sealed::open_padded(&key.key, &header_context(commit), commit.header, to_multiple)?;
        let mut d = Decoder::new(&plaintext, 2)?;
        let (header, signature) = (d.bytes()?, d.fixed()?);
        d.finish()?;
        Ok(UnverifiedHeader {
            header: Self::decode(header)?,
            message: signed_message(commit, header),
            signature,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let control = self
            .control
            .iter()
            .flat_map(|(version, hash)| [Item::Uint(*version), hash.into()])
            .collect::<Vec<_>>();
        let other_heads = self
            .other_heads
            .iter()
            .map(|(space, at)| vec![space.into(), at.seq.into(), (&at.head).into()].into())
            .collect::<Vec<Item<'_>>>();
        let joined = self
            .joined
            .iter()
            .map(|at| vec![at.seq.into(), (&at.head).into()].into())
            .collect::<Vec<Item<'_>>>();
        encode(&[
            (&self.author).into(),
            (&self.device).into(),
            self.state.0.into(),
            (&self.state.1).into(),
            control.into(),
            (&self.root).into(),
            self.time_ms.into(),
            other_heads.into(),
            joined.into(),
        ])
    }

    fn decode(bytes: &[u8]) -> Result<Self, crate::cbor::DecodeError> {
        let mut d = Decoder::new(bytes, 9)?;
        let author = d.fixed()?.into();
        let device = d.fixed()?.into();
        let state = (d.uint()?, d.fixed()?.into());
        let control = match d.array(2)? {
            0 => None,
            2 => Some((d.uint()?, d.fixed()?.into())),
            _ => return Err(crate::cbor::DecodeError::Shape),
        };
        let root = d.fixed()?.into();
        let time_ms = d.uint()?;
        let mut other_heads = Vec::new();
        for _ in 0..d.array(OTHER_HEADS_MAX)? {
            d.array_of(3)?;
            other_heads.push((d.fixed()?.into(), Place { seq: d.uint()?, head: d.fixed()?.into() }));
        }
        let mut joined = Vec::new();
        for _ in 0..d.array(JOINED_HEADS_MAX)? {
            d.array_of(2)?;
            joined.push(Place { seq: d.uint()?, head: d.fixed()?.into() });
        }
        d.finish()?;
        Ok(Self { author, device, state, control, root, time_ms, other_heads, joined })
    }
}

impl UnverifiedHeader {
    /// What it claims: enough to find the key that must have signed it.
    #[must_use]
    pub fn claims(&self) -> &Header {
        &self.header
    }

    /// Believes the header because the device signed it.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(self, device: &VerifyingKey) -> Result<Header, BadSignature> {
        device.verify(labels::COMMIT_SIGNATURE, &self.message, &self.signature)?;
        Ok(self.header)
    }
}

impl Place {
    /// The place of an empty space.
    #[must_use]
    pub fn start(space: &SpaceId) -> Self {
        Self { seq: 0, head: Head::start(space) }
    }
}

fn to_multiple(len: u64) -> u64 {
    len.next_multiple_of(PADDING)
}

fn signed_message(commit: &Commit<'_>, header: &[u8]) -> Vec<u8> {
    encode(&[
        u64::from(crate::VERSION).into(),
        (&commit.space).into(),
        commit.seq.into(),
        commit.epoch.into(),
        (&commit.prev).into(),
        header.into(),
    ])
}

fn header_context(commit: &Commit<'_>) -> Vec<u8> {
    context(
        labels::COMMIT_HEADER,
        &[(&commit.space).into(), commit.seq.into(), commit.epoch.into(), (&commit.prev).into()],
    )
}

#[cfg(test)]
mod tests;
