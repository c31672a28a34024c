use chacha20poly1305::aead::{Aead, KeyInit};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn key(byte: u8) -> Secret {
    Secret::new([byte; 32])
}

#[test]
fn the_layout_is_the_one_in_the_spec() {
    let sealed = seal(&key(1), b"context", b"hello", &mut rng());
    assert_eq!(sealed.len(), 5 + OVERHEAD);
    assert_eq!(sealed[0], 1);

    // The same, by the other implementation: what ring seals, RustCrypto opens.
    let mut okm = [0; 64];
    hash::expand(&key(1), &[b"context", &sealed[1..25]], &mut okm);
    assert_eq!(sealed[25..57], okm[32..]);
    let aead = chacha20poly1305::ChaCha20Poly1305::new_from_slice(&okm[..32]).unwrap();
    assert_eq!(aead.decrypt(&[0; 12].into(), &sealed[57..]).unwrap(), b"hello");
}

#[test]
fn every_altered_byte_is_refused() {
    let sealed = seal(&key(1), b"context", b"hello", &mut rng());
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        let expected = match at {
            0 => OpenError::UnknownVersion(0),
            1..57 => OpenError::WrongKeyOrContext,
            _ => OpenError::Altered,
        };
        assert_eq!(open(&key(1), b"context", &altered).unwrap_err(), expected, "byte {at}");
    }
}

#[test]
fn every_length_but_its_own_is_refused() {
    let sealed = seal(&key(1), b"context", b"hello", &mut rng());
    for len in 0..sealed.len() {
        let expected = if len < OVERHEAD { OpenError::Truncated } else { OpenError::Altered };
        assert_eq!(open(&key(1), b"context", &sealed[..len]).unwrap_err(), expected, "{len} bytes");
    }
    let extended = [sealed.as_slice(), &[0]].concat();
    assert_eq!(open(&key(1), b"context", &extended).unwrap_err(), OpenError::Altered);
}

#[test]
fn another_key_or_place_is_refused() {
    let sealed = seal(&key(1), b"context", b"hello", &mut rng());
    assert_eq!(open(&key(2), b"context", &sealed).unwrap_err(), OpenError::WrongKeyOrContext);
    assert_eq!(open(&key(1), b"contexu", &sealed).unwrap_err(), OpenError::WrongKeyOrContext);
}

/// A partitioning oracle needs one ciphertext that opens under two keys. Its author can choose the tag so that
/// Poly1305 agrees with both; what stops it is the commitment, of which only one can stand there.
#[test]
fn a_ciphertext_is_bound_to_one_key() {
    let one = seal(&key(1), b"context", b"hello", &mut rng());
    let other = seal(&key(2), b"context", b"hello", &mut rng());
    let mut spliced = one.clone();
    spliced[25..57].copy_from_slice(&other[25..57]);
    assert_eq!(open(&key(1), b"context", &spliced).unwrap_err(), OpenError::WrongKeyOrContext);
    assert_eq!(open(&key(2), b"context", &spliced).unwrap_err(), OpenError::Altered);
}

proptest! {
    #[test]
    fn what_is_sealed_opens(plaintext: Vec<u8>, context: Vec<u8>, byte: u8) {
        let sealed = seal(&key(byte), &context, &plaintext, &mut rng());
        let opened = open(&key(byte), &context, &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
    }

    #[test]
    fn garbage_never_opens(garbage: Vec<u8>) {
        prop_assert!(open(&key(1), b"context", &garbage).is_err());
    }
}
