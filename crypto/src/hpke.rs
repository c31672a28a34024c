//! HPKE (RFC 9180) in base mode: a few secret bytes for one receiver.
//!
//! SPEC.md section 2.6. DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305; `info` is a context like any other.
//!
//! ```text
//! ┌─────────┬──────────────────┬────────────┬─────────┐
//! │ version │ encapsulated key │ ciphertext │   tag   │
//! │    1    │        32        │     n      │   16    │
//! └─────────┴──────────────────┴────────────┴─────────┘
//! ```
//!
//! Base mode says nothing about the sender. So nothing that comes this way is believed by itself: a key must
//! match a commitment in a signed state, an enrolment must carry a proof.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::account::keys::{ReceivingKey, ReceivingSecret};
use crate::cbor::{DecodeError, strip_version};

const ENCAPSULATED_LEN: usize = 32;

/// Why a message to a receiver could not be opened, or not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HpkeError {
    /// Made by a version that this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// Shorter than any such message.
    #[error("the message is cut short")]
    Truncated,
    /// The receiver's key is a point of small order, or no point.
    #[error("not a usable receiving key")]
    BadReceiver,
    /// Not for this receiver and this purpose, or altered.
    #[error("not for this receiver and purpose, or altered")]
    NotForUs,
}

/// Encrypts `plaintext` to `receiver` for the purpose that `info` names.
pub(crate) fn seal_to(
    receiver: &ReceivingKey,
    info: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, HpkeError> {
    let key =
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&receiver.0).map_err(|_| HpkeError::BadReceiver)?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &key, info, plaintext, &[], rng)
    .map_err(|_| HpkeError::BadReceiver)?;
    let mut out = Vec::with_capacity(1 + ENCAPSULATED_LEN + ciphertext.len());
    out.push(crate::VERSION);
    out.extend_from_slice(&encapsulated.to_bytes());
    out.extend_from_slice(&ciphertext);
    Ok(out)
}

/// Opens what [`seal_to`] made for the holder of `secret` and the same `info`.
pub(crate) fn open_from(
    secret: &ReceivingSecret,
    info: &[u8],
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
    let body = strip_version(message).map_err(|error| match error {
        DecodeError::UnknownVersion(version) => HpkeError::UnknownVersion(version),
        _ => HpkeError::Truncated,
    })?;
    let (encapsulated, ciphertext) = body.split_at_checked(ENCAPSULATED_LEN).ok_or(HpkeError::Truncated)?;
    let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret.expose())
        .expect("any 32 bytes are an X25519 secret");
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| HpkeError::Truncated)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        info,
        ciphertext,
        &[],
    )
    .map(Zeroizing::new)
    .map_err(|_| HpkeError::NotForUs)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn only_the_receiver_opens_and_only_for_its_purpose() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (ours, theirs) = (ReceivingSecret::make(rng), ReceivingSecret::make(rng));
        let message = seal_to(&ours.public(), b"info", b"key", rng).unwrap();
        assert_eq!(open_from(&ours, b"info", &message).unwrap().as_slice(), b"key");
        assert_eq!(open_from(&theirs, b"info", &message), Err(HpkeError::NotForUs));
        assert_eq!(open_from(&ours, b"other", &message), Err(HpkeError::NotForUs));
        for byte in 0..message.len() {
            let mut altered = message.clone();
            altered[byte] ^= 1;
            let expected = if byte == 0 { HpkeError::UnknownVersion(0) } else { HpkeError::NotForUs };
            assert_eq!(open_from(&ours, b"info", &altered), Err(expected), "byte {byte}");
        }
        for len in 0..message.len() {
            assert!(open_from(&ours, b"info", &message[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn points_of_small_order_are_refused() {
        let rng = &mut StdRng::seed_from_u64(1);
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert_eq!(seal_to(&ReceivingKey(point), b"", b"key", rng), Err(HpkeError::BadReceiver));
            let message = [&[1][..], &point, &[0; 19]].concat();
            assert_eq!(open_from(&ReceivingSecret::make(rng), b"", &message), Err(HpkeError::NotForUs));
        }
    }
}
