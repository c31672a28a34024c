//! The key of a space in one epoch, and the keys of all its epochs.
//!
//! SPEC.md section 7.1. The private space's keys follow from root keys; a shared space's keys are random, and its
//! control commits to the one of its epoch. Either way a [`SpaceKey`] seals records, headers and controls.

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cbor::{DecodeError, Decoder, Item, encode};
use crate::hash::{context, derive};
use crate::ids::{KeyCommitment, SpaceId};
use crate::labels;
use crate::sealed::{self, OpenError};
use crate::secret::Secret;

/// Epochs that a space can go through.
pub const EPOCHS_MAX: usize = 1024;

/// The key of a space in one epoch.
#[derive(Debug, PartialEq, Eq)]
pub struct SpaceKey {
    pub(crate) epoch: u64,
    pub(crate) key: Secret,
}

/// The keys of a space, by epoch.
#[derive(Debug, Default)]
pub struct SpaceKeys(BTreeMap<u64, SpaceKey>);

impl SpaceKey {
    /// A new random key for an epoch of a shared space.
    #[must_use]
    pub fn make(epoch: u64, rng: &mut impl CryptoRng) -> Self {
        Self { epoch, key: Secret::make(rng) }
    }

    pub(crate) fn new(epoch: u64, key: [u8; 32]) -> Self {
        Self { epoch, key: Secret::new(key) }
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The commitment that the control of a shared space publishes.
    #[must_use]
    pub fn commitment(&self, space: &SpaceId) -> KeyCommitment {
        let context = context(labels::SHARED_SPACE_COMMITMENT, &[space.into(), self.epoch.into()]);
        KeyCommitment::new(*derive(&self.key, &context).expose())
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }

    fn keyring_context(&self, space: &SpaceId) -> Vec<u8> {
        context(labels::SHARED_KEYRING, &[space.into(), self.epoch.into()])
    }
}

impl SpaceKeys {
    /// The key of an epoch.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Option<&SpaceKey> {
        self.0.get(&epoch)
    }

    /// The newest key: what is written now is sealed with it.
    #[must_use]
    pub fn newest(&self) -> Option<&SpaceKey> {
        self.0.last_key_value().map(|(_, key)| key)
    }

    /// Adds a key that matched its commitment.
    pub fn insert(&mut self, key: SpaceKey) {
        self.0.insert(key.epoch, key);
    }

    /// Seals the earlier keys of a shared space under the newest, for members who may read what was written before.
    #[must_use]
    pub fn seal_earlier(&self, space: &SpaceId, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let newest = self.newest()?;
        let earlier: Vec<Item<'_>> = self
            .0
            .values()
            .filter(|key| key.epoch != newest.epoch)
            .map(|key| vec![key.epoch.into(), key.expose().into()].into())
            .collect();
        let plaintext = Zeroizing::new(encode(&[earlier.into()]));
        Some(sealed::seal(&newest.key, &newest.keyring_context(space), &plaintext, rng))
    }

    /// Opens the earlier keys of a shared space with the newest.
    ///
    /// # Errors
    /// When they were not sealed under this key for this space.
    pub fn open_earlier(newest: SpaceKey, space: &SpaceId, sealed: &[u8]) -> Result<Self, OpenError> {
        let plaintext = sealed::open(&newest.key, &newest.keyring_context(space), sealed)?;
        let mut d = Decoder::new(&plaintext, 1)?;
        let mut keys = Self::default();
        for _ in 0..d.array(EPOCHS_MAX)? {
            d.array_of(2)?;
            let (epoch, key) = (d.uint()?, d.fixed()?);
            if keys.0.last_key_value().is_some_and(|(last, _)| *last >= epoch) || epoch >= newest.epoch {
                return Err(DecodeError::Shape.into());
            }
            keys.insert(SpaceKey::new(epoch, key));
        }
        d.finish()?;
        keys.insert(newest);
        Ok(keys)
    }
}

impl FromIterator<SpaceKey> for SpaceKeys {
    fn from_iter<T: IntoIterator<Item = SpaceKey>>(keys: T) -> Self {
        Self(keys.into_iter().map(|key| (key.epoch, key)).collect())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn earlier_keys_travel_under_the_newest() {
        let rng = &mut StdRng::seed_from_u64(1);
        let space = SpaceId::make(rng);
        let keys: SpaceKeys = (1..=3).map(|epoch| SpaceKey::make(epoch, rng)).collect();
        let sealed = keys.seal_earlier(&space, rng).unwrap();
        let newest = || SpaceKey::new(3, *keys.epoch(3).unwrap().expose());
        let opened = SpaceKeys::open_earlier(newest(), &space, &sealed).unwrap();
        for epoch in 1..=3 {
            assert_eq!(opened.epoch(epoch), keys.epoch(epoch));
        }
        assert!(opened.epoch(4).is_none());
        let other = SpaceId::make(rng);
        assert_eq!(
            SpaceKeys::open_earlier(newest(), &other, &sealed).unwrap_err(),
            OpenError::WrongKeyOrContext
        );
        let stale = SpaceKey::new(2, *keys.epoch(2).unwrap().expose());
        assert_eq!(
            SpaceKeys::open_earlier(stale, &space, &sealed).unwrap_err(),
            OpenError::WrongKeyOrContext
        );
    }

    #[test]
    fn a_commitment_is_to_one_key_epoch_and_space() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (a, b) = (SpaceId::make(rng), SpaceId::make(rng));
        let key = SpaceKey::make(1, rng);
        let commitments = [
            key.commitment(&a),
            key.commitment(&b),
            SpaceKey::new(2, *key.expose()).commitment(&a),
            SpaceKey::make(1, rng).commitment(&a),
        ];
        for (i, one) in commitments.iter().enumerate() {
            assert!(commitments[i + 1..].iter().all(|other| other != one));
        }
    }
}
