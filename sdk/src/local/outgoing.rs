//! The commit that is on its way: stored before it is sent, so that after any cut it is sent again or found on the chain.

use alcove_crypto::ids::{Head, RecordHash, SlotId};
use alcove_crypto::space::header::Place;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::records::Version;
use super::values::{self, OUTGOING};
use super::{Sealer, Tx, schema};
use crate::error::Result;

/// A commit that was made and is not acknowledged.
pub(crate) struct Outgoing {
    pub(crate) commit: Vec<u8>,
    /// Where the chain is after it.
    pub(crate) at: Place,
    /// What it changes.
    pub(crate) slots: Vec<(SlotId, Version)>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    commit: Vec<u8>,
    seq: u64,
    head: [u8; 32],
}

/// A record with unsent changes.
pub(crate) struct Unsent {
    pub(crate) slot: SlotId,
    pub(crate) version: Version,
    pub(crate) base: Option<RecordHash>,
    pub(crate) len: usize,
}

impl Tx<'_> {
    /// Records with unsent changes, in the order of their changes, at most so many.
    pub(crate) fn unsent_records(&self, count_max: usize) -> Result<Vec<Unsent>> {
        let mut statement = self.sql.prepare_cached(
            "SELECT r.slot, r.epoch, r.hash, r.blob, b.hash, COALESCE(LENGTH(blobs.bytes), 0) FROM bases AS b \
             JOIN records AS r ON r.slot = b.slot LEFT JOIN blobs ON blobs.id = r.blob ORDER BY r.change LIMIT ?1",
        )?;
        let rows = statement.query_map([i64::try_from(count_max).unwrap_or(i64::MAX)], |row| {
            Ok(Unsent {
                slot: SlotId::new(row.get(0)?),
                version: Version::from_row(row, 1)?,
                base: row.get::<_, Option<[u8; 32]>>(4)?.map(RecordHash::new),
                len: usize::try_from(row.get::<_, i64>(5)?).unwrap_or(usize::MAX),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Keeps a commit that is about to be sent.
    pub(crate) fn set_outgoing(&self, outgoing: &Outgoing) -> Result<()> {
        let (seq, head) = (outgoing.at.seq, *outgoing.at.head.as_bytes());
        self.set_value(OUTGOING, &Stored { commit: outgoing.commit.clone(), seq, head })?;
        let mut insert = self
            .sql
            .prepare_cached("INSERT INTO outgoing (slot, epoch, hash, blob) VALUES (?1, ?2, ?3, ?4)")?;
        for (slot, version) in &outgoing.slots {
            let (epoch, hash, blob) = version.columns();
            insert.execute((slot.as_bytes(), epoch, hash, blob))?;
        }
        Ok(())
    }

    /// The commit that is on its way, if there is one.
    pub(crate) fn outgoing(&self) -> Result<Option<Outgoing>> {
        read(&self.sql, self.sealer)
    }

    /// The server has the commit: what it carries is confirmed. What was changed since remains unsent.
    pub(crate) fn acknowledge_outgoing(&self, seq: u64) -> Result<()> {
        let change = schema::count(&self.sql, "change")?;
        self.sql.execute(
            "DELETE FROM blobs WHERE id IN (SELECT b.blob FROM bases AS b JOIN outgoing AS o ON o.slot = b.slot)",
            [],
        )?;
        self.sql.execute(
            "UPDATE records SET seq = ?1, change = ?2 WHERE slot IN (SELECT slot FROM outgoing)",
            (seq.cast_signed(), change),
        )?;
        self.sql.execute(
            "DELETE FROM bases WHERE slot IN (SELECT o.slot FROM outgoing AS o JOIN records AS r ON r.slot = o.slot \
             WHERE r.hash IS o.hash)",
            [],
        )?;
        self.sql.execute(
            "UPDATE bases SET epoch = o.epoch, hash = o.hash, blob = o.blob FROM outgoing AS o WHERE o.slot = bases.slot",
            [],
        )?;
        self.forget_outgoing()
    }

    /// The commit will not be sent: what it carried is simply unsent again.
    pub(crate) fn discard_outgoing(&self) -> Result<()> {
        self.sql.execute(
            "DELETE FROM blobs WHERE id IN (SELECT o.blob FROM outgoing AS o JOIN records AS r ON r.slot = o.slot \
             WHERE r.blob IS NOT o.blob)",
            [],
        )?;
        self.forget_outgoing()
    }

    fn forget_outgoing(&self) -> Result<()> {
        self.sql.execute("DELETE FROM outgoing", [])?;
        self.unset_value(OUTGOING)
    }
}

/// The commit that is on its way, if there is one.
pub(super) fn read(connection: &Connection, sealer: &Sealer) -> Result<Option<Outgoing>> {
    let Some(Stored { commit, seq, head }) = values::read(connection, sealer, OUTGOING)? else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached("SELECT slot, epoch, hash, blob FROM outgoing")?;
    let rows = statement.query_map([], |row| Ok((SlotId::new(row.get(0)?), Version::from_row(row, 1)?)))?;
    let slots = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Outgoing { commit, at: Place { seq, head: Head::new(head) }, slots }))
}
