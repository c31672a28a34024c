//! Where the journal is, and how it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alcove_sdk::vault::{KeyFile, KeyVault, Passphrase};
use alcove_sdk::{Alcove, Options};

use crate::args::Args;
use crate::ask::Ask;
use crate::failure::{Failure, Result};

/// The vault's file, in the folder of the journal, where a passphrase opens it.
const VAULT: &str = "vault";

/// A journal's folder and who keeps its keys.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    key_file: Option<PathBuf>,
}

/// Either vault of the box.
pub(crate) type Vault = Arc<dyn KeyVault>;

impl Place {
    pub(crate) fn of(args: &Args) -> Result<Self> {
        let folder = match &args.store {
            Some(folder) => folder.clone(),
            None => default_folder().ok_or_else(|| Failure::say("say where the journal is, with --store"))?,
        };
        Ok(Self { folder, key_file: args.key_file.clone() })
    }

    pub(crate) fn exists(&self) -> bool {
        self.folder.join("alcove.db").exists()
    }

    /// Makes a journal.
    pub(crate) async fn make(&self, ask: &mut Ask) -> Result<Alcove> {
        if self.exists() {
            return Err(Failure::say(format!("there is a journal in {} already", self.folder.display())));
        }
        make_private(&self.folder)?;
        let vault = if let Some(path) = &self.key_file {
            Arc::new(KeyFile::new(path)) as Vault
        } else {
            let passphrase = ask.new_secret("A passphrase for this device")?;
            if passphrase.is_empty() {
                return Err(Failure::say(
                    "a passphrase cannot be empty; for a file with the keys use --key-file",
                ));
            }
            Arc::new(Passphrase::open(self.folder.join(VAULT), &passphrase)?)
        };
        self.open_with(vault).await
    }

    /// Opens the journal.
    pub(crate) async fn open(&self, ask: &mut Ask) -> Result<Alcove> {
        if !self.exists() {
            let folder = self.folder.display();
            return Err(Failure::say(format!(
                "there is no journal in {folder}; begin one with `alcove init`"
            )));
        }
        self.open_with(self.vault(ask)?).await
    }

    /// The vault of a journal that is there.
    pub(crate) fn vault(&self, ask: &mut Ask) -> Result<Vault> {
        if let Some(path) = &self.key_file {
            return Ok(Arc::new(KeyFile::new(path)) as Vault);
        }
        let passphrase = ask.secret("Passphrase")?;
        Ok(Arc::new(Passphrase::open(self.folder.join(VAULT), &passphrase)?))
    }

    async fn open_with(&self, vault: Vault) -> Result<Alcove> {
        Ok(Alcove::open(Options::new(&self.folder, vault).device_name(device_name())).await?)
    }
}

/// What the other devices show for this one.
fn device_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    host.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "terminal".into())
}

fn default_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = set("HOME");
    if cfg!(windows) {
        return set("LOCALAPPDATA").map(|folder| folder.join("Alcove"));
    }
    if cfg!(target_os = "macos") {
        return home.map(|home| home.join("Library/Application Support/Alcove"));
    }
    set("XDG_DATA_HOME")
        .or_else(|| home.map(|home| home.join(".local/share")))
        .map(|data| data.join("alcove"))
}

fn make_private(folder: &Path) -> Result {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    Ok(builder.create(folder)?)
}
