//! Tables of the local store, and how a store of an earlier version becomes one of this.
//!
//! Nothing here is readable but ids, numbers, hashes and lengths. Ids and hashes are random or of ciphertext.

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::{Error, Result};

/// Marks a SQLite file as ours: `Alcv`.
const APPLICATION: i32 = 0x416c_6376;

/// Each brings a store from its index to the next version. Only ever added to; `tests/stores/` keeps one of each.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE store (id BLOB NOT NULL);
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    -- Settings and key material, each sealed under a key of the vault.
    CREATE TABLE sealed_values (name TEXT PRIMARY KEY, value BLOB NOT NULL);
    -- What the server was caught at, sealed likewise.
    CREATE TABLE incidents (id INTEGER PRIMARY KEY, value BLOB NOT NULL);

    -- Sealed records. Each belongs to one slot; the tables below say as what.
    CREATE TABLE blobs (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
    -- What the app sees. Without a hash: deleted. `seq` is the commit that the server confirmed last, `change` the number of
    -- the local change.
    CREATE TABLE records (slot BLOB PRIMARY KEY, epoch INTEGER NOT NULL, hash BLOB, blob INTEGER, seq INTEGER NOT NULL,
        change INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX records_change ON records (change);
    -- What the server has confirmed, for every record with unsent changes.
    CREATE TABLE bases (slot BLOB PRIMARY KEY, epoch INTEGER NOT NULL, hash BLOB, blob INTEGER) WITHOUT ROWID;
    -- What the commit that is on its way carries.
    CREATE TABLE outgoing (slot BLOB PRIMARY KEY, epoch INTEGER NOT NULL, hash BLOB, blob INTEGER) WITHOUT ROWID;
    -- What was fetched and is not believed yet.
    CREATE TABLE staged (slot BLOB PRIMARY KEY, seq INTEGER NOT NULL, epoch INTEGER NOT NULL, hash BLOB, blob INTEGER)
        WITHOUT ROWID;
    CREATE TABLE staged_commits (id INTEGER PRIMARY KEY, pruned INTEGER NOT NULL, bytes BLOB NOT NULL);
    -- The chain as far as it was verified; the bytes of the newest commits, to give them back to a server that lost them.
    CREATE TABLE commits (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, head BLOB NOT NULL, named INTEGER NOT NULL, bytes BLOB);
"];

/// Refuses a file that is not ours, or of a newer version.
pub(super) fn check_file(connection: &Connection) -> Result<()> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = version(connection)?;
    let is_empty = application == 0
        && version == 0
        && connection.query_row("SELECT COUNT(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))? == 0;
    if application != APPLICATION && !is_empty {
        return Err(Error::NotAStore);
    }
    if version > MIGRATIONS.len() {
        return Err(Error::UpgradeRequired("the store was written by a newer version"));
    }
    Ok(())
}

/// The tables of a new store.
pub(super) fn make(connection: &Connection, store: &[u8; 16]) -> Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION)?;
    migrate(connection)?;
    connection.execute("INSERT INTO store (id) VALUES (?1)", [store])?;
    Ok(())
}

/// Brings a store to this version, a step a transaction.
pub(super) fn migrate(connection: &Connection) -> Result<()> {
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(version(connection)?) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;{migration}PRAGMA user_version = {};COMMIT;",
            index + 1
        ))?;
    }
    Ok(())
}

/// Whether it is of this version.
pub(super) fn is_current(connection: &Connection) -> Result<bool> {
    Ok(version(connection)? == MIGRATIONS.len())
}

fn version(connection: &Connection) -> Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|_| Error::NotAStore)
}

/// The id of the store, which every sealed value is bound to.
pub(super) fn store_id(connection: &Connection) -> Result<[u8; 16]> {
    let id: Option<[u8; 16]> =
        connection.query_row("SELECT id FROM store", [], |row| row.get(0)).optional()?;
    id.ok_or(Error::NotAStore)
}

pub(super) fn counter(connection: &Connection, name: &str) -> Result<i64> {
    let mut statement = connection.prepare_cached("SELECT value FROM counters WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Counts one on.
pub(super) fn count(connection: &Connection, name: &str) -> Result<i64> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO counters (name, value) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 \
         RETURNING value",
    )?;
    Ok(statement.query_row([name], |row| row.get(0))?)
}
