//! SHA-256 and HKDF-SHA-256, always behind a label.
//!
//! SPEC.md section 2.3. Three shapes and no other: a labelled hash, a key derived from a key
//! and a context, and the extraction that turns other secrets into a key first.

use sha2::{Digest, Sha256};

/// SHA-256 over `label ‖ 0x00 ‖ parts`. The caller's parts must be of fixed length, but for the last.
pub(crate) fn labelled(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label);
    hash.update([0]);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of bytes as they are stored.
pub(crate) fn plain(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The first 16 bytes of a hash, for ids.
pub(crate) fn truncated(hash: [u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id
}

#[cfg(feature = "client")]
mod derivation {
    use hkdf::Hkdf;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use crate::cbor::{Item, encode};
    use crate::secret::Secret;

    /// The context that every derivation is bound to: `[ label, version, … ]` as deterministic CBOR.
    pub(crate) fn context(label: &str, items: &[Item<'_>]) -> Vec<u8> {
        let mut all = Vec::with_capacity(items.len() + 2);
        all.push(label.into());
        all.push(u64::from(crate::VERSION).into());
        all.extend_from_slice(items);
        encode(&all)
    }

    /// HKDF-Expand-SHA-256(key, context, 32).
    pub(crate) fn derive(key: &Secret, context: &[u8]) -> Secret {
        Secret::filled(|out| expand(key, &[context], out))
    }

    /// HKDF-Expand-SHA-256 to at most 64 bytes.
    pub(crate) fn expand(key: &Secret, info: &[&[u8]], out: &mut [u8]) {
        Hkdf::<Sha256>::from_prk(key.expose())
            .and_then(|hkdf| hkdf.expand_multi_info(info, out).map_err(|_| hkdf::InvalidPrkLength))
            .expect("a key of 32 bytes and an output of at most 64 are within HKDF's limits");
    }

    /// HMAC-SHA-256, for values that are public but must not be guessed without the key.
    pub(crate) fn mac(key: &Secret, message: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes a key of any length");
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// HKDF-Extract-SHA-256 without salt: turns a secret of another shape into a key.
    pub(crate) fn extract(secret: &[u8]) -> Secret {
        let (mut prk, _) = Hkdf::<Sha256>::extract(None, secret);
        let key = Secret::filled(|out| out.copy_from_slice(&prk));
        zeroize::Zeroize::zeroize(prk.as_mut_slice());
        key
    }
}
#[cfg(feature = "client")]
pub(crate) use derivation::{context, derive, expand, extract, mac};
