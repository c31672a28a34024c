//! Records: what the app sees, and what the server has confirmed of those with unsent changes.

use alcove_crypto::ids::{RecordHash, SlotId};
use alcove_crypto::space::record::{open_record, seal_record};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Tx, schema};
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::keys::Keys;

/// A version of a record: its sealed bytes by number, or nothing if it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) epoch: u64,
    pub(crate) live: Option<(RecordHash, i64)>,
}

/// A version of a record that is known to have been deleted, or never to have been.
pub(crate) const GONE: Version = Version { epoch: 0, live: None };

impl Version {
    pub(crate) fn hash(&self) -> Option<RecordHash> {
        self.live.map(|(hash, _)| hash)
    }

    /// From the columns `epoch, hash, blob`, in this order.
    pub(super) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let hash: Option<[u8; 32]> = row.get(first + 1)?;
        let blob: Option<i64> = row.get(first + 2)?;
        Ok(Self {
            epoch: row.get::<_, i64>(first)?.unsigned_abs(),
            live: hash.map(RecordHash::new).zip(blob),
        })
    }

    /// For the columns `epoch, hash, blob`.
    pub(super) fn columns(&self) -> (i64, Option<[u8; 32]>, Option<i64>) {
        let (hash, blob) = self.live.map(|(hash, blob)| (*hash.as_bytes(), blob)).unzip();
        (self.epoch.cast_signed(), hash, blob)
    }
}

impl Tx<'_> {
    /// What the app sees in a slot.
    pub(crate) fn record(&self, slot: &SlotId) -> Result<Option<Version>> {
        self.version("SELECT epoch, hash, blob FROM records WHERE slot = ?1", slot)
    }

    /// What the server has confirmed, if the slot has unsent changes.
    pub(crate) fn base(&self, slot: &SlotId) -> Result<Option<Version>> {
        self.version("SELECT epoch, hash, blob FROM bases WHERE slot = ?1", slot)
    }

    pub(super) fn version(&self, query: &str, slot: &SlotId) -> Result<Option<Version>> {
        let mut statement = self.sql.prepare_cached(query)?;
        Ok(statement.query_row([slot.as_bytes()], |row| Version::from_row(row, 0)).optional()?)
    }

    /// Opens a version; nothing if it is deleted.
    pub(crate) fn open(&self, slot: &SlotId, version: &Version) -> Result<Option<Envelope>> {
        let Some((_, blob)) = version.live else { return Ok(None) };
        let content = open_bytes(&self.session.keys, slot, version.epoch, &self.bytes(blob)?)?;
        Envelope::from_bytes(&content).map(Some)
    }

    /// What the app sees in a slot, opened.
    pub(crate) fn envelope(&self, slot: &SlotId) -> Result<Option<Envelope>> {
        match self.record(slot)? {
            Some(version) => self.open(slot, &version),
            None => Ok(None),
        }
    }

    /// The sealed bytes.
    pub(crate) fn bytes(&self, blob: i64) -> Result<Vec<u8>> {
        let mut statement = self.sql.prepare_cached("SELECT bytes FROM blobs WHERE id = ?1")?;
        Ok(statement.query_row([blob], |row| row.get(0))?)
    }

    pub(crate) fn add_blob(&self, bytes: &[u8]) -> Result<i64> {
        self.sql.prepare_cached("INSERT INTO blobs (bytes) VALUES (?1)")?.execute([bytes])?;
        Ok(self.sql.last_insert_rowid())
    }

    /// Writes a record: an unsent change from now on.
    pub(crate) fn put(&self, slot: &SlotId, envelope: &Envelope) -> Result<()> {
        self.put_with(&self.session.keys, slot, envelope)
    }

    /// The same for the space of other keys, which are about to become ours.
    pub(crate) fn put_with(&self, keys: &Keys, slot: &SlotId, envelope: &Envelope) -> Result<()> {
        let version = self.seal_with(keys, slot, envelope)?;
        self.change(slot, version)
    }

    /// Deletes a record: an unsent change from now on.
    pub(crate) fn delete(&self, slot: &SlotId) -> Result<()> {
        self.change(slot, GONE)
    }

    /// Seals a record with the newest key, and keeps the bytes.
    pub(crate) fn seal(&self, slot: &SlotId, envelope: &Envelope) -> Result<Version> {
        self.seal_with(&self.session.keys, slot, envelope)
    }

    fn seal_with(&self, keys: &Keys, slot: &SlotId, envelope: &Envelope) -> Result<Version> {
        let sealed = seal_record(keys.newest(), &keys.space, slot, &envelope.to_bytes(), &mut rand::rng())
            .map_err(|error| Error::TooLarge(error.0))?;
        let blob = self.add_blob(&sealed)?;
        Ok(Version { epoch: keys.newest().epoch(), live: Some((RecordHash::of(&sealed), blob)) })
    }

    fn change(&self, slot: &SlotId, version: Version) -> Result<()> {
        let before = self.record(slot)?.unwrap_or(GONE);
        if self.base(slot)?.is_none() {
            self.set_base(slot, before)?;
        } else {
            self.release(slot, before)?;
        }
        self.set_record(slot, version, None)
    }

    /// What the app sees; with `seq`, because the server has confirmed it.
    pub(crate) fn set_record(&self, slot: &SlotId, version: Version, seq: Option<u64>) -> Result<()> {
        let change = schema::count(&self.sql, "change")?;
        let (epoch, hash, blob) = version.columns();
        self.sql
            .prepare_cached(
                "INSERT INTO records (slot, epoch, hash, blob, seq, change) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (slot) DO UPDATE SET epoch = excluded.epoch, hash = excluded.hash, \
                 blob = excluded.blob, seq = CASE excluded.seq WHEN -1 THEN seq ELSE excluded.seq END, \
                 change = excluded.change",
            )?
            .execute((slot.as_bytes(), epoch, hash, blob, seq.map_or(-1, u64::cast_signed), change))?;
        Ok(())
    }

    pub(crate) fn set_base(&self, slot: &SlotId, version: Version) -> Result<()> {
        let (epoch, hash, blob) = version.columns();
        self.sql
            .prepare_cached("INSERT OR REPLACE INTO bases (slot, epoch, hash, blob) VALUES (?1, ?2, ?3, ?4)")?
            .execute((slot.as_bytes(), epoch, hash, blob))?;
        Ok(())
    }

    pub(crate) fn drop_base(&self, slot: &SlotId) -> Result<()> {
        self.sql.prepare_cached("DELETE FROM bases WHERE slot = ?1")?.execute([slot.as_bytes()])?;
        Ok(())
    }

    /// Lets go of a version that one table no longer names; its bytes go unless another table does.
    pub(crate) fn release(&self, slot: &SlotId, version: Version) -> Result<()> {
        let Some((_, blob)) = version.live else { return Ok(()) };
        self.sql
            .prepare_cached(
                "DELETE FROM blobs WHERE id = ?2 \
                 AND NOT EXISTS (SELECT 1 FROM bases WHERE slot = ?1 AND blob = ?2) \
                 AND NOT EXISTS (SELECT 1 FROM outgoing WHERE slot = ?1 AND blob = ?2)",
            )?
            .execute((slot.as_bytes(), blob))?;
        Ok(())
    }

    /// Forgets everything of the space, for another one to take its place in the same transaction.
    pub(crate) fn clear_space(&self) -> Result<()> {
        self.sql.execute_batch(
            "DELETE FROM records; DELETE FROM bases; DELETE FROM outgoing; DELETE FROM staged; \
             DELETE FROM staged_commits; DELETE FROM commits; DELETE FROM blobs; \
             DELETE FROM sealed_values WHERE name NOT IN ('keys', 'device', 'account')",
        )?;
        Ok(())
    }

    /// How many records have unsent changes.
    pub(crate) fn unsent(&self) -> Result<u64> {
        let count: i64 = self.sql.query_row("SELECT COUNT(*) FROM bases", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Every slot as the server has confirmed it.
    pub(crate) fn confirmed(&self) -> Result<Vec<(SlotId, RecordHash)>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT slot, hash FROM records WHERE hash IS NOT NULL AND slot NOT IN (SELECT slot FROM bases) \
             UNION ALL SELECT slot, hash FROM bases WHERE hash IS NOT NULL",
        )?;
        let rows = statement
            .query_map([], |row| Ok((SlotId::new(row.get(0)?), RecordHash::new(row.get(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

/// Opens a sealed record with the keys of the space.
pub(crate) fn open_bytes(keys: &Keys, slot: &SlotId, epoch: u64, sealed: &[u8]) -> Result<Vec<u8>> {
    let key = keys.by_epoch.epoch(epoch);
    let key = key.ok_or_else(|| Error::Corrupt(format!("the key of epoch {epoch} is missing")))?;
    let opened = open_record(key, &keys.space, slot, sealed);
    opened.map_err(|error| Error::Corrupt(format!("a record: {error}")))
}

/// A record that changed since a reader looked last.
pub(crate) struct Changed {
    pub(crate) slot: SlotId,
    pub(crate) change: i64,
    pub(crate) unsent: bool,
    /// Its epoch and sealed bytes; nothing if it is deleted.
    pub(crate) live: Option<(u64, Vec<u8>)>,
}

/// Gives each record that changed after a number to `take`, in the order of changes.
pub(crate) fn changed_after(
    connection: &Connection,
    after: i64,
    mut take: impl FnMut(Changed) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT r.slot, r.change, r.epoch, b.bytes, EXISTS (SELECT 1 FROM bases WHERE bases.slot = r.slot) \
         FROM records AS r LEFT JOIN blobs AS b ON b.id = r.blob WHERE r.change > ?1 ORDER BY r.change",
    )?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        let epoch = row.get::<_, i64>(2)?.unsigned_abs();
        take(Changed {
            slot: SlotId::new(row.get(0)?),
            change: row.get(1)?,
            unsent: row.get(4)?,
            live: row.get::<_, Option<Vec<u8>>>(3)?.map(|bytes| (epoch, bytes)),
        })?;
    }
    Ok(())
}

/// What repairs need to know.
impl Tx<'_> {
    /// Every slot of which anything is known.
    pub(crate) fn all_slots(&self) -> Result<Vec<SlotId>> {
        let mut statement = self.sql.prepare_cached("SELECT slot FROM records")?;
        let rows = statement.query_map([], |row| Ok(SlotId::new(row.get(0)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The commit that changed a slot last, as far as the server has confirmed; 0 if it never did.
    pub(crate) fn confirmed_seq(&self, slot: &SlotId) -> Result<u64> {
        let mut statement = self.sql.prepare_cached("SELECT seq FROM records WHERE slot = ?1")?;
        let seq: Option<i64> = statement.query_row([slot.as_bytes()], |row| row.get(0)).optional()?;
        Ok(seq.unwrap_or(0).max(0).unsigned_abs())
    }

    /// The slots that a commit changed last, as the server had confirmed them.
    pub(crate) fn confirmed_by(&self, seq: u64) -> Result<Vec<(SlotId, Version)>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT r.slot, r.epoch, r.hash, r.blob, b.slot IS NOT NULL, b.epoch, b.hash, b.blob FROM records AS r \
             LEFT JOIN bases AS b ON b.slot = r.slot WHERE r.seq = ?1",
        )?;
        let rows = statement.query_map([seq.cast_signed()], |row| {
            let has_base: bool = row.get(4)?;
            let version = Version::from_row(row, if has_base { 5 } else { 1 })?;
            Ok((SlotId::new(row.get(0)?), version))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
