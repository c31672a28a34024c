//! What was fetched and is not believed yet: pages of a pull, bounded and resumable, until the newest commit proves them.

use alcove_crypto::ids::{Head, SlotId};
use alcove_crypto::space::header::Place;
use alcove_protocol::spaces::PullPage;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::records::{GONE, Version};
use super::values::{self, PULL};
use super::{Sealer, Tx, schema};
use crate::error::Result;

/// A pull that was begun: from where, how, and what to ask next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedPull {
    pub(crate) seq: u64,
    pub(crate) head: [u8; 32],
    pub(crate) snapshot: bool,
    pub(crate) cursor: Option<Vec<u8>>,
    /// Whether the last page is here.
    pub(crate) complete: bool,
    /// Where the space was at the first page: what changed after that comes again.
    pub(crate) tip: u64,
}

/// A slot as it was served.
pub(crate) struct StagedSlot {
    pub(crate) slot: SlotId,
    pub(crate) seq: u64,
    pub(crate) version: Version,
}

impl StagedPull {
    pub(crate) fn start(at: Place, snapshot: bool) -> Self {
        Self { seq: at.seq, head: *at.head.as_bytes(), snapshot, cursor: None, complete: false, tip: 0 }
    }

    pub(crate) fn from(&self) -> Place {
        Place { seq: self.seq, head: Head::new(self.head) }
    }
}

impl Tx<'_> {
    pub(crate) fn staged_pull(&self) -> Result<Option<StagedPull>> {
        self.value(PULL)
    }

    /// Keeps a page, and where the next one begins.
    pub(crate) fn stage(&self, pull: &StagedPull, page: &PullPage) -> Result<()> {
        stage(&self.sql, self.sealer, pull, page)
    }

    /// Hashes of pruned commits, then commits, in order.
    pub(crate) fn staged_commits(&self) -> Result<Vec<(bool, Vec<u8>)>> {
        let mut statement =
            self.sql.prepare_cached("SELECT pruned, bytes FROM staged_commits ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Staged slots after one, in the order of their ids, at most so many.
    pub(crate) fn staged_slots(&self, after: Option<SlotId>, count: usize) -> Result<Vec<StagedSlot>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT slot, seq, epoch, hash, blob FROM staged WHERE slot > ?1 ORDER BY slot LIMIT ?2",
        )?;
        let after = after.map_or_else(Vec::new, |slot| slot.as_bytes().to_vec());
        let rows = statement.query_map((after, i64::try_from(count).unwrap_or(i64::MAX)), |row| {
            Ok(StagedSlot {
                slot: SlotId::new(row.get(0)?),
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                version: Version::from_row(row, 2)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What was staged for a slot; nothing if it was not served.
    pub(crate) fn staged(&self, slot: &SlotId) -> Result<Option<StagedSlot>> {
        let seq = self
            .sql
            .prepare_cached("SELECT seq FROM staged WHERE slot = ?1")?
            .query_row([slot.as_bytes()], |row| row.get::<_, i64>(0))
            .optional()?;
        let version = self.version("SELECT epoch, hash, blob FROM staged WHERE slot = ?1", slot)?;
        Ok(seq.zip(version).map(|(seq, version)| StagedSlot {
            slot: *slot,
            seq: seq.unsigned_abs(),
            version,
        }))
    }

    /// Takes over everything staged for slots without unsent changes; `absent_since` deletes what a snapshot does not have.
    /// Only after a pull has proven it.
    pub(crate) fn apply_staged(&self, absent_since: Option<u64>) -> Result<()> {
        let change = schema::count(&self.sql, "change")?;
        let holds_any = "SELECT EXISTS (SELECT 1 FROM records WHERE hash IS NOT NULL)";
        let holds_any: bool = self.sql.query_row(holds_any, [], |row| row.get(0))?;
        if holds_any {
            self.sql.execute(
                "DELETE FROM blobs WHERE id IN (SELECT r.blob FROM staged AS s JOIN records AS r ON r.slot = s.slot \
                 LEFT JOIN bases AS b ON b.slot = s.slot WHERE b.slot IS NULL AND r.hash IS NOT s.hash)",
                [],
            )?;
        }
        self.sql.execute(
            "INSERT INTO records (slot, epoch, hash, blob, seq, change) \
             SELECT s.slot, s.epoch, s.hash, s.blob, s.seq, ?1 FROM staged AS s \
             LEFT JOIN bases AS b ON b.slot = s.slot LEFT JOIN records AS r ON r.slot = s.slot \
             WHERE b.slot IS NULL AND (r.hash IS NOT s.hash OR (r.slot IS NULL AND s.hash IS NOT NULL)) \
             ON CONFLICT (slot) DO UPDATE SET epoch = excluded.epoch, hash = excluded.hash, blob = excluded.blob, \
             seq = excluded.seq, change = excluded.change",
            [change],
        )?;
        if let Some(seq) = absent_since.filter(|_| holds_any) {
            let absent = "hash IS NOT NULL AND slot NOT IN (SELECT slot FROM staged) \
                          AND slot NOT IN (SELECT slot FROM bases)";
            self.sql.execute(
                &format!("DELETE FROM blobs WHERE id IN (SELECT blob FROM records WHERE {absent})"),
                [],
            )?;
            self.sql.execute(
                &format!("UPDATE records SET hash = NULL, blob = NULL, seq = ?1, change = ?2 WHERE {absent}"),
                (seq.cast_signed(), change),
            )?;
        }
        Ok(())
    }

    /// Forgets what was staged; bytes that a record took over stay.
    pub(crate) fn clear_staging(&self) -> Result<()> {
        clear(&self.sql)
    }
}

/// Keeps a page, and where the next one begins.
pub(super) fn stage(sql: &Connection, sealer: &Sealer, pull: &StagedPull, page: &PullPage) -> Result<()> {
    values::write(sql, sealer, PULL, pull)?;
    let mut commit = sql.prepare_cached("INSERT INTO staged_commits (pruned, bytes) VALUES (?1, ?2)")?;
    for hash in &page.pruned {
        commit.execute((true, &hash.0.as_bytes()[..]))?;
    }
    for bytes in &page.commits {
        commit.execute((false, &bytes.0))?;
    }
    let mut before = sql.prepare_cached("SELECT blob FROM staged WHERE slot = ?1")?;
    let mut blob = sql.prepare_cached("INSERT INTO blobs (bytes) VALUES (?1)")?;
    let mut slot = sql.prepare_cached(
        "INSERT OR REPLACE INTO staged (slot, seq, epoch, hash, blob) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for served in &page.slots {
        let id = served.slot.0;
        if served.seq > pull.tip {
            let old: Option<Option<i64>> = before.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
            if let Some(Some(old)) = old {
                sql.prepare_cached("DELETE FROM blobs WHERE id = ?1")?.execute([old])?;
            }
        }
        let version = match &served.record {
            Some(record) => {
                blob.execute([&record.bytes.0])?;
                Version { epoch: record.epoch, live: Some((record.hash.0, sql.last_insert_rowid())) }
            }
            None => GONE,
        };
        let (epoch, hash, blob) = version.columns();
        slot.execute((id.as_bytes(), served.seq.cast_signed(), epoch, hash, blob))?;
    }
    Ok(())
}

/// Forgets what was staged; bytes that a record took over stay.
pub(super) fn clear(sql: &Connection) -> Result<()> {
    sql.execute(
        "DELETE FROM blobs WHERE id IN (SELECT s.blob FROM staged AS s LEFT JOIN records AS r \
         ON r.slot = s.slot AND r.blob = s.blob LEFT JOIN bases AS b ON b.slot = s.slot AND b.blob = s.blob \
         WHERE r.slot IS NULL AND b.slot IS NULL)",
        [],
    )?;
    sql.execute("DELETE FROM staged", [])?;
    sql.execute("DELETE FROM staged_commits", [])?;
    sql.execute("DELETE FROM sealed_values WHERE name = ?1", [PULL])?;
    Ok(())
}
