//! Rescue: what can be read of a store that is damaged.
//!
//! Nothing is written. Rows are read one by one from both ends, so damage in the middle costs what stands on it and no more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rusqlite::Connection;

use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::local::{self, finished};
use crate::records::{OWN_KINDS, RecordId};
use crate::vault::KeyVault;

/// What was read of a damaged store.
#[derive(Debug, Default)]
pub struct Rescued {
    /// Records of the user.
    pub records: Vec<(RecordId, Envelope)>,
    /// Records that are there, but cannot be read.
    pub damaged: usize,
}

/// Reads what can be read of the store in a folder, with the keys in its vault. The store stays as it is: write what was
/// rescued into a new one, in another folder.
///
/// # Errors
/// When the vault has no key that fits, or not even the keys of the store can be read.
pub async fn rescue(folder: impl Into<PathBuf>, vault: impl KeyVault + 'static) -> Result<Rescued> {
    let folder = folder.into();
    let read = move || {
        let connection = local::connect_read_only(&folder)?;
        let sealer = local::rescue_sealer(&connection, &vault)?;
        let keys = local::rescue_keys(&connection, &sealer)?;
        Ok(read_all(&connection, &keys))
    };
    finished(tokio::task::spawn_blocking(read).await)
}

fn read_all(connection: &Connection, keys: &Keys) -> Rescued {
    let mut rescued = Rescued::default();
    let mut seen = BTreeSet::new();
    for (comparison, order, start) in [(">", "ASC", vec![]), ("<", "DESC", vec![0xff; 17])] {
        let query = format!(
            "SELECT slot, epoch, blob FROM records WHERE slot {comparison} ?1 AND hash IS NOT NULL ORDER BY slot {order} LIMIT 1"
        );
        let mut at: Vec<u8> = start;
        // Ends at the end, or where the tree itself is damaged; the other direction comes from behind it.
        while let Ok((slot, epoch, blob)) = connection.query_row(&query, [&at], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
        }) {
            at = slot.to_vec();
            if !seen.insert(slot) {
                break;
            }
            match read_one(connection, keys, slot, epoch, blob) {
                Ok(envelope) if envelope.kind.starts_with(OWN_KINDS) => {}
                Ok(envelope) => rescued.records.push((RecordId(slot.into()), envelope)),
                Err(_) => rescued.damaged += 1,
            }
        }
    }
    rescued
}

fn read_one(
    connection: &Connection,
    keys: &Keys,
    slot: [u8; 16],
    epoch: i64,
    blob: Option<i64>,
) -> Result<Envelope> {
    let blob = blob.ok_or(Error::NotFound)?;
    let bytes: Vec<u8> =
        connection.query_row("SELECT bytes FROM blobs WHERE id = ?1", [blob], |row| row.get(0))?;
    let content = local::records::open_bytes(keys, &slot.into(), epoch.unsigned_abs(), &bytes)?;
    Envelope::from_bytes(&content)
}
