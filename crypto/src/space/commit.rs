//! Commits and the head of a space: what the server can check without being able to read.
//!
//! SPEC.md section 7.2.
//!
//! ```text
//! commit  = version ‖ [ space, seq, epoch, prev, sealed header ]
//! head(0) = SHA-256(label ‖ 0x00 ‖ space)
//! head(n) = SHA-256(label ‖ 0x00 ‖ head(n−1) ‖ SHA-256(commit n)),   prev of commit n = head(n−1)
//! ```
//!
//! Because a head depends on earlier commits only through their hashes, 32 bytes a commit are enough to prove
//! ancestry for ever, long after the commits themselves have been pruned.

use crate::cbor::{DecodeError, Decoder, encode_versioned};
use crate::hash;
use crate::ids::{CommitHash, Head, RecordHash, SpaceId};
use crate::labels;

/// The longest a commit may be.
pub const COMMIT_LEN_MAX: usize = 4096;

/// A commit as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The space it belongs to.
    pub space: SpaceId,
    /// Its number: 1 for the first.
    pub seq: u64,
    /// The epoch whose key seals the header.
    pub epoch: u64,
    /// Head of the space before it.
    pub prev: Head,
    /// Who, when, what: for the members of the space.
    pub header: &'a [u8],
}

impl<'a> Commit<'a> {
    /// Reads a commit.
    ///
    /// # Errors
    /// When the bytes are not in the one form that a commit has.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > COMMIT_LEN_MAX {
            return Err(DecodeError::TooLarge);
        }
        let mut d = Decoder::versioned(bytes, 5)?;
        let commit = Self {
            space: d.fixed()?.into(),
            seq: d.uint()?,
            epoch: d.uint()?,
            prev: d.fixed()?.into(),
            header: d.bytes()?,
        };
        d.finish()?;
        Ok(commit)
    }

    /// As it is stored, sent and hashed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_versioned(&[
            (&self.space).into(),
            self.seq.into(),
            self.epoch.into(),
            (&self.prev).into(),
            self.header.into(),
        ])
    }
}

impl CommitHash {
    /// The hash of a commit's bytes.
    #[must_use]
    pub fn of(commit: &[u8]) -> Self {
        Self::new(hash::plain(commit))
    }
}

impl RecordHash {
    /// The hash of a sealed record's bytes.
    #[must_use]
    pub fn of(record: &[u8]) -> Self {
        Self::new(hash::plain(record))
    }
}

impl Head {
    /// The head of an empty space.
    #[must_use]
    pub fn start(space: &SpaceId) -> Self {
        Self::new(hash::labelled(labels::SPACE_START, &[space.as_bytes()]))
    }

    /// The head after one more commit.
    #[must_use]
    pub fn after(&self, commit: &CommitHash) -> Self {
        Self::new(hash::labelled(labels::SPACE_HEAD, &[self.as_bytes(), commit.as_bytes()]))
    }

    /// The head after commits of which only the hashes are left.
    #[must_use]
    pub fn fold<'c>(self, pruned: impl IntoIterator<Item = &'c CommitHash>) -> Self {
        pruned.into_iter().fold(self, |head, commit| head.after(commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit<'static> {
        Commit { space: SpaceId::new([1; 16]), seq: 7, epoch: 2, prev: Head::new([3; 32]), header: b"sealed" }
    }

    #[test]
    fn it_has_one_form() {
        let bytes = commit().to_bytes();
        assert_eq!(Commit::parse(&bytes), Ok(commit()));
        for len in 0..bytes.len() {
            assert!(Commit::parse(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(Commit::parse(&[bytes.as_slice(), &[0]].concat()), Err(DecodeError::Trailing));
        assert_eq!(Commit::parse(&vec![1; COMMIT_LEN_MAX + 1]), Err(DecodeError::TooLarge));
        let mut unknown = bytes;
        unknown[0] = 2;
        assert_eq!(Commit::parse(&unknown), Err(DecodeError::UnknownVersion(2)));
    }

    #[test]
    fn a_head_depends_on_every_commit_and_their_order() {
        let start = Head::start(&SpaceId::new([1; 16]));
        assert_ne!(start, Head::start(&SpaceId::new([2; 16])));
        let hashes = [CommitHash::of(b"a"), CommitHash::of(b"b"), CommitHash::of(b"c")];
        let [a, b, c] = &hashes;
        assert_eq!(start.fold(&hashes), start.after(a).after(b).after(c));
        assert_ne!(start.fold([a, b]), start.fold([b, a]));
        assert_ne!(start.fold([a, b]), start.fold([a]));
    }
}
