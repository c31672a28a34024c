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

use std::cmp::Reverse;

use crate::hash;
use crate::ids::{RecordHash, SlotId, StateRoot};

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

/// A child: nothing, the only entry of its subtree, or two or more entries.
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

#[derive(Clone, Debug)]
struct Branch {
    sides: [Link; 2],
    /// Stale while a change below has not been hashed yet.
    digest: Option<[u8; 32]>,
}

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

    /// Inner nodes: as many hashes of two children stand under the root.
    #[must_use]
    pub fn branches(&self) -> usize {
        self.branches.len() - self.free_branches.len()
    }

    /// The hash of the record in a slot.
    #[must_use]
    pub fn get(&self, slot: &SlotId) -> Option<RecordHash> {
        let mut link = self.root;
        for depth in 0.. {
            match link {
                Link::Empty => return None,
                Link::Leaf(leaf) => {
                    let leaf = self.leaf(leaf);
                    return (leaf.slot == *slot).then_some(leaf.hash);
                }
                Link::Branch(branch) => link = self.branches[branch as usize].sides[side(slot, depth)],
            }
        }
        None
    }

    /// Puts a record into a slot; gives the hash that stood there.
    pub fn insert(&mut self, slot: SlotId, hash: RecordHash) -> Option<RecordHash> {
        let mut path = Vec::new();
        match self.descend(&slot, &mut path) {
            Link::Leaf(leaf) if self.leaf(leaf).slot == slot => {
                Some(std::mem::replace(&mut self.leaves[leaf as usize].hash, hash))
            }
            Link::Leaf(other) => {
                let leaf = self.add_leaf(Leaf { slot, hash });
                let subtree = self.part(other, leaf, path.len());
                self.attach(&slot, &path, subtree);
                None
            }
            _ => {
                let leaf = self.add_leaf(Leaf { slot, hash });
                self.attach(&slot, &path, Link::Leaf(leaf));
                None
            }
        }
    }

    /// Empties a slot; gives the hash that stood there.
    pub fn remove(&mut self, slot: &SlotId) -> Option<RecordHash> {
        let mut path = Vec::new();
        let Link::Leaf(leaf) = self.descend(slot, &mut path) else { return None };
        let Leaf { slot: found, hash } = *self.leaf(leaf);
        if found != *slot {
            return None;
        }
        self.free_leaves.push(leaf);
        let mut subtree = Link::Empty;
        // A branch that is left with a single entry gives way to it, and so may the one above.
        while let Some(branch) = path.last().copied() {
            let sibling = self.branches[branch as usize].sides[1 - side(slot, path.len() - 1)];
            subtree = match (subtree, sibling) {
                (Link::Empty, Link::Leaf(_)) => sibling,
                (Link::Leaf(_), Link::Empty) => subtree,
                _ => break,
            };
            self.free_branches.push(branch);
            path.pop();
        }
        self.attach(slot, &path, subtree);
        Some(hash)
    }

    /// All entries, in order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, RecordHash)> + '_ {
        self.below(self.root).map(|leaf| (leaf.slot, leaf.hash))
    }

    /// The root over everything that is there.
    pub fn root(&mut self) -> StateRoot {
        StateRoot::new(self.digest(self.root))
    }

    /// A proof of what is, or is not, in a slot.
    pub fn prove(&mut self, slot: &SlotId) -> Proof {
        let mut siblings = Vec::new();
        let mut link = self.root;
        while let Link::Branch(branch) = link {
            let sides = self.branches[branch as usize].sides;
            let taken = side(slot, siblings.len());
            siblings.push(self.digest(sides[1 - taken]));
            link = sides[taken];
        }
        let leaf = match link {
            Link::Leaf(leaf) => Some((self.leaf(leaf).slot, self.leaf(leaf).hash)),
            _ => None,
        };
        Proof::new(siblings, leaf)
    }

    /// The slots in which two maps differ, in order. What is equal is skipped, so the cost grows with what differs.
    pub fn differences(&mut self, other: &mut Self) -> Vec<SlotId> {
        let mut found = Vec::new();
        self.compare(self.root, other, other.root, &mut found);
        found
    }

    fn compare(&mut self, ours: Link, other: &mut Self, theirs: Link, found: &mut Vec<SlotId>) {
        if self.digest(ours) == other.digest(theirs) {
            return;
        }
        if let (Link::Branch(a), Link::Branch(b)) = (ours, theirs) {
            let (a, b) = (self.branches[a as usize].sides, other.branches[b as usize].sides);
            for (a, b) in a.into_iter().zip(b) {
                self.compare(a, other, b, found);
            }
            return;
        }
        // One side is a single entry or nothing: walk both in order, as when merging.
        let (mut a, mut b) = (self.below(ours).peekable(), other.below(theirs).peekable());
        while let Some(slot) = [a.peek(), b.peek()].into_iter().flatten().map(|leaf| leaf.slot).min() {
            let hash_a = a.next_if(|leaf| leaf.slot == slot).map(|leaf| leaf.hash);
            let hash_b = b.next_if(|leaf| leaf.slot == slot).map(|leaf| leaf.hash);
            if hash_a != hash_b {
                found.push(slot);
            }
        }
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

    /// Follows a slot down as far as there are branches, marking them; gives what stands at the end.
    fn descend(&mut self, slot: &SlotId, path: &mut Vec<u32>) -> Link {
        let mut link = self.root;
        while let Link::Branch(branch) = link {
            let taken = side(slot, path.len());
            path.push(branch);
            let branch = &mut self.branches[branch as usize];
            branch.digest = None;
            link = branch.sides[taken];
        }
        link
    }

    /// Hangs a subtree where the path ends.
    fn attach(&mut self, slot: &SlotId, path: &[u32], subtree: Link) {
        match path.last() {
            None => self.root = subtree,
            Some(branch) => self.branches[*branch as usize].sides[side(slot, path.len() - 1)] = subtree,
        }
    }

    /// The branches from `depth` down to where two leaves part.
    fn part(&mut self, a: u32, b: u32, depth: usize) -> Link {
        let (slot_a, slot_b) = (self.leaf(a).slot, self.leaf(b).slot);
        let parting = (depth..DEPTH_MAX).find(|depth| side(&slot_a, *depth) != side(&slot_b, *depth));
        let parting = parting.expect("two different slots differ in some bit, and agree in those above");
        let mut sides = [Link::Leaf(a), Link::Leaf(b)];
        if side(&slot_a, parting) == 1 {
            sides.reverse();
        }
        let mut link = self.add_branch(sides, None);
        for depth in (depth..parting).rev() {
            let mut sides = [Link::Empty; 2];
            sides[side(&slot_a, depth)] = link;
            link = self.add_branch(sides, None);
        }
        link
    }

    /// Builds a subtree over sorted leaves, hashing on the way up, while the children are still at hand.
    fn build(&mut self, from: usize, to: usize, depth: usize) -> (Link, [u8; 32]) {
        match &self.leaves[from..to] {
            [] => (Link::Empty, EMPTY_ROOT),
            [leaf] => (Link::Leaf(index(from)), leaf_digest(&leaf.slot, &leaf.hash)),
            leaves => {
                let parting = from + leaves.partition_point(|leaf| side(&leaf.slot, depth) == 0);
                let (zero, zero_digest) = self.build(from, parting, depth + 1);
                let (one, one_digest) = self.build(parting, to, depth + 1);
                let digest = branch_digest(&zero_digest, &one_digest);
                (self.add_branch([zero, one], Some(digest)), digest)
            }
        }
    }

    /// Depth is at most 128, and so is the recursion.
    fn digest(&mut self, link: Link) -> [u8; 32] {
        match link {
            Link::Empty => EMPTY_ROOT,
            Link::Leaf(leaf) => leaf_digest(&self.leaf(leaf).slot, &self.leaf(leaf).hash),
            Link::Branch(at) => {
                let Branch { sides, digest } = self.branches[at as usize];
                if let Some(digest) = digest {
                    return digest;
                }
                let digest = branch_digest(&self.digest(sides[0]), &self.digest(sides[1]));
                self.branches[at as usize].digest = Some(digest);
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

    fn add_branch(&mut self, sides: [Link; 2], digest: Option<[u8; 32]>) -> Link {
        Link::Branch(add(&mut self.branches, &mut self.free_branches, Branch { sides, digest }))
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
        let mut map = Self { leaves, branches: Vec::with_capacity(len + len / 2), ..Self::default() };
        map.root = map.build(0, len, 0).0;
        map
    }
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
