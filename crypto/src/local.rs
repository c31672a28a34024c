//! Values in the device's own store: sealed under a key from the platform's key store.
//!
//! SPEC.md section 9. Settings, outbox, merge bases and key material are sealed like everything else; the context names
//! the store, the purpose and the key under which the value is kept, so that no two can be exchanged.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::hash::context;
use crate::labels;
use crate::sealed::{self, OpenError};
use crate::secret::stored_key;

stored_key! {
    /// A key of the local store, kept by the platform.
    LocalKey
}

impl LocalKey {
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
}
