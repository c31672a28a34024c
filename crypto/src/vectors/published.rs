//! The published vectors, through the same calls that the constructions make.
//!
//! `vectors/published/README.md` tells where each file is from. [`COVERAGE`] says which test runs it; the last test
//! holds that table against the folder, so that no file lies there unused.

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::{Deserializable, Kem, OpModeR};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde_json::Value;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

use super::{bytes, fixed, folder, number, text};
use crate::secret::Secret;
use crate::signing::{SigningKey, VerifyingKey};

/// Which test runs which file.
const COVERAGE: &[(&str, &str)] = &[
    ("cctv/ed25519vectors.json", "signatures_on_which_verifiers_disagree"),
    ("rfc4231/hmac_sha256.json", "hmac"),
    ("rfc5869/hkdf_sha256.json", "hkdf_of_the_rfc"),
    ("rfc7748/x25519.json", "x25519_of_the_rfc"),
    ("rfc8032/ed25519.json", "ed25519_of_the_rfc"),
    ("rfc8439/chacha20_poly1305.json", "chacha20_poly1305_of_the_rfc"),
    ("rfc9106/argon2id.json", "argon2id"),
    ("rfc9180/base_x25519_sha256_chacha20poly1305.json", "hpke_base_mode"),
    ("rfc9807/opaque.json", "opaque::rfc9807"),
    ("wycheproof/chacha20_poly1305_test.json", "chacha20_poly1305_of_wycheproof"),
    ("wycheproof/ed25519_test.json", "ed25519_of_wycheproof"),
    ("wycheproof/hkdf_sha256_test.json", "hkdf_of_wycheproof"),
    ("wycheproof/hmac_sha256_test.json", "hmac"),
    ("wycheproof/x25519_test.json", "x25519_of_wycheproof"),
];

fn read(file: &str) -> Value {
    assert!(COVERAGE.iter().any(|(known, _)| *known == file));
    serde_json::from_str(&std::fs::read_to_string(folder().join("published").join(file)).unwrap()).unwrap()
}

fn list<'v>(value: &'v Value, field: &str) -> &'v Vec<Value> {
    value[field].as_array().unwrap()
}

/// Calls `run` with each test of a Wycheproof file and its group; the count is the file's own.
fn wycheproof(file: &str, mut run: impl FnMut(&Value, &Value)) {
    let file = read(file);
    let mut count = 0;
    for group in list(&file, "testGroups") {
        for test in list(group, "tests") {
            run(group, test);
            count += 1;
        }
    }
    assert_eq!(count, number(&file, "numberOfTests"));
}

#[test]
fn every_published_file_is_run() {
    let mut found = Vec::new();
    for source in std::fs::read_dir(folder().join("published")).unwrap().map(Result::unwrap) {
        if !source.path().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(source.path()).unwrap().map(Result::unwrap) {
            if file.path().extension().is_some_and(|extension| extension == "json") {
                let names = [source.file_name(), file.file_name()];
                found.push(names.map(|name| name.into_string().unwrap()).join("/"));
            }
        }
    }
    found.sort();
    assert_eq!(found, COVERAGE.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    let sources = [include_str!("published.rs"), include_str!("../opaque/rfc9807.rs")];
    for (_, test) in COVERAGE {
        let name = test.strip_prefix("opaque::rfc9807").map_or(*test, |_| "real_logins");
        assert!(sources.iter().any(|source| source.contains(&format!("fn {name}()"))), "no test {test}");
    }
}

/// Both implementations, ring's and that of `RustCrypto`, as [`crate::sealed`] and its cross-check call them.
fn both_open(key: &[u8], nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let aead = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap());
    let mut buffer = sealed.to_vec();
    let ring = aead.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut buffer).ok();
    let ring = ring.map(|plaintext| plaintext.to_vec());
    let other = chacha20poly1305::ChaCha20Poly1305::new_from_slice(key).unwrap();
    let other = other.decrypt(&(*nonce).into(), Payload { msg: sealed, aad }).ok();
    assert_eq!(ring, other);
    ring
}

#[test]
fn chacha20_poly1305_of_the_rfc() {
    let file = read("rfc8439/chacha20_poly1305.json");
    assert_eq!(list(&file, "vectors").len(), 2);
    for v in list(&file, "vectors") {
        let sealed = [bytes(v, "ciphertext"), bytes(v, "tag")].concat();
        let opened = both_open(&bytes(v, "key"), &fixed(v, "nonce"), &bytes(v, "aad"), &sealed);
        assert_eq!(opened, Some(bytes(v, "plaintext")));
        let aead = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes(v, "key")).unwrap());
        let mut buffer = bytes(v, "plaintext");
        let nonce = Nonce::assume_unique_for_key(fixed(v, "nonce"));
        aead.seal_in_place_append_tag(nonce, Aad::from(bytes(v, "aad")), &mut buffer).unwrap();
        assert_eq!(buffer, sealed);
    }
}

#[test]
fn chacha20_poly1305_of_wycheproof() {
    wycheproof("wycheproof/chacha20_poly1305_test.json", |_, v| {
        let Ok(nonce) = bytes(v, "iv").try_into() else {
            assert_eq!(text(v, "result"), "invalid", "a nonce of another length");
            return;
        };
        let sealed = [bytes(v, "ct"), bytes(v, "tag")].concat();
        let opened = both_open(&bytes(v, "key"), &nonce, &bytes(v, "aad"), &sealed);
        let expected = (text(v, "result") == "valid").then(|| bytes(v, "msg"));
        assert_eq!(opened, expected, "{}", v["tcId"]);
    });
}

#[test]
fn ed25519_of_the_rfc() {
    let file = read("rfc8032/ed25519.json");
    assert_eq!(list(&file, "vectors").len(), 5);
    for v in list(&file, "vectors") {
        let secret = SigningKey::from_seed(&Secret::new(fixed(v, "secret_key")));
        assert_eq!(secret.public().as_bytes(), &fixed(v, "public_key"));
        let message = bytes(v, "message");
        assert_eq!(secret.sign_raw(&message), fixed(v, "signature"));
        secret.public().verify_raw(&message, &fixed(v, "signature")).unwrap();
    }
}

fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_raw(message, signature).is_ok())
}

#[test]
fn ed25519_of_wycheproof() {
    wycheproof("wycheproof/ed25519_test.json", |group, v| {
        let verdict = verifies(&bytes(&group["publicKey"], "pk"), &bytes(v, "msg"), &bytes(v, "sig"));
        assert_eq!(verdict, text(v, "result") == "valid", "{}", v["tcId"]);
    });
}

/// Filippo Valsorda's collection of edge cases: our verdict is fixed by what is odd about each, on every platform.
#[test]
fn signatures_on_which_verifiers_disagree() {
    let refused = ["low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue"];
    let file = read("cctv/ed25519vectors.json");
    let vectors = file.as_array().unwrap();
    assert_eq!(vectors.len(), 914);
    for v in vectors {
        let flags = v["flags"].as_array().cloned().unwrap_or_default();
        let expected = !flags.iter().any(|flag| refused.contains(&flag.as_str().unwrap()));
        let verdict = verifies(&bytes(v, "key"), text(v, "msg").as_bytes(), &bytes(v, "sig"));
        assert_eq!(verdict, expected, "{} {flags:?}", v["number"]);
    }
}

fn expanded(prk: &[u8], info: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; len];
    Hkdf::<Sha256>::from_prk(prk).unwrap().expand_multi_info(&[info], &mut out).ok().map(|()| out)
}

#[test]
fn hkdf_of_the_rfc() {
    let file = read("rfc5869/hkdf_sha256.json");
    assert_eq!(list(&file, "vectors").len(), 3);
    for v in list(&file, "vectors") {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(&bytes(v, "salt")), &bytes(v, "ikm"));
        assert_eq!(prk.to_vec(), bytes(v, "prk"));
        let len = usize::try_from(number(v, "length")).unwrap();
        assert_eq!(expanded(&prk, &bytes(v, "info"), len), Some(bytes(v, "okm")));
    }
    // Without a salt, our own extraction is the same.
    let last = &list(&file, "vectors")[2];
    assert!(bytes(last, "salt").is_empty());
    assert_eq!(crate::hash::extract(&bytes(last, "ikm")), Secret::new(fixed(last, "prk")));
}

#[test]
fn hkdf_of_wycheproof() {
    wycheproof("wycheproof/hkdf_sha256_test.json", |_, v| {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(&bytes(v, "salt")), &bytes(v, "ikm"));
        let okm = expanded(&prk, &bytes(v, "info"), usize::try_from(number(v, "size")).unwrap());
        let expected = (text(v, "result") == "valid").then(|| bytes(v, "okm"));
        assert_eq!(okm, expected, "{}", v["tcId"]);
    });
}

fn mac_is(key: &[u8], message: &[u8], tag: &[u8]) -> bool {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.chain_update(message).verify_truncated_left(tag).is_ok()
}

#[test]
fn hmac() {
    let file = read("rfc4231/hmac_sha256.json");
    assert_eq!(list(&file, "vectors").len(), 7);
    for v in list(&file, "vectors") {
        assert!(mac_is(&bytes(v, "key"), &bytes(v, "data"), &bytes(v, "tag")));
    }
    wycheproof("wycheproof/hmac_sha256_test.json", |_, v| {
        let verdict = mac_is(&bytes(v, "key"), &bytes(v, "msg"), &bytes(v, "tag"));
        assert_eq!(verdict, text(v, "result") == "valid", "{}", v["tcId"]);
    });
}

fn shared(secret: [u8; 32], public: [u8; 32]) -> x25519_dalek::SharedSecret {
    StaticSecret::from(secret).diffie_hellman(&PublicKey::from(public))
}

#[test]
fn x25519_of_the_rfc() {
    let file = read("rfc7748/x25519.json");
    for v in list(&file, "scalar_mult") {
        let output = shared(fixed(v, "input_scalar"), fixed(v, "input_u"));
        assert_eq!(output.as_bytes(), &fixed(v, "output_u"));
    }
    assert_eq!(list(&file, "iterated").len(), 2);
    for v in list(&file, "iterated") {
        let (mut k, mut u) = (fixed(v, "initial_k"), fixed(v, "initial_u"));
        for _ in 0..number(v, "iterations") {
            (k, u) = (*shared(k, u).as_bytes(), k);
        }
        assert_eq!(k, fixed(v, "output_k"));
    }
    for v in list(&file, "diffie_hellman") {
        let alice = shared(fixed(v, "alice_private_key"), fixed(v, "bob_public_key"));
        assert_eq!(alice.as_bytes(), &fixed(v, "shared_secret"));
        let bob = shared(fixed(v, "bob_private_key"), fixed(v, "alice_public_key"));
        assert_eq!(bob.as_bytes(), alice.as_bytes());
    }
}

/// Includes the points of low order, for which the shared secret is zero; those HPKE refuses, and so do we.
#[test]
fn x25519_of_wycheproof() {
    let mut refused = 0;
    wycheproof("wycheproof/x25519_test.json", |_, v| {
        let output = shared(fixed(v, "private"), fixed(v, "public"));
        assert_eq!(output.as_bytes(), &fixed(v, "shared"), "{}", v["tcId"]);
        if !output.was_contributory() {
            refused += 1;
            let receiver = crate::account::keys::ReceivingKey(fixed(v, "public"));
            let sealed = crate::hpke::seal_to(&receiver, b"", b"key", &mut crate::world::CounterRng::new(1));
            assert_eq!(sealed, Err(crate::hpke::HpkeError::BadReceiver), "{}", v["tcId"]);
        }
    });
    assert!(refused >= 20, "only {refused} points of low order");
}

#[test]
fn hpke_base_mode() {
    use hpke::aead::ChaCha20Poly1305;
    use hpke::kdf::HkdfSha256;
    use hpke::kem::X25519HkdfSha256;
    let file = read("rfc9180/base_x25519_sha256_chacha20poly1305.json");
    let mut messages = 0;
    for v in file.as_array().unwrap() {
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&bytes(v, "skRm")).unwrap();
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&bytes(v, "enc")).unwrap();
        let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            &bytes(v, "info"),
        )
        .unwrap();
        for message in list(v, "encryptions") {
            let opened = context.open(&bytes(message, "ct"), &bytes(message, "aad")).unwrap();
            assert_eq!(opened, bytes(message, "pt"));
            messages += 1;
        }
        for export in list(v, "exports") {
            let mut out = vec![0; usize::try_from(number(export, "L")).unwrap()];
            context.export(&bytes(export, "exporter_context"), &mut out).unwrap();
            assert_eq!(out, bytes(export, "exported_value"));
        }
        // The first message is what a single shot makes, and so what `hpke.rs` opens.
        let first = &list(v, "encryptions")[0];
        let single = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            &bytes(v, "info"),
            &bytes(first, "ct"),
            &bytes(first, "aad"),
        );
        assert_eq!(single.unwrap(), bytes(first, "pt"));
    }
    assert_eq!(messages, 257);
}

#[test]
fn argon2id() {
    let file = read("rfc9106/argon2id.json");
    assert_eq!(list(&file, "vectors").len(), 1);
    for v in list(&file, "vectors") {
        let cost = |field| u32::try_from(number(v, field)).unwrap();
        let params = ParamsBuilder::new()
            .m_cost(cost("memory_kib"))
            .t_cost(cost("passes"))
            .p_cost(cost("parallelism"))
            .data(AssociatedData::new(&bytes(v, "associated_data")).unwrap())
            .output_len(usize::try_from(number(v, "tag_length")).unwrap())
            .build()
            .unwrap();
        let secret = bytes(v, "secret");
        let argon2 = Argon2::new_with_secret(&secret, Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = vec![0; bytes(v, "tag").len()];
        argon2.hash_password_into(&bytes(v, "password"), &bytes(v, "salt"), &mut tag).unwrap();
        assert_eq!(tag, bytes(v, "tag"));
    }
}
