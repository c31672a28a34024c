//! Root keys: one an epoch, from which the key of the private space follows.
//!
//! SPEC.md section 5.3. [`RootKey`] is a key that this device made itself or that matched the commitment in a verified
//! account state. What came from elsewhere is an [`UnverifiedRootKey`] first, and that seals nothing and opens nothing.

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::state::{EPOCHS_MAX, VerifiedState};
use crate::cbor::{DecodeError, Decoder, Item, encode};
use crate::hash::{context, derive};
use crate::ids::{AccountId, KeyCommitment, SlotId, SpaceId};
use crate::labels;
use crate::sealed::{self, OpenError};
use crate::secret::{Secret, secret_key};
use crate::space::keys::{SpaceKey, SpaceKeys};

/// The root key of one epoch, fit for use.
#[derive(Debug, PartialEq, Eq)]
pub struct RootKey {
    epoch: u64,
    key: Secret,
}

/// A root key that was received and not yet compared with a commitment.
#[derive(Debug)]
pub struct UnverifiedRootKey {
    epoch: u64,
    key: Secret,
}

secret_key! {
    /// Names the slots of singleton records; one for the life of an account.
    NameKey
}

/// What the newest root key keeps for its devices: the name key, and the root keys before it.
#[derive(Debug)]
pub struct Keyring {
    /// Names singletons.
    pub name_key: NameKey,
    earlier: Vec<RootKey>,
}

/// The root key is not the one that the account state commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the root key is not the one that the account state commits to")]
pub struct NotCommitted;

/// The root key's epoch does not follow those of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("epoch {0} does not follow those of the keyring")]
pub struct WrongEpoch(pub u64);

impl RootKey {
    /// The root key of the first epoch, made on the first opening of a store.
    #[must_use]
    pub fn make(rng: &mut impl CryptoRng) -> Self {
        Self { epoch: 1, key: Secret::make(rng) }
    }

    /// A new root key for the epoch after this one.
    #[must_use]
    pub fn make_next(&self, rng: &mut impl CryptoRng) -> Self {
        Self { epoch: self.epoch + 1, key: Secret::make(rng) }
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The commitment that an account state publishes.
    #[must_use]
    pub fn commitment(&self, account: &AccountId) -> KeyCommitment {
        commitment(&self.key, self.epoch, account)
    }

    /// The key of the private space in this epoch.
    #[must_use]
    pub fn private_space_key(&self, space: &SpaceId) -> SpaceKey {
        let context = context(labels::PRIVATE_SPACE_KEY, &[space.into(), self.epoch.into()]);
        SpaceKey { epoch: self.epoch, key: derive(&self.key, &context) }
    }

    /// The key itself, to be kept in the device's sealed local store.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.key.expose()
    }

    #[cfg(test)]
    pub(crate) fn for_vectors(epoch: u64, key: [u8; 32]) -> Self {
        Self { epoch, key: Secret::new(key) }
    }

    fn keyring_key(&self, account: &AccountId) -> Secret {
        derive(&self.key, &context(labels::KEYRING_KEY, &[account.into(), self.epoch.into()]))
    }
}

impl UnverifiedRootKey {
    /// A root key that was received.
    #[must_use]
    pub fn new(epoch: u64, key: [u8; 32]) -> Self {
        Self { epoch, key: Secret::new(key) }
    }

    /// Compares it with the commitment in a verified state; only a key that matches can be used.
    ///
    /// # Errors
    /// [`NotCommitted`] when it is another key, or of another epoch.
    pub fn confirm(self, state: &VerifiedState) -> Result<RootKey, NotCommitted> {
        let state = state.state();
        if self.epoch == state.epoch
            && commitment(&self.key, self.epoch, &state.account) == state.root_commitment
        {
            Ok(RootKey { epoch: self.epoch, key: self.key })
        } else {
            Err(NotCommitted)
        }
    }
}

impl NameKey {
    /// A new one, made on the first opening of a store.
    #[must_use]
    pub fn make(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::make(rng))
    }

    /// The slot of the one record of this kind and key, the same on every device.
    #[must_use]
    pub fn singleton_slot(&self, space: &SpaceId, kind: &str, key: &str) -> SlotId {
        let context = context(labels::SINGLETON_SLOT, &[space.into(), kind.into(), key.into()]);
        let mut slot = [0; 16];
        slot.copy_from_slice(&crate::hash::mac(&self.0, &context)[..16]);
        SlotId::new(slot)
    }
}

impl Keyring {
    /// The keyring of the first epoch.
    #[must_use]
    pub fn new(name_key: NameKey) -> Self {
        Self { name_key, earlier: Vec::new() }
    }

    /// Adds the root key that a new epoch replaces.
    ///
    /// # Errors
    /// When it does not come after those that are here, or no epoch is left: such a ring could never be opened again.
    pub fn retire(&mut self, root: RootKey) -> Result<(), WrongEpoch> {
        let follows = self.earlier.last().is_none_or(|last| last.epoch < root.epoch);
        if !follows || self.earlier.len() + 1 >= EPOCHS_MAX {
            return Err(WrongEpoch(root.epoch));
        }
        self.earlier.push(root);
        Ok(())
    }

    /// The root keys before the newest, in order.
    pub fn earlier(&self) -> impl Iterator<Item = &RootKey> {
        self.earlier.iter()
    }

    /// The keys of the private space for every epoch that this ring and the newest root key reach.
    #[must_use]
    pub fn space_keys(&self, newest: &RootKey, space: &SpaceId) -> SpaceKeys {
        self.earlier.iter().chain([newest]).map(|root| root.private_space_key(space)).collect()
    }

    /// The ring with the newest root key, for the device's own sealed store.
    #[must_use]
    pub fn to_stored(&self, newest: &RootKey) -> Zeroizing<Vec<u8>> {
        let roots = self
            .earlier
            .iter()
            .chain([newest])
            .map(|root| vec![root.epoch.into(), root.key.expose().into()].into())
            .collect::<Vec<Item<'_>>>();
        Zeroizing::new(encode(&[self.name_key.0.expose().into(), roots.into()]))
    }

    /// Reads what [`Keyring::to_stored`] gave. Only for bytes from the device's own sealed store: nothing is compared with a
    /// commitment.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_stored(bytes: &[u8]) -> Result<(Self, RootKey), DecodeError> {
        let mut d = Decoder::new(bytes, 2)?;
        let mut ring = Self::new(NameKey(Secret::new(d.fixed()?)));
        let mut newest: Option<RootKey> = None;
        for _ in 0..d.array(EPOCHS_MAX)? {
            d.array_of(2)?;
            let next = RootKey { epoch: d.uint()?, key: Secret::new(d.fixed()?) };
            if let Some(before) = newest.replace(next) {
                ring.retire(before).map_err(|_| DecodeError::Shape)?;
            }
        }
        d.finish()?;
        Ok((ring, newest.ok_or(DecodeError::Shape)?))
    }

    /// Seals the ring under the newest root key.
    #[must_use]
    pub fn seal(&self, newest: &RootKey, account: &AccountId, rng: &mut impl CryptoRng) -> Vec<u8> {
        let earlier = self
            .earlier
            .iter()
            .map(|root| vec![root.epoch.into(), root.key.expose().into()].into())
            .collect::<Vec<Item<'_>>>();
        let plaintext = Zeroizing::new(encode(&[self.name_key.0.expose().into(), earlier.into()]));
        sealed::seal(&newest.keyring_key(account), &Self::context(newest, account), &plaintext, rng)
    }

    /// Opens a ring with the newest root key.
    ///
    /// # Errors
    /// When it was not sealed under this key for this account.
    pub fn open(sealed: &[u8], newest: &RootKey, account: &AccountId) -> Result<Self, OpenError> {
        let plaintext = sealed::open(&newest.keyring_key(account), &Self::context(newest, account), sealed)?;
        let mut d = Decoder::new(&plaintext, 2)?;
        let name_key = NameKey(Secret::new(d.fixed()?));
        let mut earlier = Vec::new();
        for _ in 0..d.array(EPOCHS_MAX)? {
            d.array_of(2)?;
            earlier.push(RootKey { epoch: d.uint()?, key: Secret::new(d.fixed()?) });
        }
        d.finish()?;
        let epochs = earlier.iter().map(|root| root.epoch).chain([newest.epoch]).collect::<Vec<_>>();
        if epochs.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(DecodeError::Shape.into());
        }
        Ok(Self { name_key, earlier })
    }

    #[cfg(test)]
    pub(crate) fn seal_for_tests(
        newest: &RootKey,
        account: &AccountId,
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        sealed::seal(&newest.keyring_key(account), &Self::context(newest, account), plaintext, rng)
    }

    fn context(newest: &RootKey, account: &AccountId) -> Vec<u8> {
        context(labels::KEYRING, &[account.into(), newest.epoch.into()])
    }
}

fn commitment(key: &Secret, epoch: u64, account: &AccountId) -> KeyCommitment {
    let context = context(labels::ROOT_COMMITMENT, &[account.into(), epoch.into()]);
    KeyCommitment::new(*derive(key, &context).expose())
}
