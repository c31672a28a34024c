//! Values in the device's own store: sealed under a key from the platform's key store.
//!
//! SPEC.md section 9. Settings, outbox, merge bases and key material are sealed like everything else; the context names
//! the store, the purpose and the key under which the value is kept, so that no two can be exchanged.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hash::{context, derive, extract};
use crate::labels;
pub use crate::opaque::OutOfMemory;
use crate::opaque::stretch;
use crate::sealed::{self, OpenError};
use crate::secret::stored_key;

stored_key! {
    /// A key of the local store, kept by the platform.
    LocalKey
}

impl LocalKey {
    /// The key that a passphrase opens, where no platform keeps keys: it seals the keys of a store, and nothing else. Takes
    /// as long as a login.
    ///
    /// # Errors
    /// When the memory for it cannot be had.
    pub fn from_passphrase(passphrase: &[u8], salt: &[u8; 16]) -> Result<Self, OutOfMemory> {
        let mut stretched = Zeroizing::new([0; 32]);
        stretch(passphrase, salt, &mut *stretched)?;
        Ok(Self(derive(&extract(&*stretched), &context(labels::LOCAL_PASSPHRASE, &[salt.into()]))))
    }

    /// Seals a value for its place in the store.
    #[must_use]
    pub fn seal(
        &self,
        store: &[u8; 16],
        purpose: &str,
        name: &[u8],
        value: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        sealed::seal(&self.0, &place(store, purpose, name), value, rng)
    }

    /// Opens a value of this place.
    ///
    /// # Errors
    /// [`OpenError::WrongKeyOrContext`] when the key does not fit the store, [`OpenError::Altered`] when the value is corrupt.
    pub fn open(
        &self,
        store: &[u8; 16],
        purpose: &str,
        name: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        sealed::open(&self.0, &place(store, purpose, name), sealed)
    }
}

fn place(store: &[u8; 16], purpose: &str, name: &[u8]) -> Vec<u8> {
    context(labels::LOCAL_VALUE, &[store.into(), purpose.into(), name.into()])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_lost_key_is_told_apart_from_corruption() {
        let rng = &mut StdRng::seed_from_u64(1);
        let key = LocalKey::make(rng);
        let sealed = key.seal(&[1; 16], "settings", b"theme", b"dark", rng);
        let open = |key: &LocalKey, store, purpose, name: &[u8], sealed: &[u8]| {
            key.open(store, purpose, name, sealed)
        };
        assert_eq!(open(&key, &[1; 16], "settings", b"theme", &sealed).unwrap().as_slice(), b"dark");
        let misplaced = Err(OpenError::WrongKeyOrContext);
        assert_eq!(open(&LocalKey::make(rng), &[1; 16], "settings", b"theme", &sealed), misplaced);
        assert_eq!(open(&key, &[2; 16], "settings", b"theme", &sealed), misplaced);
        assert_eq!(open(&key, &[1; 16], "outbox", b"theme", &sealed), misplaced);
        assert_eq!(open(&key, &[1; 16], "settings", b"them", &sealed), misplaced);
        let mut corrupt = sealed;
        *corrupt.last_mut().unwrap() ^= 1;
        assert_eq!(open(&key, &[1; 16], "settings", b"theme", &corrupt), Err(OpenError::Altered));
    }

    /// The expected key was computed by argon2-cffi and Python's hmac, from SPEC.md.
    #[test]
    fn a_passphrase_gives_the_key_that_the_specification_says() {
        let key = LocalKey::from_passphrase(b"correct horse", &[7; 16]).unwrap();
        let expected = "663cf86ba6ec077590f02f42b5f440dd42c724eb22010e016e21c52772a739fb";
        assert_eq!(crate::world::hex(key.expose()), expected);
        assert_ne!(LocalKey::from_passphrase(b"correct horse", &[8; 16]), Ok(key));
    }
}
