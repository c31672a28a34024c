use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

/// The definition, to the letter and with no regard for cost.
fn naive(entries: &[(SlotId, RecordHash)], depth: usize) -> [u8; 32] {
    match entries {
        [] => [0; 32],
        [(slot, hash)] => Sha256::digest([&[0][..], slot.as_bytes(), hash.as_bytes()].concat()).into(),
        _ => {
            let (ones, zeros): (Vec<_>, Vec<_>) = entries
                .iter()
                .copied()
                .partition(|(slot, _)| u128::from_be_bytes(*slot.as_bytes()) >> (127 - depth) & 1 == 1);
            Sha256::digest([&[1][..], &naive(&zeros, depth + 1), &naive(&ones, depth + 1)].concat()).into()
        }
    }
}

fn naive_root(model: &BTreeMap<SlotId, RecordHash>) -> StateRoot {
    StateRoot::new(naive(&model.iter().map(|(slot, hash)| (*slot, *hash)).collect::<Vec<_>>(), 0))
}

fn slot(number: u128) -> SlotId {
    SlotId::new(number.to_be_bytes())
}

fn hash(byte: u8) -> RecordHash {
    RecordHash::new([byte; 32])
}

/// Slots that collide, share long prefixes, or are spread: what an attacker and what chance would choose.
fn slots() -> impl Strategy<Value = SlotId> {
    prop_oneof![
        (0_u128..8).prop_map(slot),
        (0_u32..128).prop_map(|bit| slot(1 << bit)),
        (0_u32..128).prop_map(|bit| slot(u128::MAX << bit)),
        any::<u128>().prop_map(slot),
    ]
}

/// `Some` inserts, `None` removes.
fn changes() -> impl Strategy<Value = Vec<(SlotId, Option<u8>)>> {
    vec((slots(), proptest::option::weighted(0.7, any::<u8>())), 0..60)
}

fn apply(map: &mut MerkleMap, change: &(SlotId, Option<u8>)) -> Option<RecordHash> {
    match change {
        (slot, Some(byte)) => map.insert(*slot, hash(*byte)),
        (slot, None) => map.remove(slot),
    }
}

proptest! {
    #[test]
    fn it_is_the_definition(changes in changes(), every in 1_usize..10) {
        let (mut map, mut model) = (MerkleMap::new(), BTreeMap::new());
        for (i, change) in changes.iter().enumerate() {
            let before = match change {
                (slot, Some(byte)) => model.insert(*slot, hash(*byte)),
                (slot, None) => model.remove(slot),
            };
            prop_assert_eq!(apply(&mut map, change), before);
            if i % every == 0 {
                prop_assert_eq!(map.root(), naive_root(&model));
            }
        }
        prop_assert_eq!(map.root(), naive_root(&model));
        prop_assert_eq!(map.len(), model.len());
        prop_assert!(map.iter().eq(model.iter().map(|(slot, hash)| (*slot, *hash))));
        let mut built: MerkleMap = map.iter().collect();
        prop_assert_eq!(built.root(), map.root());
    }

    #[test]
    fn order_does_not_matter(entries in vec((slots(), any::<u8>()), 0..40), seed: u64) {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let mut shuffled: Vec<_> = entries.iter().map(|(slot, byte)| (*slot, hash(*byte))).collect();
        let len = shuffled.len().max(1);
        for i in 0..shuffled.len() {
            shuffled.swap(i, usize::try_from(seed.wrapping_mul(i as u64 + 7) >> 32).unwrap() % len);
        }
        let mut one_by_one = MerkleMap::new();
        for (slot, hash) in &shuffled {
            one_by_one.insert(*slot, *hash);
            one_by_one.root();
        }
        let mut at_once: MerkleMap = shuffled.into_iter().collect();
        prop_assert_eq!(one_by_one.root(), at_once.root());
    }

    #[test]
    fn what_is_removed_leaves_no_trace(entries in vec((slots(), any::<u8>()), 0..40), extra in slots()) {
        let mut map: MerkleMap = entries.iter().map(|(slot, byte)| (*slot, hash(*byte))).collect();
        let (root, before, nodes) = (map.root(), map.get(&extra), map.branches.len() + 128);
        for _ in 0..10 {
            map.insert(extra, hash(1));
            match before {
                Some(hash) => map.insert(extra, hash),
                None => map.remove(&extra),
            };
        }
        prop_assert_eq!(map.root(), root);
        prop_assert!(map.branches.len() <= nodes, "freed nodes are used again");
    }

    #[test]
    fn proofs_show_what_is_there(changes in changes(), asked in slots()) {
        let mut map = MerkleMap::new();
        for change in &changes {
            apply(&mut map, change);
        }
        let root = map.root();
        let asked = changes.iter().map(|(slot, _)| *slot).chain([asked]);
        for slot in asked {
            let proof = map.prove(&slot);
            prop_assert_eq!(proof.verify(&root, &slot), Ok(map.get(&slot)));
            prop_assert_eq!(Proof::parse(&proof.to_bytes()), Ok(proof));
        }
    }

    #[test]
    fn differences_are_those_of_the_sets(ours in changes(), theirs in changes(), shared in changes()) {
        let (mut a, mut b) = (MerkleMap::new(), MerkleMap::new());
        for change in shared.iter().chain(&ours) {
            apply(&mut a, change);
        }
        for change in shared.iter().chain(&theirs) {
            apply(&mut b, change);
        }
        let (in_a, in_b): (BTreeMap<_, _>, BTreeMap<_, _>) = (a.iter().collect(), b.iter().collect());
        let mut expected: Vec<_> = in_a.keys().chain(in_b.keys()).copied().collect();
        expected.sort_unstable();
        expected.dedup();
        expected.retain(|slot| in_a.get(slot) != in_b.get(slot));
        prop_assert_eq!(a.differences(&mut b), expected);
    }

    #[test]
    fn garbage_is_no_proof(garbage: Vec<u8>) {
        prop_assert!(Proof::parse(&garbage).is_err());
    }
}

#[test]
fn every_altered_byte_of_a_proof_is_refused() {
    let mut map: MerkleMap = (0..20_u8).map(|i| (slot(u128::from(i) << 120 | 7), hash(i))).collect();
    let root = map.root();
    for asked in [slot(3 << 120 | 7), slot(3 << 120 | 6), slot(200 << 120)] {
        let bytes = map.prove(&asked).to_bytes();
        let honest = map.get(&asked);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let verdict = Proof::parse(&altered).map(|proof| proof.verify(&root, &asked));
            assert!(!matches!(verdict, Ok(Ok(found)) if found != honest), "byte {at}");
            assert!(!matches!(verdict, Ok(Ok(_))), "byte {at} of a proof can be altered unseen");
        }
    }
    let proof = map.prove(&slot(3 << 120 | 7));
    assert_eq!(proof.verify(&root, &slot(4 << 120 | 7)), Err(BadProof));
    assert_eq!(proof.verify(&StateRoot::new([0; 32]), &slot(3 << 120 | 7)), Err(BadProof));
}

/// Two slots that share 127 bits make the deepest map there is.
#[test]
fn the_deepest_map_works() {
    let mut map: MerkleMap = [(slot(0), hash(0)), (slot(1), hash(1))].into_iter().collect();
    assert_eq!((map.branches.len(), map.branches()), (1, DEPTH_MAX));
    let root = map.root();
    let proof = map.prove(&slot(1));
    assert_eq!(proof.verify(&root, &slot(1)), Ok(Some(hash(1))));
    assert_eq!(Proof::parse(&proof.to_bytes()), Ok(proof));
    map.remove(&slot(0));
    assert_eq!((map.branches(), map.iter().collect::<Vec<_>>()), (0, vec![(slot(1), hash(1))]));
}

#[test]
fn of_a_slot_that_comes_twice_the_greatest_hash_counts() {
    for entries in [[(slot(1), hash(1)), (slot(1), hash(2))], [(slot(1), hash(2)), (slot(1), hash(1))]] {
        let map: MerkleMap = entries.into_iter().collect();
        assert_eq!((map.len(), map.get(&slot(1))), (1, Some(hash(2))));
    }
}

/// Whoever chooses slots can make every two of them share all bits but the last. That may cost hashes, but no memory.
#[test]
fn hostile_slots_take_no_more_memory_than_others() {
    let mut map = MerkleMap::new();
    for i in 0..1000_u128 {
        let pair = i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) & !1;
        map.insert(slot(pair), hash(1));
        map.insert(slot(pair | 1), hash(2));
    }
    assert_eq!((map.len(), map.branches.len()), (2000, 1999));
    assert!(map.branches() > 100_000, "so many hashes are under the root");
    assert!(size_of::<Leaf>() + size_of::<Branch>() <= 100);
    let model = map.iter().collect();
    assert_eq!(map.root(), naive_root(&model));
    for slot in model.keys() {
        map.remove(slot);
    }
    assert_eq!((map.len(), map.branches(), map.root()), (0, 0, StateRoot::new([0; 32])));
}

/// Nodes that were freed are used again, over and over, and the map is still the definition.
#[test]
fn a_long_life_is_still_the_definition() {
    let slots: Vec<_> = (0..128)
        .flat_map(|bit| [slot(1 << bit), slot(u128::MAX << bit), slot((u128::MAX / 7) ^ 1 << bit)])
        .collect();
    let (mut map, mut model) = (MerkleMap::new(), BTreeMap::new());
    for step in 0..10_000_usize {
        let slot = slots[step * 7_919 % slots.len()];
        // It grows for 2,000 steps and shrinks for 2,000.
        let growing = if step / 2_000 % 2 == 0 { 7 } else { 2 };
        if (step * 31 + step / 7) % 10 < growing {
            let hash = hash(u8::try_from(step % 251).unwrap());
            assert_eq!(map.insert(slot, hash), model.insert(slot, hash));
        } else {
            assert_eq!(map.remove(&slot), model.remove(&slot));
        }
        if step % 100 == 0 {
            assert_eq!(map.root(), naive_root(&model), "step {step}");
        }
    }
    assert!(map.branches.len() < slots.len(), "freed branches are used again");
    assert!(map.iter().eq(model));
}

#[test]
fn a_batch_marks_each_branch_on_its_paths_once() {
    let mut map: MerkleMap = (0..=255_u8).map(|i| (slot(u128::from(i) << 120), hash(i))).collect();
    let stale = |map: &MerkleMap| map.branches.iter().filter(|branch| branch.level == STALE).count();
    assert_eq!(stale(&map), 0);
    map.remove(&slot(1));
    assert_eq!(stale(&map), 0, "nothing was removed");
    map.insert(slot(0), hash(9));
    map.insert(slot(0), hash(8));
    assert_eq!(stale(&map), 8);
    map.insert(slot(1 << 120), hash(9));
    assert_eq!(stale(&map), 8, "the same path");
    map.root();
    assert_eq!(stale(&map), 0);
}

#[test]
fn a_proof_with_other_siblings_is_refused() {
    let mut map: MerkleMap = (0..20_u8).map(|i| (slot(u128::from(i) << 120 | 7), hash(i))).collect();
    map.insert(slot(6), hash(6));
    let root = map.root();
    for asked in [slot(7), slot(3 << 120 | 7), slot(3 << 120 | 6), slot(5), slot(200 << 120)] {
        let proof = map.prove(&asked);
        let Proof { siblings, leaf } = &proof;
        let refused = |siblings: Vec<[u8; 32]>| {
            assert_eq!(Proof { siblings, leaf: *leaf }.verify(&root, &asked), Err(BadProof));
        };
        for at in 0..siblings.len() {
            refused([&siblings[..at], &siblings[at + 1..]].concat());
            if siblings.len() < DEPTH_MAX {
                refused([&siblings[..=at], &siblings[at..]].concat());
            }
            if at > 0 && siblings[at] != siblings[at - 1] {
                let mut swapped = siblings.clone();
                swapped.swap(at, at - 1);
                refused(swapped);
            }
        }
        let bytes = proof.to_bytes();
        for cut in 0..bytes.len() {
            assert!(Proof::parse(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        assert!(Proof::parse(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}

/// No honest map has such a root, but whoever signs one must not prove absence with it.
#[test]
fn a_leaf_that_is_not_on_the_path_is_refused() {
    let (asked, elsewhere, sibling) = (slot(0), slot(1 << 127), [7; 32]);
    let root = StateRoot::new(branch_digest(&leaf_digest(&elsewhere, &hash(1)), &sibling));
    let proof = Proof { siblings: vec![sibling], leaf: Some((elsewhere, hash(1))) };
    assert_eq!(proof.verify(&root, &asked), Err(BadProof));
}

#[test]
fn a_proof_has_at_most_128_siblings() {
    let with = |siblings| Proof { siblings: vec![[0; 32]; siblings], leaf: None };
    assert_eq!(Proof::parse(&with(128).to_bytes()), Ok(with(128)));
    assert_eq!(Proof::parse(&with(129).to_bytes()), Err(crate::cbor::DecodeError::TooLarge));
}
