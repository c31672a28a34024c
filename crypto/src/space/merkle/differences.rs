//! Where two Merkle maps differ.
//!
//! Both are walked together from the root; subtrees with equal roots are equal, and are skipped.

use super::{Link, MerkleMap, parting, side};
use crate::ids::SlotId;

impl MerkleMap {
    /// The slots in which two maps differ, in order. What is equal is skipped, so the cost grows with what differs.
    pub fn differences(&mut self, other: &mut Self) -> Vec<SlotId> {
        let mut found = Vec::new();
        self.compare(self.root, other, other.root, 0, &mut found);
        found
    }

    fn compare(&mut self, ours: Link, other: &mut Self, theirs: Link, level: usize, found: &mut Vec<SlotId>) {
        if self.digest(ours, level) == other.digest(theirs, level) {
            return;
        }
        if let (Link::Branch(a), Link::Branch(b)) = (ours, theirs) {
            let depth = usize::from(self.branches[a as usize].depth.min(other.branches[b as usize].depth));
            let parting = parting(&self.slot_below(ours), &other.slot_below(theirs));
            if parting.is_none_or(|parting| parting >= depth) {
                let (a, b) = (self.sides(ours, depth), other.sides(theirs, depth));
                for (a, b) in a.into_iter().zip(b) {
                    self.compare(a, other, b, depth + 1, found);
                }
                return;
            }
        }
        // They have at most one slot in common: walk both in order, as when merging.
        let (mut a, mut b) = (self.below(ours).peekable(), other.below(theirs).peekable());
        while let Some(slot) = [a.peek(), b.peek()].into_iter().flatten().map(|leaf| leaf.slot).min() {
            let hash_a = a.next_if(|leaf| leaf.slot == slot).map(|leaf| leaf.hash);
            let hash_b = b.next_if(|leaf| leaf.slot == slot).map(|leaf| leaf.hash);
            if hash_a != hash_b {
                found.push(slot);
            }
        }
    }

    /// Both sides at a level at or above the branch: where its slots still agree, one side is empty.
    fn sides(&self, link: Link, level: usize) -> [Link; 2] {
        match link {
            Link::Branch(at) if usize::from(self.branches[at as usize].depth) == level => {
                self.branches[at as usize].sides
            }
            _ => {
                let mut sides = [Link::Empty; 2];
                sides[side(&self.slot_below(link), level)] = link;
                sides
            }
        }
    }
}
