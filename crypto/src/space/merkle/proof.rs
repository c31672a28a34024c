//! A proof of what is in one slot, against nothing but the root.
//!
//! SPEC.md section 7.8.
//!
//! ```text
//! proof = version ‖ [ [ sibling, … ], [ slot, hash ]? ]       siblings from the root down
//! ```

use thiserror::Error;

use super::{DEPTH_MAX, EMPTY_ROOT, branch_digest, leaf_digest, side};
use crate::cbor::{DecodeError, Decoder, Item, encode_versioned};
use crate::ids::{RecordHash, SlotId, StateRoot};

/// The hashes beside the path to a slot, and the leaf at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub(super) siblings: Vec<[u8; 32]>,
    pub(super) leaf: Option<(SlotId, RecordHash)>,
}

/// The proof is for another slot or another root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the proof does not lead to this root")]
pub struct BadProof;

impl Proof {
    /// What is in the slot of the map with this root: a record's hash, or nothing.
    ///
    /// # Errors
    /// When the proof does not show that.
    pub fn verify(&self, root: &StateRoot, slot: &SlotId) -> Result<Option<RecordHash>, BadProof> {
        let depth = self.siblings.len();
        let on_path = |leaf: &SlotId| (0..depth).all(|depth| side(leaf, depth) == side(slot, depth));
        let start = match &self.leaf {
            None => EMPTY_ROOT,
            Some((leaf, hash)) if on_path(leaf) => leaf_digest(leaf, hash),
            Some(_) => return Err(BadProof),
        };
        let digest = self.siblings.iter().enumerate().rev().fold(start, |digest, (depth, sibling)| {
            if side(slot, depth) == 0 {
                branch_digest(&digest, sibling)
            } else {
                branch_digest(sibling, &digest)
            }
        });
        if digest != *root.as_bytes() {
            return Err(BadProof);
        }
        Ok(self.leaf.filter(|(leaf, _)| leaf == slot).map(|(_, hash)| hash))
    }

    /// As it is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let siblings = self.siblings.iter().map(Item::from).collect::<Vec<_>>();
        let leaf =
            self.leaf.iter().flat_map(|(slot, hash)| [slot.into(), hash.into()]).collect::<Vec<Item<'_>>>();
        encode_versioned(&[siblings.into(), leaf.into()])
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// When the bytes are not in the one form that a proof has.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut d = Decoder::versioned(bytes, 2)?;
        let siblings = (0..d.array(DEPTH_MAX)?).map(|_| d.fixed()).collect::<Result<_, _>>()?;
        let leaf = match d.array(2)? {
            0 => None,
            2 => Some((d.fixed()?.into(), d.fixed()?.into())),
            _ => return Err(DecodeError::Shape),
        };
        d.finish()?;
        Ok(Self { siblings, leaf })
    }
}
