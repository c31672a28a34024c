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
    assert_eq!(map.branches.len(), DEPTH_MAX);
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
