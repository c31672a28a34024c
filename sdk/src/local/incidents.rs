//! Incidents, sealed: what a server was caught at.

use super::Tx;
use crate::envelope::{from_cbor, to_cbor};
use crate::error::{Error, Result};
use crate::incident::Incident;

const NAME: &str = "incident";
/// Incidents that are kept, and bytes of evidence of each.
const COUNT_MAX: i64 = 500;
const EVIDENCE_LEN_MAX: usize = 64 * 1024;

impl Tx<'_> {
    /// Keeps an incident. The same one again is counted.
    pub(crate) fn add_incident(&self, mut incident: Incident) -> Result<()> {
        incident.evidence.truncate(EVIDENCE_LEN_MAX);
        let newest = self.incidents(1)?.pop();
        if let Some((id, before)) =
            newest.filter(|(_, before)| (before.kind, &before.detail) == (incident.kind, &incident.detail))
        {
            incident.count = before.count.saturating_add(1);
            self.sql.execute("DELETE FROM incidents WHERE id = ?1", [id])?;
        }
        let sealed = self.sealer.seal(NAME, &to_cbor(&incident))?;
        self.sql.execute("INSERT INTO incidents (value) VALUES (?1)", [sealed])?;
        self.sql
            .execute("DELETE FROM incidents WHERE id <= (SELECT MAX(id) FROM incidents) - ?1", [COUNT_MAX])?;
        Ok(())
    }

    /// Newest first.
    pub(crate) fn incidents(&self, count: u32) -> Result<Vec<(i64, Incident)>> {
        let mut statement =
            self.sql.prepare_cached("SELECT id, value FROM incidents ORDER BY id DESC LIMIT ?1")?;
        let mut rows = statement.query([count])?;
        let mut incidents = Vec::new();
        while let Some(row) = rows.next()? {
            let opened = self.sealer.open(NAME, &row.get::<_, Vec<u8>>(1)?)?;
            let incident =
                from_cbor(&opened).ok_or_else(|| Error::Corrupt("an incident that is none".into()))?;
            incidents.push((row.get(0)?, incident));
        }
        Ok(incidents)
    }

    pub(crate) fn clear_incidents(&self) -> Result<()> {
        self.sql.execute("DELETE FROM incidents", [])?;
        Ok(())
    }
}
