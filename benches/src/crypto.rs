//! The rows of `alcove-crypto`: sealing, the Merkle map, a chain of commits.

use std::hint::black_box;

use alcove_crypto::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret, account_id};
use alcove_crypto::account::root::RootKey;
use alcove_crypto::account::state::{AccountState, Device};
use alcove_crypto::ids::{
    AccountStateHash, CommitHash, CredentialSetHash, RecordHash, SlotId, SpaceId, StateRoot,
};
use alcove_crypto::space::authority::{AccountHistory, Authority};
use alcove_crypto::space::chain::{Chain, Context};
use alcove_crypto::space::header::{Header, Place};
use alcove_crypto::space::keys::{SpaceKey, SpaceKeys};
use alcove_crypto::space::merkle::MerkleMap;
use alcove_crypto::space::record::{open_record, seal_record};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use ed25519_dalek::Signer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use crate::row::{Budget, MANY, Row};

const MIB: f64 = 1024.0 * 1024.0;
const SLOTS: usize = 100_000;
const UPDATES: usize = 1_000;
const HEADERS: usize = 10_000;
/// Headers are verified in parts, so that there are enough rounds.
const HEADERS_A_ROUND: usize = 1_000;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (len, least, names) in [
        (1024, 0.50, ["seal a record of 1 KiB", "open a record of 1 KiB", "RustCrypto's AEAD at 1 KiB"]),
        (65_536, 0.95, ["seal a record of 64 KiB", "open a record of 64 KiB", "RustCrypto's AEAD at 64 KiB"]),
    ] {
        rows.extend(sealing(len, Budget::ThroughputAtLeast(least), names));
    }
    rows.extend(merkle());
    rows.push(chain());
    rows
}

fn sealing(padded: usize, budget: Budget, [seal, open, other]: [&'static str; 3]) -> [Row; 3] {
    let rng = &mut StdRng::seed_from_u64(1);
    let (space, slot) = (SpaceId::make(rng), SlotId::make(rng));
    let key = SpaceKey::make(1, rng);
    let content = vec![7; padded - 1];
    let repeats = (4 << 20) / padded;
    let work = (repeats * padded) as f64 / MIB;
    let aead = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &[7; 32]).expect("32 bytes"));
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let sealed = seal_record(&key, &space, &slot, &content, rng).expect("it fits");
    let plain = vec![7; padded];
    let mut bare = plain.clone();
    aead.seal_in_place_append_tag(nonce(), Aad::empty(), &mut bare).expect("it fits");
    let seal_bare = || {
        for _ in 0..repeats {
            let mut buffer = plain.clone();
            aead.seal_in_place_append_tag(nonce(), Aad::empty(), &mut buffer).expect("it fits");
            black_box(buffer);
        }
    };
    let sealing = Row::measure(
        seal,
        "MiB/s",
        work,
        budget,
        MANY,
        "ring's ChaCha20-Poly1305",
        || {
            for _ in 0..repeats {
                black_box(seal_record(&key, &space, &slot, &content, rng).expect("it fits"));
            }
        },
        seal_bare,
    );
    let opening = Row::measure(
        open,
        "MiB/s",
        work,
        budget,
        MANY,
        "ring's ChaCha20-Poly1305",
        || {
            for _ in 0..repeats {
                black_box(open_record(&key, &space, &slot, &sealed).expect("it opens"));
            }
        },
        || {
            for _ in 0..repeats {
                let mut buffer = bare.clone();
                aead.open_in_place(nonce(), Aad::empty(), &mut buffer).expect("it opens");
                black_box(buffer);
            }
        },
    );
    let rust_crypto = chacha20poly1305::ChaCha20Poly1305::new(&[7; 32].into());
    let choice = Row::measure(
        other,
        "MiB/s",
        work,
        Budget::None,
        MANY,
        "ring's ChaCha20-Poly1305",
        || {
            for _ in 0..repeats {
                let mut buffer = plain.clone();
                rust_crypto.encrypt_in_place(&[0; 12].into(), &[], &mut buffer).expect("it fits");
                black_box(buffer);
            }
        },
        seal_bare,
    );
    [sealing, opening, choice]
}

fn random_entry(rng: &mut StdRng) -> (SlotId, RecordHash) {
    let mut bytes = [0; 48];
    rng.fill_bytes(&mut bytes);
    let (slot, hash) = bytes.split_at(16);
    (SlotId::new(slot.try_into().expect("16 bytes")), RecordHash::new(hash.try_into().expect("32 bytes")))
}

/// The bytes that the map hashes, with no map: an array a leaf, an array a branch.
fn hash_all<const N: usize>(nodes: &[[u8; N]]) {
    for node in nodes {
        black_box(Sha256::digest(black_box(node)));
    }
}

/// The hashes of a path from a leaf to the root: each needs the one before it.
fn hash_path(leaf: &[u8; 49], depth: usize) {
    let mut branch = [1; 65];
    let mut digest = Sha256::digest(leaf);
    for _ in 0..depth {
        branch[33..].copy_from_slice(&digest);
        digest = Sha256::digest(black_box(branch));
    }
    black_box(digest);
}

fn merkle() -> [Row; 2] {
    let rng = &mut StdRng::seed_from_u64(1);
    let entries: Vec<_> = (0..SLOTS).map(|_| random_entry(rng)).collect();
    let mut map: MerkleMap = entries.iter().copied().collect();
    map.root();
    let (leaves, branches) = (vec![[7; 49]; SLOTS], vec![[7; 65]; map.branches()]);
    let build = Row::measure(
        "Merkle map over 100,000 slots",
        "slots/s",
        SLOTS as f64,
        Budget::TimeAtMost(1.5),
        MANY,
        "hashing the same bytes",
        || {
            let mut map: MerkleMap = entries.iter().copied().collect();
            black_box(map.root());
        },
        || {
            hash_all(&leaves);
            hash_all(&branches);
        },
    );
    let hashes: Vec<_> = (0..UPDATES).map(|_| random_entry(rng).1).collect();
    let depth = SLOTS.ilog2() as usize + 1;
    let mut next = 0;
    let update = Row::measure(
        "one update of it, with its root",
        "updates/s",
        UPDATES as f64,
        Budget::TimeAtMost(2.0),
        MANY,
        "a path of log2 n hashes",
        || {
            for hash in &hashes {
                next = (next + 7_919) % SLOTS;
                map.insert(entries[next].0, *hash);
                black_box(map.root());
            }
        },
        || leaves[..UPDATES].iter().for_each(|leaf| hash_path(leaf, depth)),
    );
    [build, update]
}

fn chain() -> Row {
    let rng = &mut StdRng::seed_from_u64(1);
    let (identity, device, root) = (IdentitySecret::make(rng), DeviceSecret::make(rng), RootKey::make(rng));
    let (space, account) = (SpaceId::make(rng), account_id(&identity.public()));
    let state = AccountState {
        account,
        version: 1,
        previous: AccountStateHash::new([0; 32]),
        identity: identity.public(),
        minimum_protocol: 1,
        private_space: space,
        devices: vec![Device { keys: device.public(), added_day: 0, revoked_day: None }],
        inbox: ReceivingSecret::make(rng).public(),
        epoch: 1,
        root_commitment: root.commitment(&account),
        credentials: CredentialSetHash::new([0; 32]),
    };
    let state = state.sign_first(&identity).expect("a first state");
    let key = root.private_space_key(&space);
    let mut at = Place::start(&space);
    let commits: Vec<_> = (0..HEADERS)
        .map(|i| {
            let header = Header {
                author: account,
                device: device.id(),
                state: (1, state.hash()),
                control: None,
                root: StateRoot::new([7; 32]),
                time_ms: i as u64,
                other_heads: Vec::new(),
                joined: Vec::new(),
            };
            let commit = header.seal(&space, &at, &key, &device, rng);
            at = Place { seq: at.seq + 1, head: at.head.after(&CommitHash::of(&commit)) };
            commit
        })
        .collect();
    let keys = SpaceKeys::from_iter([key]);
    let authority = Authority::from(AccountHistory::new(state));
    let context = Context { keys: &keys, authority: &authority, controls: &[] };
    let start = Chain::private(space, account);
    let (mut chain, mut next) = (start.clone(), 0);

    let signer = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    // As long as the message that a header's signature covers.
    let message = [7; 262];
    let (signature, verifier) = (signer.sign(&message), signer.verifying_key());
    Row::measure(
        "a chain of 10,000 headers",
        "headers/s",
        HEADERS_A_ROUND as f64,
        Budget::ThroughputAtLeast(0.85),
        MANY,
        "strict Ed25519 verification",
        || {
            if next == HEADERS {
                (chain, next) = (start.clone(), 0);
            }
            for commit in &commits[next..next + HEADERS_A_ROUND] {
                black_box(chain.accept(commit, context).expect("an honest chain"));
            }
            next += HEADERS_A_ROUND;
        },
        || {
            for _ in 0..HEADERS_A_ROUND {
                verifier.verify_strict(black_box(&message), &signature).expect("an honest signature");
            }
        },
    )
}
