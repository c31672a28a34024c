//! The server's secrets: what makes a stolen database useless for guessing names and passwords.
//!
//! They live apart from the database, in a file that only the server's user may read, or in an environment variable with
//! the same text. They are made once and never lost: without them nobody can log in by password again.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use alcove_crypto::opaque::ServerSetup;
use alcove_crypto::opaque::ServerSetups;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rngs::SysRng;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use ring::hmac;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use alcove_protocol::LoginName;

use crate::store::NameHash;

const HEADING: &str = "\
# The secrets of an Alcove server. Whoever has these and the database can guess at passwords and names.
# Keep a copy, apart from the database's backups: without it nobody can log in by password again.
";
const FIRST_LINE: &str = "alcove-secrets-1";

/// The server's secrets.
pub struct Secrets {
    /// For OPAQUE.
    pub opaque: ServerSetups,
    tokens: Zeroizing<[u8; 32]>,
    names: hmac::Key,
    names_bytes: Zeroizing<[u8; 32]>,
}

/// Why there are no secrets.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// The file cannot be read or written.
    #[error("the secrets in {path} cannot be read or written: {error}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Others may read the file.
    #[error("others may read the secrets in {path}: chmod 600 {path}")]
    Readable {
        /// Its path.
        path: String,
    },
    /// The text is not what this program wrote.
    #[error("{from} does not hold the secrets of an Alcove server: {what}")]
    Malformed {
        /// The file or variable.
        from: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
}

impl Secrets {
    /// New ones.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make() -> Result<Self, SecretsError> {
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|_| SecretsError::Randomness)?;
        let (mut tokens, mut names) = ([0; 32], [0; 32]);
        rng.fill_bytes(&mut tokens);
        rng.fill_bytes(&mut names);
        let secrets = Self::new(ServerSetups::new(ServerSetup::make(&mut rng), vec![]), tokens, names);
        tokens.zeroize();
        names.zeroize();
        Ok(secrets)
    }

    fn new(opaque: ServerSetups, tokens: [u8; 32], names: [u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &names);
        Self { opaque, tokens: Zeroizing::new(tokens), names: key, names_bytes: Zeroizing::new(names) }
    }

    /// Those in a file; nothing if there is no such file.
    ///
    /// # Errors
    /// When it is there, but cannot be read, may be read by others, or holds something else.
    pub fn read(path: &Path) -> Result<Option<Self>, SecretsError> {
        let named = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SecretsError::File { path: named, error }),
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(path).map(|file| file.permissions().mode());
            if mode.is_ok_and(|mode| mode & 0o077 != 0) {
                return Err(SecretsError::Readable { path: named });
            }
        }
        Self::parse(&text, &named).map(Some)
    }

    /// Reads the text of a file or variable.
    ///
    /// # Errors
    /// When it is anything but what [`Secrets::to_text`] gives; comments and empty lines do not matter.
    pub fn parse(text: &str, from: &str) -> Result<Self, SecretsError> {
        let malformed = |what| SecretsError::Malformed { from: from.to_owned(), what };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("the first line is not `alcove-secrets-1`"));
        }
        let mut value = |name: &'static str, missing| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
            let bytes = line.and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded.trim()).ok());
            bytes.map(Zeroizing::new).ok_or_else(|| malformed(missing))
        };
        let opaque = value("opaque", "`opaque = …` is missing or not base64url")?;
        let tokens = value("tokens", "`tokens = …` is missing or not base64url")?;
        let names = value("names", "`names = …` is missing or not base64url")?;
        if lines.next().is_some() {
            return Err(malformed("there is more than the three secrets"));
        }
        let opaque =
            ServerSetups::from_bytes(&opaque).map_err(|_| malformed("`opaque` is not a whole setup"))?;
        let key = |bytes: &[u8], what| <[u8; 32]>::try_from(bytes).map_err(|_| malformed(what));
        Ok(Self::new(
            opaque,
            key(&tokens, "`tokens` has not 32 bytes")?,
            key(&names, "`names` has not 32 bytes")?,
        ))
    }

    /// The text for a file.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let line = |name: &str, bytes: &[u8]| {
            Zeroizing::new(format!("{name} = {}\n", *Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes))))
        };
        let mut text = Zeroizing::new(String::with_capacity(2048));
        text.push_str(HEADING);
        text.push_str(FIRST_LINE);
        text.push('\n');
        text.push_str(&line("opaque", &self.opaque.to_bytes()));
        text.push_str(&line("tokens", &*self.tokens));
        text.push_str(&line("names", &*self.names_bytes));
        text
    }

    /// Writes them to a file that is not there yet, whole or not at all, readable for this user only.
    ///
    /// # Errors
    /// When that cannot be done, or a file is there.
    pub fn write(&self, path: &Path) -> Result<(), SecretsError> {
        let failed = |error| SecretsError::File { path: path.display().to_string(), error };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(folder).map_err(failed)?;
        }
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&temporary).and_then(|mut file| {
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            // Unlike a rename, a link never replaces what is there.
            fs::hard_link(&temporary, path)
        });
        drop(fs::remove_file(&temporary));
        written.map_err(failed)
    }

    /// The keyed hash under which a name is known.
    #[must_use]
    pub fn name_hash(&self, name: &LoginName) -> NameHash {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(b"alcove-server/1/login-name\0");
        context.update(name.as_str().as_bytes());
        NameHash(digest(context.sign().as_ref()))
    }

    /// A key for one purpose, from the token key.
    #[must_use]
    pub(crate) fn token_key(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.tokens);
        digest(hmac::sign(&key, purpose.as_bytes()).as_ref())
    }

    /// Tells these secrets from others without telling anything of them. A database is bound to it.
    #[must_use]
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(b"alcove-server/1/secrets\0");
        context.update(self.opaque.oldest().id().as_bytes());
        context.sign().as_ref().to_vec()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(bytes);
    out
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets([hidden])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_others_may_not_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/secrets");
        assert!(Secrets::read(&path).unwrap().is_none());
        let made = Secrets::make().unwrap();
        made.write(&path).unwrap();
        let read = Secrets::read(&path).unwrap().unwrap();
        assert_eq!(read.fingerprint(), made.fingerprint());
        assert_eq!(*read.to_text(), *made.to_text());
        assert!(made.write(&path).is_err(), "nothing replaces secrets");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(Secrets::read(&path), Err(SecretsError::Readable { .. })));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Secrets::make().unwrap().to_text();
        assert!(Secrets::parse(&good, "test").is_ok());
        for line in good.lines().filter(|line| !line.starts_with('#')) {
            assert!(Secrets::parse(&good.replace(line, ""), "test").is_err(), "{line} left out");
            assert!(
                Secrets::parse(&good.replace(line, &line[..line.len() - 3]), "test").is_err(),
                "{line} cut"
            );
        }
        for text in ["", "alcove-secrets-1", "alcove-secrets-2\n", &format!("{}more", *good)] {
            assert!(Secrets::parse(text, "test").is_err());
        }
        assert_eq!(format!("{:?}", Secrets::make().unwrap()), "Secrets([hidden])");
    }

    #[test]
    fn two_servers_know_a_name_by_two_hashes() {
        let name = LoginName::parse("anna").unwrap();
        let (one, two) = (Secrets::make().unwrap(), Secrets::make().unwrap());
        assert!(one.name_hash(&name) == one.name_hash(&LoginName::parse(" ANNA ").unwrap()));
        assert!(one.name_hash(&name) != two.name_hash(&name));
        assert_ne!(one.fingerprint(), two.fingerprint());
    }
}
