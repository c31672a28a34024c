//! A vault in a file that only its owner may read: for servers, scripts, and disks that are encrypted anyway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::{KeyVault, VaultError, VaultKey};
use crate::files;

/// A key file. Keep it apart from the store, or the store protects nothing.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The key file at this path. It is made when a store is.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn read(&self) -> Result<BTreeMap<String, String>, VaultError> {
        let Some(text) = read_if_there(&self.path)? else { return Ok(BTreeMap::new()) };
        let text = Zeroizing::new(String::from_utf8(text).map_err(|_| VaultError::Damaged)?);
        let pair = |line: &str| line.split_once(' ').map(|(name, key)| (name.to_owned(), key.to_owned()));
        text.lines().map(pair).collect::<Option<_>>().ok_or(VaultError::Damaged)
    }
}

impl KeyVault for KeyFile {
    fn load(&self, key: VaultKey) -> Result<Option<Vec<u8>>, VaultError> {
        let keys = self.read()?;
        let decode = |text: &String| STANDARD_NO_PAD.decode(text).map_err(|_| VaultError::Damaged);
        keys.get(key.name()).map(decode).transpose()
    }

    fn save(&self, key: VaultKey, secret: Vec<u8>) -> Result<(), VaultError> {
        let secret = Zeroizing::new(secret);
        let mut keys = self.read()?;
        keys.insert(key.name().to_owned(), STANDARD_NO_PAD.encode(&*secret));
        let lines: Vec<_> = keys.iter().map(|(name, key)| format!("{name} {key}")).collect();
        Ok(files::replace(&self.path, Zeroizing::new(lines.join("\n")).as_bytes())?)
    }

    fn erase(&self) -> Result<(), VaultError> {
        Ok(files::remove(&self.path)?)
    }
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, VaultError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let vault = KeyFile::new(&path);
        assert_eq!(vault.load(VaultKey::Unlocked), Ok(None));
        vault.save(VaultKey::Unlocked, vec![1; 32]).unwrap();
        vault.save(VaultKey::Background, vec![2; 32]).unwrap();
        let again = KeyFile::new(&path);
        assert_eq!(again.load(VaultKey::Unlocked), Ok(Some(vec![1; 32])));
        assert_eq!(again.load(VaultKey::Background), Ok(Some(vec![2; 32])));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, b"unlocked \xff").unwrap();
        assert_eq!(again.load(VaultKey::Unlocked), Err(VaultError::Damaged));
        std::fs::write(&path, "unlocked ???").unwrap();
        assert_eq!(again.load(VaultKey::Unlocked), Err(VaultError::Damaged));
        again.erase().unwrap();
        again.erase().unwrap();
        assert_eq!(again.load(VaultKey::Unlocked), Ok(None));
    }
}
