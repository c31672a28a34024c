//! A vault in a file, sealed under a passphrase by Argon2id.

use std::collections::BTreeMap;
use std::path::PathBuf;

use alcove_crypto::local::LocalKey;
use rand::rngs::SysRng;
use rand::{CryptoRng, TryRng as _};
use serde::{Deserialize, Serialize};

use super::file::read_if_there;
use super::{KeyVault, VaultError, VaultKey};
use crate::envelope::{from_cbor, to_cbor};
use crate::files;

const PURPOSE: &str = "vault";

/// A vault that a passphrase opens. Opening takes as long as a login, and as much memory.
pub struct Passphrase {
    path: PathBuf,
    salt: [u8; 16],
    key: LocalKey,
}

#[derive(Serialize, Deserialize)]
struct File {
    salt: [u8; 16],
    keys: BTreeMap<String, Vec<u8>>,
}

impl Passphrase {
    /// Opens the vault at this path, or begins a new one there, which is written when a store is made.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`], when it was made with another one.
    pub fn open(path: impl Into<PathBuf>, passphrase: &str) -> Result<Self, VaultError> {
        let path = path.into();
        let Some(file) = read(&path)? else { return Self::begin(path, passphrase) };
        let key = LocalKey::from_passphrase(passphrase.as_bytes(), &file.salt)?;
        let vault = Self { path, salt: file.salt, key };
        for (name, sealed) in &file.keys {
            vault.open_key(name, sealed)?;
        }
        Ok(vault)
    }

    fn begin(path: PathBuf, passphrase: &str) -> Result<Self, VaultError> {
        let mut salt = [0; 16];
        SysRng.try_fill_bytes(&mut salt).map_err(|error| VaultError::Failed(error.to_string()))?;
        let key = LocalKey::from_passphrase(passphrase.as_bytes(), &salt)?;
        Ok(Self { path, salt, key })
    }

    /// Exchanges the passphrase. A cut leaves the one or the other.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub fn change(self, passphrase: &str) -> Result<Self, VaultError> {
        let new = Self::begin(self.path.clone(), passphrase)?;
        let mut file = File { salt: new.salt, keys: BTreeMap::new() };
        for key in VaultKey::ALL {
            if let Some(secret) = self.load(key)? {
                file.keys.insert(key.name().to_owned(), new.seal(key, &secret));
            }
        }
        files::replace(&new.path, &to_cbor(&file))?;
        Ok(new)
    }

    fn open_key(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        use alcove_crypto::sealed::OpenError;
        match self.key.open(&self.salt, PURPOSE, name.as_bytes(), sealed) {
            Ok(secret) => Ok(secret.to_vec()),
            Err(OpenError::WrongKeyOrContext) => Err(VaultError::WrongPassphrase),
            Err(_) => Err(VaultError::Damaged),
        }
    }

    fn seal(&self, key: VaultKey, secret: &[u8]) -> Vec<u8> {
        fn with(rng: &mut impl CryptoRng, vault: &Passphrase, key: VaultKey, secret: &[u8]) -> Vec<u8> {
            vault.key.seal(&vault.salt, PURPOSE, key.name().as_bytes(), secret, rng)
        }
        with(&mut rand::rng(), self, key, secret)
    }
}

fn read(path: &std::path::Path) -> Result<Option<File>, VaultError> {
    let Some(bytes) = read_if_there(path)? else { return Ok(None) };
    from_cbor(&bytes).map(Some).ok_or(VaultError::Damaged)
}

impl KeyVault for Passphrase {
    fn load(&self, key: VaultKey) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(file) = read(&self.path)? else { return Ok(None) };
        file.keys.get(key.name()).map(|sealed| self.open_key(key.name(), sealed)).transpose()
    }

    fn save(&self, key: VaultKey, secret: Vec<u8>) -> Result<(), VaultError> {
        let secret = zeroize::Zeroizing::new(secret);
        let mut file = read(&self.path)?.unwrap_or(File { salt: self.salt, keys: BTreeMap::new() });
        if file.salt != self.salt {
            return Err(VaultError::WrongPassphrase);
        }
        file.keys.insert(key.name().to_owned(), self.seal(key, &secret));
        Ok(files::replace(&self.path, &to_cbor(&file))?)
    }

    fn erase(&self) -> Result<(), VaultError> {
        Ok(files::remove(&self.path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_and_damage_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let vault = Passphrase::open(&path, "correct horse").unwrap();
        vault.save(VaultKey::Unlocked, vec![1; 32]).unwrap();
        assert_eq!(Passphrase::open(&path, "wrong horse").err(), Some(VaultError::WrongPassphrase));
        let vault = Passphrase::open(&path, "correct horse").unwrap().change("new horse").unwrap();
        assert_eq!(vault.load(VaultKey::Unlocked), Ok(Some(vec![1; 32])));
        assert_eq!(vault.load(VaultKey::Background), Ok(None));
        assert_eq!(Passphrase::open(&path, "correct horse").err(), Some(VaultError::WrongPassphrase));
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes.truncate(last);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Passphrase::open(&path, "new horse").err(), Some(VaultError::Damaged));
    }
}
