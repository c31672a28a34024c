//! The local store: SQLite that holds ciphertext only, in one file, for several processes.
//!
//! Records are stored as they were sealed for the space. Everything else is sealed under a key from the vault. Every write is
//! one transaction and durable when it returns. What the app sees, what the server has confirmed, what is on its way and what
//! was fetched are four small tables over one table of sealed bytes, so no step of a sync copies a record.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alcove_crypto::account::keys::DeviceSecret;
use alcove_crypto::local::LocalKey;
use alcove_crypto::sealed::OpenError;
use rand::CryptoRng;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Error, Result};
use crate::files;
use crate::keys::{Account, Keys, Session, StoredAccount};
use crate::vault::{KeyVault, VaultError, VaultKey};

pub(crate) mod incidents;
pub(crate) mod locked;
pub(crate) mod log;
pub(crate) mod outgoing;
pub(crate) mod records;
mod schema;
pub(crate) mod staging;
mod values;

/// The file of a store in its folder, and what it is called until it is complete.
const FILE: &str = "alcove.db";
const UNFINISHED: &str = "alcove.db.new";
/// Locked by the process that syncs.
pub(crate) const SYNC_LOCK: &str = "sync.lock";
/// How long a writer waits for another process.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// The store of one folder. Clones share it.
#[derive(Clone)]
pub(crate) struct Local(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    sealer: Sealer,
    writer: Mutex<Writer>,
}

struct Writer {
    connection: Connection,
    session: Option<(i64, Arc<Session>)>,
}

/// The vault's keys, for the values of one store.
pub(crate) struct Sealer {
    store: [u8; 16],
    /// Nothing while the device is locked.
    unlocked: Option<LocalKey>,
    background: LocalKey,
}

/// A transaction.
pub(crate) struct Tx<'a> {
    pub(crate) sql: rusqlite::Transaction<'a>,
    pub(crate) session: Arc<Session>,
    pub(crate) sealer: &'a Sealer,
}

impl Local {
    /// Opens the store in a folder, or makes one where there is none.
    pub(crate) fn open(folder: &Path, vault: &dyn KeyVault, rng: &mut impl CryptoRng) -> Result<Self> {
        files::make_folder(folder)?;
        let (file, unfinished) = (folder.join(FILE), folder.join(UNFINISHED));
        let unlocked = load(vault, VaultKey::Unlocked)?;
        let background = load(vault, VaultKey::Background)?;
        if !file.exists() {
            match (&unlocked, unfinished.exists()) {
                // Cut while it was made, after the vault had taken the keys: nothing is missing but its name.
                (Some(_), true) => finish_making(&unfinished, &file)?,
                (Some(_), false) => {
                    return Err(Error::Missing("the vault has a key, but the store that it opened is gone"));
                }
                (None, _) => return Self::make(folder, vault, rng),
            }
        }
        let (Some(unlocked), Some(background)) = (unlocked, background) else {
            return Err(Error::Missing("there is a store, but the vault has no key for it"));
        };
        let connection = connect(&file)?;
        schema::migrate(&connection)?;
        let store = schema::store_id(&connection)?;
        Self::check(folder, connection, Sealer { store, unlocked: Some(unlocked), background })
    }

    fn make(folder: &Path, vault: &dyn KeyVault, rng: &mut impl CryptoRng) -> Result<Self> {
        let (file, unfinished) = (folder.join(FILE), folder.join(UNFINISHED));
        // Nobody has written into it: no user's word went in before it had its name.
        for rest in ["", "-wal", "-shm", "-journal"] {
            files::remove(&folder.join(format!("{UNFINISHED}{rest}")))?;
        }
        let mut store = [0; 16];
        rng.fill_bytes(&mut store);
        let (unlocked, background) = (LocalKey::make(rng), LocalKey::make(rng));
        let secrets = [unlocked.expose().to_vec(), background.expose().to_vec()];
        let sealer = Sealer { store, unlocked: Some(unlocked), background };
        files::private(std::fs::OpenOptions::new().write(true).create(true)).open(&unfinished)?;
        let mut connection = connect(&unfinished)?;
        schema::make(&connection, &store)?;
        let keys = Keys::make(rng);
        let session = Session { keys, device: DeviceSecret::make(rng), account: None };
        {
            let sql = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let tx = Tx { sql, session: Arc::new(session), sealer: &sealer };
            tx.set_keys(&tx.session.keys)?;
            tx.set_device(&tx.session.device)?;
            tx.sql.commit()?;
        }
        // Without its journal, so that the name of the file is all that is left to change.
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        drop(connection);
        let [unlocked, background] = secrets;
        vault.save(VaultKey::Background, background)?;
        vault.save(VaultKey::Unlocked, unlocked)?;
        finish_making(&unfinished, &file)?;
        Self::check(folder, connect(&file)?, sealer)
    }

    /// The keys must fit before anything is done with the store.
    fn check(folder: &Path, connection: Connection, sealer: Sealer) -> Result<Self> {
        let mut writer = Writer { connection, session: None };
        writer.transaction(&sealer)?;
        Ok(Self(Arc::new(Inner { folder: folder.to_owned(), sealer, writer: Mutex::new(writer) })))
    }

    /// Runs a transaction on a thread where it may take its time. Nothing of it stays if it fails.
    pub(crate) async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let inner = Arc::clone(&self.0);
        let run = move || {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let tx = writer.transaction(&inner.sealer)?;
            let result = work(&tx)?;
            tx.sql.commit()?;
            Ok(result)
        };
        finished(tokio::task::spawn_blocking(run).await)
    }

    /// Keys and account as they are now.
    pub(crate) async fn session(&self) -> Result<Arc<Session>> {
        self.write(|tx| Ok(Arc::clone(&tx.session))).await
    }

    /// A connection that only reads.
    pub(crate) fn reader(&self) -> Result<Connection> {
        connect(&self.0.folder.join(FILE))
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0.folder
    }
}

impl Writer {
    fn transaction<'a>(&'a mut self, sealer: &'a Sealer) -> Result<Tx<'a>> {
        let Self { connection, session } = self;
        let sql = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let generation = schema::counter(&sql, "generation")?;
        if session.as_ref().is_none_or(|(known, _)| *known != generation) {
            *session = Some((generation, Arc::new(read_session(&sql, sealer)?)));
        }
        let session = session.as_ref().map(|(_, session)| Arc::clone(session)).expect("read just now");
        Ok(Tx { sql, session, sealer })
    }
}

/// Keys and account, for a reader of this or another process.
pub(crate) fn read_session(connection: &Connection, sealer: &Sealer) -> Result<Session> {
    let missing = || Error::Corrupt("the keys of the store are gone".into());
    let stored = values::read(connection, sealer, values::KEYS)?.ok_or_else(missing)?;
    let device = values::read_bytes(connection, sealer, values::DEVICE)?.ok_or_else(missing)?;
    let device: &[u8; 64] = device.as_slice().try_into().map_err(|_| missing())?;
    let account = values::read::<StoredAccount>(connection, sealer, values::ACCOUNT)?;
    Ok(Session {
        keys: Keys::from_stored(&stored)?,
        device: DeviceSecret::from_bytes(device),
        account: account.map(Account::open).transpose()?,
    })
}

/// How often keys or account have changed: what was read before a change is stale.
pub(crate) fn generation(connection: &Connection) -> Result<i64> {
    schema::counter(connection, "generation")
}

impl Sealer {
    fn key(&self, name: &str) -> Result<&LocalKey> {
        if values::BACKGROUND.contains(&name) {
            return Ok(&self.background);
        }
        self.unlocked.as_ref().ok_or(Error::Vault(VaultError::Locked))
    }

    fn open(&self, name: &str, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>> {
        let opened = self.key(name)?.open(&self.store, "value", name.as_bytes(), sealed);
        opened.map_err(|error| match error {
            OpenError::WrongKeyOrContext => Error::WrongKey,
            error => Error::Corrupt(format!("{name}: {error}")),
        })
    }

    fn seal(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        Ok(self.key(name)?.seal(&self.store, "value", name.as_bytes(), value, &mut rand::rng()))
    }
}

/// The sealer for a store that can no longer be opened as a whole.
pub(crate) fn rescue_sealer(connection: &Connection, vault: &dyn KeyVault) -> Result<Sealer> {
    let missing = || Error::Missing("there is a store, but the vault has no key for it");
    Ok(Sealer {
        store: schema::store_id(connection)?,
        unlocked: Some(load(vault, VaultKey::Unlocked)?.ok_or_else(missing)?),
        background: load(vault, VaultKey::Background)?.ok_or_else(missing)?,
    })
}

/// The keys of the records of such a store.
pub(crate) fn rescue_keys(connection: &Connection, sealer: &Sealer) -> Result<Keys> {
    let stored = values::read(connection, sealer, values::KEYS)?;
    Keys::from_stored(&stored.ok_or_else(|| Error::Corrupt("the keys of the store are gone".into()))?)
}

/// Removes every file of the store. The vault's keys are for the caller to erase, first.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    for name in [FILE, UNFINISHED] {
        for rest in ["", "-wal", "-shm", "-journal"] {
            files::remove(&folder.join(format!("{name}{rest}")))?;
        }
    }
    Ok(files::remove(&folder.join(SYNC_LOCK))?)
}

/// A connection to a damaged store, which nothing is written to.
pub(crate) fn connect_read_only(folder: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(folder.join(FILE), flags)?)
}

fn connect(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    schema::check_file(&connection)?;
    // 16 KiB pages hold ten records each; FULL makes a commit durable before it returns.
    connection.execute_batch(
        "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn finish_making(unfinished: &Path, file: &Path) -> Result<()> {
    std::fs::rename(unfinished, file)?;
    files::sync_folder(file)?;
    Ok(())
}

fn load(vault: &dyn KeyVault, key: VaultKey) -> Result<Option<LocalKey>> {
    let Some(bytes) = vault.load(key)? else { return Ok(None) };
    let bytes = zeroize::Zeroizing::new(bytes);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| Error::WrongKey)?;
    Ok(Some(LocalKey::from_bytes(bytes)))
}

/// What a blocking task came to: it never panics, but the runtime may end before it does.
pub(crate) fn finished<R>(joined: Result<Result<R>, tokio::task::JoinError>) -> Result<R> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Cancelled),
    }
}
