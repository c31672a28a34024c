//! The one way to seal everything.
//!
//! SPEC.md section 4.
//!
//! ```text
//! ┌─────────┬──────────┬────────────────┬──────────────────────────────────────┬─────────┐
//! │ version │   salt   │   commitment   │  ChaCha20-Poly1305(key, 0, plaintext) │   tag   │
//! │    1    │    24    │       32       │             as the plaintext          │   16    │
//! └─────────┴──────────┴────────────────┴──────────────────────────────────────┴─────────┘
//! key(32) ‖ commitment(32) = HKDF-Expand-SHA-256(sealing key, context ‖ salt, 64)
//! ```
//!
//! The key is used once, so the nonce is zero and nobody has to keep count. The whole context is bound
//! through the derivation: there is no associated data to forget. The commitment is compared before
//! anything is decrypted, so no ciphertext opens under two keys.

use rand_core::CryptoRng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::cbor::{DecodeError, strip_version};
use crate::hash;
use crate::padding::{content_len, pad};
use crate::secret::Secret;

const SALT_LEN: usize = 24;
const COMMITMENT_LEN: usize = 32;
pub(crate) const TAG_LEN: usize = 16;
/// Version, salt and commitment: what stands before the ciphertext.
pub(crate) const PREFIX_LEN: usize = 1 + SALT_LEN + COMMITMENT_LEN;

/// By how much a sealed value is longer than its plaintext.
pub const OVERHEAD: usize = PREFIX_LEN + TAG_LEN;

/// Why a sealed value did not open. The difference helps an honest caller; a peer must never learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Sealed by a version that this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// Shorter than anything that was ever sealed.
    #[error("the sealed value is cut short")]
    Truncated,
    /// Sealed under another key, or for another place.
    #[error("sealed under another key or for another place")]
    WrongKeyOrContext,
    /// The right key, but the bytes are not those that were sealed.
    #[error("the sealed value has been altered")]
    Altered,
    /// What was sealed does not have the form that belongs there.
    #[error("the plaintext is malformed: {0}")]
    Plaintext(#[from] DecodeError),
}

/// Seals `plaintext` under `key` for the place that `context` names.
pub(crate) fn seal(key: &Secret, context: &[u8], plaintext: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    let aead = start(key, context, &mut out, rng);
    out.extend_from_slice(plaintext);
    seal_tail(&aead, ZERO_NONCE, &mut out, PREFIX_LEN);
    out
}

/// Seals `content` with padding. The padding is written where it is encrypted: nothing is copied twice.
pub(crate) fn seal_padded(
    key: &Secret,
    context: &[u8],
    content: &[u8],
    rule: fn(u64) -> u64,
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let padded = usize::try_from(rule(content.len() as u64 + 1)).unwrap_or(content.len());
    let mut out = Vec::with_capacity(padded + OVERHEAD);
    let aead = start(key, context, &mut out, rng);
    out.extend_from_slice(content);
    pad(&mut out, PREFIX_LEN, rule);
    seal_tail(&aead, ZERO_NONCE, &mut out, PREFIX_LEN);
    out
}

/// Opens what [`seal`] made with the same key and context, and nothing else. For values that are secrets themselves.
pub(crate) fn open(key: &Secret, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open_content(key, context, sealed).map(Zeroizing::new)
}

/// Opens what [`seal_padded`] made with the same key, context and rule.
pub(crate) fn open_padded(
    key: &Secret,
    context: &[u8],
    sealed: &[u8],
    rule: fn(u64) -> u64,
) -> Result<Vec<u8>, OpenError> {
    let mut content = open_content(key, context, sealed)?;
    let len = content_len(&content, rule)?;
    content.truncate(len);
    Ok(content)
}

fn open_content(key: &Secret, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    if sealed.len() < OVERHEAD && sealed.first().is_none_or(|version| *version == crate::VERSION) {
        return Err(OpenError::Truncated);
    }
    let (aead, ciphertext) = accept(key, context, sealed)?;
    open_part(&aead, ZERO_NONCE, ciphertext)
}

pub(crate) const ZERO_NONCE: [u8; 12] = [0; 12];

/// Writes the prefix of a new sealed value and returns the key of its body.
pub(crate) fn start(
    key: &Secret,
    context: &[u8],
    out: &mut Vec<u8>,
    rng: &mut impl CryptoRng,
) -> LessSafeKey {
    let mut salt = [0; SALT_LEN];
    rng.fill_bytes(&mut salt);
    let (aead, commitment) = schedule(key, context, &salt);
    out.push(crate::VERSION);
    out.extend_from_slice(&salt);
    out.extend_from_slice(&commitment);
    aead
}

/// Checks the prefix of a sealed value; only then is there a key for its body.
pub(crate) fn accept<'a>(
    key: &Secret,
    context: &[u8],
    sealed: &'a [u8],
) -> Result<(LessSafeKey, &'a [u8]), OpenError> {
    let body = strip_version(sealed).map_err(|error| match error {
        DecodeError::UnknownVersion(version) => OpenError::UnknownVersion(version),
        _ => OpenError::Truncated,
    })?;
    let (salt, body) = body.split_at_checked(SALT_LEN).ok_or(OpenError::Truncated)?;
    let (claimed, body) = body.split_at_checked(COMMITMENT_LEN).ok_or(OpenError::Truncated)?;
    let (aead, commitment) = schedule(key, context, salt);
    if bool::from(commitment.ct_eq(claimed)) { Ok((aead, body)) } else { Err(OpenError::WrongKeyOrContext) }
}

/// Encrypts `out[from..]` in place and appends the tag.
pub(crate) fn seal_tail(aead: &LessSafeKey, nonce: [u8; 12], out: &mut Vec<u8>, from: usize) {
    let tag = aead
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut out[from..])
        .expect("ChaCha20-Poly1305 takes up to 256 GiB, and nothing here comes near");
    out.extend_from_slice(tag.as_ref());
}

/// Decrypts one ciphertext with its tag.
pub(crate) fn open_part(
    aead: &LessSafeKey,
    nonce: [u8; 12],
    ciphertext: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let mut buffer = ciphertext.to_vec();
    let len = aead
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut buffer)
        .map_err(|_| OpenError::Altered)?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}

fn schedule(key: &Secret, context: &[u8], salt: &[u8]) -> (LessSafeKey, [u8; COMMITMENT_LEN]) {
    let mut okm = Zeroizing::new([0; 32 + COMMITMENT_LEN]);
    hash::expand(key, &[context, salt], &mut *okm);
    let mut commitment = [0; COMMITMENT_LEN];
    commitment.copy_from_slice(&okm[32..]);
    let aead = UnboundKey::new(&CHACHA20_POLY1305, &okm[..32]).expect("the key has 32 bytes");
    (LessSafeKey::new(aead), commitment)
}

#[cfg(test)]
mod tests;
