//! The Merkle map over the live slots of a space: one root that says exactly what is there.
//!
//! SPEC.md section 7.8.
//!
//! ```text
//! root of nothing = 32 zero bytes
//! root of one     = SHA-256(0x00 ‖ slot ‖ record hash)
//! root of more    = SHA-256(0x01 ‖ root of those with the next bit 0 ‖ root of those with the next bit 1)
//! ```
//!
//! The shape depends on the content alone, so the order of changes does not matter. Changes only mark their path;
//! [`MerkleMap::root`] hashes each marked node once, however many changes went through it.
//!
//! Only branches with entries on both sides are kept, one fewer than there are entries. Those with an empty side, of
//! which slots with a long common prefix make up to 127, are hashed when needed: whoever chooses slots can
//! cost us hashes, but no memory.

use std::cmp::Reverse;

use crate::hash;
use crate::ids::{RecordHash, SlotId, StateRoot};

mod differences;
mod proof;
pub use proof::{BadProof, Proof};

/// Bits in a slot, and so the greatest depth.
const DEPTH_MAX: usize = SlotId::LEN * 8;
const EMPTY_ROOT: [u8; 32] = [0; 32];

/// The live slots of a space with the hashes of their sealed records.
#[derive(Clone, Debug, Default)]
pub struct MerkleMap {
    root: Link,
    leaves: Vec<Leaf>,
    branches: Vec<Branch>,
    free_leaves: Vec<u32>,
    free_branches: Vec<u32>,
}

/// A child: nothing (only of an empty map), the only entry of its subtree, or two or more entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Empty,
    Leaf(u32),
    Branch(u32),
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    slot: SlotId,
    hash: RecordHash,
}

/// Where slots part: neither side is empty.
#[derive(Clone, Debug)]
struct Branch {
    sides: [Link; 2],
    /// The bit in which the two sides differ, and below which all slots here agree.
    depth: u8,
    /// The level at which `digest` is the root of these entries; a change below makes it [`STALE`].
    level: u8,
    digest: [u8; 32],
}

const STALE: u8 = u8::MAX;

impl MerkleMap {
    /// A map without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many slots are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leaves.len() - self.free_leaves.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many hashes of two children stand under the root. Counts them: for measurements.
    #[must_use]
    pub fn branches(&self) -> usize {
        let (mut count, mut stack) = (0, vec![(self.root, 0)]);
        while let Some((link, level)) = stack.pop() {
            if let Link::Branch(at) = link {
                let Branch { sides, depth, .. } = self.branches[at as usize];
                let below = usize::from(depth) + 1;
                count += below - level;
                stack.extend(sides.map(|side| (side, below)));
            }
        }
        count
    }

    /// The hash of the record in a slot.
    #[must_use]
    pub fn get(&self, slot: &SlotId) -> Option<RecordHash> {
        let leaf = self.leaf(self.nearest(slot)?);
        (leaf.slot == *slot).then_some(leaf.hash)
    }

    /// Puts a record into a slot; gives the hash that stood there.
    pub fn insert(&mut self, slot: SlotId, hash: RecordHash) -> Option<RecordHash> {
        let Some(near) = self.nearest(&slot) else {
            self.root = Link::Leaf(self.add_leaf(Leaf { slot, hash }));
            return None;
        };
        let Some(parting) = parting(&slot, &self.leaf(near).slot) else {
            self.mark(&slot, DEPTH_MAX);
            return Some(std::mem::replace(&mut self.leaves[near as usize].hash, hash));
        };
        let above = self.mark(&slot, parting);
        let leaf = Link::Leaf(self.add_leaf(Leaf { slot, hash }));
        let other = above.map_or(self.root, |at| self.child(at, &slot));
        let sides = if side(&slot, parting) == 0 { [leaf, other] } else { [other, leaf] };
        let branch = self.add_branch(sides, parting, STALE, EMPTY_ROOT);
        self.attach(above, &slot, branch);
        None
    }

    /// Empties a slot; gives the hash that stood there.
    pub fn remove(&mut self, slot: &SlotId) -> Option<RecordHash> {
        let leaf = self.nearest(slot)?;
        let Leaf { slot: found, hash } = *self.leaf(leaf);
        if found != *slot {
            return None;
        }
        self.free_leaves.push(leaf);
        match self.mark(slot, DEPTH_MAX) {
            None => self.root = Link::Empty,
            // The branch is left with one side, and gives way to it.
            Some(at) => {
                let Branch { sides, depth, .. } = self.branches[at as usize];
                let above = self.mark(slot, depth.into());
                self.attach(above, slot, sides[1 - side(slot, depth.into())]);
                self.free_branches.push(at);
            }
        }
        Some(hash)
    }

    /// All entries, in order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, RecordHash)> + '_ {
        self.below(self.root).map(|leaf| (leaf.slot, leaf.hash))
    }

    /// The root over everything that is there.
    pub fn root(&mut self) -> StateRoot {
        StateRoot::new(self.digest(self.root, 0))
    }

    /// A proof of what is, or is not, in a slot.
    pub fn prove(&mut self, slot: &SlotId) -> Proof {
        let (mut siblings, mut link) = (Vec::new(), self.root);
        while let Link::Branch(at) = link {
            let Branch { sides, depth, .. } = self.branches[at as usize];
            let depth = usize::from(depth);
            let parting = parting(slot, &self.slot_below(link)).filter(|parting| *parting < depth);
            siblings.resize(parting.unwrap_or(depth), EMPTY_ROOT);
            if let Some(parting) = parting {
                siblings.push(self.digest(link, parting + 1));
                return Proof { siblings, leaf: None };
            }
            let taken = side(slot, depth);
            siblings.push(self.digest(sides[1 - taken], depth + 1));
            link = sides[taken];
        }
        let leaf = match link {
            Link::Leaf(leaf) => Some((self.leaf(leaf).slot, self.leaf(leaf).hash)),
            _ => None,
        };
        Proof { siblings, leaf }
    }

    fn below(&self, link: Link) -> impl Iterator<Item = &Leaf> {
        let mut stack = vec![link];
        std::iter::from_fn(move || {
            loop {
                match stack.pop()? {
                    Link::Empty => {}
                    Link::Leaf(leaf) => return Some(self.leaf(leaf)),
                    Link::Branch(branch) => {
                        let [zero, one] = self.branches[branch as usize].sides;
                        stack.extend([one, zero]);
                    }
                }
            }
        })
    }

    /// Of the entries, one that shares as many leading bits with the slot as any does.
    fn nearest(&self, slot: &SlotId) -> Option<u32> {
        let mut link = self.root;
        loop {
            match link {
                Link::Empty => return None,
                Link::Leaf(leaf) => return Some(leaf),
                Link::Branch(at) => link = self.child(at, slot),
            }
        }
    }

    /// Marks the branches on the way to a slot, down to those above `depth`; gives the last.
    fn mark(&mut self, slot: &SlotId, depth: usize) -> Option<u32> {
        let (mut link, mut last) = (self.root, None);
        while let Link::Branch(at) = link {
            let branch = &mut self.branches[at as usize];
            if usize::from(branch.depth) >= depth {
                break;
            }
            branch.level = STALE;
            last = Some(at);
            link = self.child(at, slot);
        }
        last
    }

    /// Hangs a subtree under a branch, or makes it the whole.
    fn attach(&mut self, above: Option<u32>, slot: &SlotId, subtree: Link) {
        match above {
            None => self.root = subtree,
            Some(at) => {
                let Branch { sides, depth, .. } = &mut self.branches[at as usize];
                sides[side(slot, usize::from(*depth))] = subtree;
            }
        }
    }

    fn child(&self, at: u32, slot: &SlotId) -> Link {
        let branch = &self.branches[at as usize];
        branch.sides[side(slot, branch.depth.into())]
    }

    /// Some slot of a subtree; it has the bits in which they all agree.
    fn slot_below(&self, mut link: Link) -> SlotId {
        loop {
            match link {
                Link::Branch(at) => link = self.branches[at as usize].sides[0],
                Link::Leaf(leaf) => return self.leaf(leaf).slot,
                Link::Empty => unreachable!("no side of a branch is empty"),
            }
        }
    }

    /// Builds a subtree over sorted leaves, hashing on the way up, while the children are still at hand.
    fn build(&mut self, from: usize, to: usize, level: usize) -> (Link, [u8; 32]) {
        match &self.leaves[from..to] {
            [] => (Link::Empty, EMPTY_ROOT),
            [leaf] => (Link::Leaf(index(from)), leaf_digest(&leaf.slot, &leaf.hash)),
            leaves @ [first, .., last] => {
                let slot = first.slot;
                let depth = parting(&slot, &last.slot).expect("the slots are sorted and none comes twice");
                let middle = from + leaves.partition_point(|leaf| side(&leaf.slot, depth) == 0);
                let (zero, zero_digest) = self.build(from, middle, depth + 1);
                let (one, one_digest) = self.build(middle, to, depth + 1);
                let digest = raise(branch_digest(&zero_digest, &one_digest), &slot, depth, level);
                (self.add_branch([zero, one], depth, level_byte(level), digest), digest)
            }
        }
    }

    /// The root of a subtree, seen from a level. Depth is at most 128, and so is the recursion.
    fn digest(&mut self, link: Link, level: usize) -> [u8; 32] {
        match link {
            Link::Empty => EMPTY_ROOT,
            Link::Leaf(leaf) => leaf_digest(&self.leaf(leaf).slot, &self.leaf(leaf).hash),
            Link::Branch(at) => {
                let Branch { sides, depth, level: known, digest } = self.branches[at as usize];
                if known == level_byte(level) {
                    return digest;
                }
                let depth = usize::from(depth);
                let mut digest =
                    branch_digest(&self.digest(sides[0], depth + 1), &self.digest(sides[1], depth + 1));
                if level < depth {
                    digest = raise(digest, &self.slot_below(link), depth, level);
                }
                let branch = &mut self.branches[at as usize];
                (branch.level, branch.digest) = (level_byte(level), digest);
                digest
            }
        }
    }

    fn leaf(&self, leaf: u32) -> &Leaf {
        &self.leaves[leaf as usize]
    }

    fn add_leaf(&mut self, leaf: Leaf) -> u32 {
        add(&mut self.leaves, &mut self.free_leaves, leaf)
    }

    fn add_branch(&mut self, sides: [Link; 2], depth: usize, level: u8, digest: [u8; 32]) -> Link {
        let branch = Branch { sides, depth: level_byte(depth), level, digest };
        Link::Branch(add(&mut self.branches, &mut self.free_branches, branch))
    }
}

impl FromIterator<(SlotId, RecordHash)> for MerkleMap {
    /// Builds a map at once. A slot should come once; of several the one with the greatest hash counts, in whatever order
    /// they come.
    fn from_iter<T: IntoIterator<Item = (SlotId, RecordHash)>>(entries: T) -> Self {
        let mut leaves: Vec<Leaf> = entries.into_iter().map(|(slot, hash)| Leaf { slot, hash }).collect();
        leaves.sort_unstable_by_key(|leaf| (u128::from_be_bytes(*leaf.slot.as_bytes()), Reverse(leaf.hash)));
        leaves.dedup_by_key(|leaf| leaf.slot);
        let len = leaves.len();
        let mut map = Self { leaves, branches: Vec::with_capacity(len.saturating_sub(1)), ..Self::default() };
        map.root = map.build(0, len, 0).0;
        map
    }
}

/// The first bit in which two slots differ.
fn parting(a: &SlotId, b: &SlotId) -> Option<usize> {
    let differing = u128::from_be_bytes(*a.as_bytes()) ^ u128::from_be_bytes(*b.as_bytes());
    (differing != 0).then_some(differing.leading_zeros() as usize)
}

/// From the depth of a branch up to a level, past branches of which one side is empty.
fn raise(digest: [u8; 32], slot: &SlotId, depth: usize, level: usize) -> [u8; 32] {
    (level..depth).rev().fold(digest, |digest, level| {
        if side(slot, level) == 0 {
            branch_digest(&digest, &EMPTY_ROOT)
        } else {
            branch_digest(&EMPTY_ROOT, &digest)
        }
    })
}

fn level_byte(level: usize) -> u8 {
    u8::try_from(level).expect("a slot has 128 bits")
}

fn side(slot: &SlotId, depth: usize) -> usize {
    usize::from(slot.as_bytes()[depth / 8] >> (7 - depth % 8) & 1)
}

fn leaf_digest(slot: &SlotId, hash: &RecordHash) -> [u8; 32] {
    let mut bytes = [0; 1 + SlotId::LEN + RecordHash::LEN];
    bytes[1..=SlotId::LEN].copy_from_slice(slot.as_bytes());
    bytes[1 + SlotId::LEN..].copy_from_slice(hash.as_bytes());
    hash::plain(&bytes)
}

fn branch_digest(zero: &[u8; 32], one: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(zero);
    bytes[33..].copy_from_slice(one);
    hash::plain(&bytes)
}

fn add<T>(arena: &mut Vec<T>, free: &mut Vec<u32>, item: T) -> u32 {
    if let Some(at) = free.pop() {
        arena[at as usize] = item;
        return at;
    }
    arena.push(item);
    index(arena.len() - 1)
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a space has at most 4,000,000 slots")
}

#[cfg(test)]
mod tests;
