//! The store of a locked device: ciphertext may come in and go out, and nothing can be read.

use std::path::Path;

use alcove_crypto::account::keys::DeviceSecret;
use alcove_crypto::ids::Head;
use alcove_crypto::space::header::Place;
use alcove_protocol::Bytes;
use alcove_protocol::spaces::{PullPage, PushRequest, SlotChange};
use rusqlite::{Connection, TransactionBehavior};
use serde::{Deserialize, Serialize};

use super::staging::StagedPull;
use super::{FILE, Sealer, connect, load, outgoing, schema, staging, values};
use crate::error::{Error, Result};
use crate::vault::{KeyVault, VaultKey};

/// Where a device is, as far as it needs to know to speak to the server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LockedPlace {
    pub(crate) origin: String,
    pub(crate) account: [u8; 16],
    pub(crate) space: [u8; 16],
    pub(crate) seq: u64,
    pub(crate) head: [u8; 32],
}

/// A store with the background key alone.
pub(crate) struct LockedLocal {
    connection: Connection,
    sealer: Sealer,
}

impl LockedPlace {
    pub(crate) fn at(&self) -> Place {
        Place { seq: self.seq, head: Head::new(self.head) }
    }
}

impl LockedLocal {
    /// Opens a store that is there. Nothing is made or migrated: that is for when the device is unlocked.
    pub(crate) fn open(folder: &Path, vault: &dyn KeyVault) -> Result<Self> {
        let missing = || Error::Missing("there is no store that a locked device could open");
        let background = load(vault, VaultKey::Background)?.ok_or_else(missing)?;
        let file = folder.join(FILE);
        if !file.exists() {
            return Err(missing());
        }
        let connection = connect(&file)?;
        if !schema::is_current(&connection)? {
            return Err(Error::UpgradeRequired(
                "the store has to be opened once while the device is unlocked",
            ));
        }
        let store = schema::store_id(&connection)?;
        Ok(Self { connection, sealer: Sealer { store, unlocked: None, background } })
    }

    pub(crate) fn device(&self) -> Result<DeviceSecret> {
        let gone = || Error::Corrupt("the keys of the device are gone".into());
        let device = values::read_bytes(&self.connection, &self.sealer, values::DEVICE)?.ok_or_else(gone)?;
        let device: &[u8; 64] = device.as_slice().try_into().map_err(|_| gone())?;
        Ok(DeviceSecret::from_bytes(device))
    }

    /// Where this device is; nothing before its first sync.
    pub(crate) fn place(&self) -> Result<Option<LockedPlace>> {
        values::read(&self.connection, &self.sealer, values::PLACE)
    }

    /// The commit that was made and not delivered, as it is sent.
    pub(crate) fn undelivered(&self) -> Result<Option<PushRequest>> {
        let Some(outgoing) = outgoing::read(&self.connection, &self.sealer)? else { return Ok(None) };
        let mut statement = self.connection.prepare_cached("SELECT bytes FROM blobs WHERE id = ?1")?;
        let mut changes = Vec::with_capacity(outgoing.slots.len());
        for (slot, version) in outgoing.slots {
            let record = match version.live {
                Some((_, blob)) => Some(Bytes(statement.query_row([blob], |row| row.get(0))?)),
                None => None,
            };
            changes.push(SlotChange { slot: slot.into(), epoch: version.epoch, record });
        }
        Ok(Some(PushRequest { commit: outgoing.commit.into(), changes }))
    }

    /// A pull that was begun from this place, or a new one: one that was complete may be behind by now.
    pub(crate) fn staged(&mut self, at: Place) -> Result<StagedPull> {
        let found: Option<StagedPull> = values::read(&self.connection, &self.sealer, values::PULL)?;
        if let Some(staged) = found {
            if staged.from() == at && !staged.complete {
                return Ok(staged);
            }
            let sql = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            staging::clear(&sql)?;
            sql.commit()?;
        }
        Ok(StagedPull::start(at, at.seq == 0))
    }

    pub(crate) fn stage(&mut self, pull: &StagedPull, page: &PullPage) -> Result<()> {
        let sql = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        staging::stage(&sql, &self.sealer, pull, page)?;
        Ok(sql.commit()?)
    }
}
