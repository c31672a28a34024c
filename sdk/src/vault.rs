//! Vaults: where the two keys of a local store live. Apps bring the platform's key store; the box has a passphrase and a file.
//!
//! The key for when the device is **unlocked** opens everything. The **background** key opens only what is needed to speak to
//! the server: the device's own keys. A platform gives it out after the first unlock, so that a locked phone can fetch and
//! deliver ciphertext, and read nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use alcove_crypto::local::OutOfMemory;
use thiserror::Error;

mod file;
mod passphrase;

pub use file::KeyFile;
pub use passphrase::Passphrase;

/// Which of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VaultKey {
    /// Usable while the device is unlocked.
    Unlocked,
    /// Usable since the first unlock.
    Background,
}

/// Why a vault did not give or take a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The device is locked, or the user did not authenticate.
    #[error("locked")]
    Locked,
    /// The passphrase is not the one with which the vault was made.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// What is there is no vault, or damaged.
    #[error("damaged, or no vault at all")]
    Damaged,
    /// The platform or the disk failed.
    #[error("{0}")]
    Failed(String),
}

/// Keeps the keys of one store. Implemented by the app over the Keychain or the Android Keystore.
pub trait KeyVault: Send + Sync {
    /// The key, if there is one. `None` means that there never was: a key that cannot be had now is [`VaultError::Locked`].
    ///
    /// # Errors
    /// When it cannot be had.
    fn load(&self, key: VaultKey) -> Result<Option<Vec<u8>>, VaultError>;

    /// Keeps a key, replacing what was there.
    ///
    /// # Errors
    /// When it cannot be kept. It must be safe on disk when this returns.
    fn save(&self, key: VaultKey, secret: Vec<u8>) -> Result<(), VaultError>;

    /// Forgets both keys. What they sealed is gone with them.
    ///
    /// # Errors
    /// When they cannot be forgotten.
    fn erase(&self) -> Result<(), VaultError>;
}

impl<V: KeyVault + ?Sized> KeyVault for std::sync::Arc<V> {
    fn load(&self, key: VaultKey) -> Result<Option<Vec<u8>>, VaultError> {
        (**self).load(key)
    }

    fn save(&self, key: VaultKey, secret: Vec<u8>) -> Result<(), VaultError> {
        (**self).save(key, secret)
    }

    fn erase(&self) -> Result<(), VaultError> {
        (**self).erase()
    }
}

/// A vault that forgets everything when it is dropped: for tests and demonstrations.
#[derive(Default)]
pub struct InMemory(Mutex<HashMap<VaultKey, Vec<u8>>>);

impl KeyVault for InMemory {
    fn load(&self, key: VaultKey) -> Result<Option<Vec<u8>>, VaultError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned())
    }

    fn save(&self, key: VaultKey, secret: Vec<u8>) -> Result<(), VaultError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, secret);
        Ok(())
    }

    fn erase(&self) -> Result<(), VaultError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }
}

impl VaultKey {
    const ALL: [Self; 2] = [Self::Unlocked, Self::Background];

    fn name(self) -> &'static str {
        match self {
            Self::Unlocked => "unlocked",
            Self::Background => "background",
        }
    }
}

impl From<std::io::Error> for VaultError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<OutOfMemory> for VaultError {
    fn from(error: OutOfMemory) -> Self {
        Self::Failed(error.to_string())
    }
}
