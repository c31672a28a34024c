//! Who the devices are, for each request: looked up, and remembered for a second where one process has the database to
//! itself. Then a change forgets what was remembered, so that a revoked device is out at once. Where several nodes share a
//! database every request asks it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use alcove_crypto::ids::{AccountId, DeviceId};

use crate::store::{DeviceRow, Store, StoreError};

/// For how long: a command such as `accounts delete` runs in another process, which cannot make this one forget.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Devices that are remembered at most; then all are forgotten.
const KNOWN_MAX: usize = 10_000;

/// The devices that asked in the last second.
pub(crate) struct Devices {
    /// None: every request asks the database.
    known: Option<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    rows: HashMap<(AccountId, DeviceId), (Instant, DeviceRow)>,
    /// Goes up with every change: what was read before one is not remembered after it.
    changes: u64,
}

impl Devices {
    /// That remembers or not.
    pub(crate) fn new(alone: bool) -> Self {
        Self { known: alone.then(Mutex::default) }
    }

    /// A device.
    pub(crate) async fn find(
        &self,
        store: &dyn Store,
        account: AccountId,
        device: DeviceId,
    ) -> Result<Option<DeviceRow>, StoreError> {
        let Some(known) = &self.known else { return store.device(account, device).await };
        let changes = {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((since, row)) = known.rows.get(&(account, device))
                && since.elapsed() < GOOD_FOR
            {
                return Ok(Some(row.clone()));
            }
            known.changes
        };
        let row = store.device(account, device).await?;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = row.clone().filter(|_| known.changes == changes) {
            if known.rows.len() >= KNOWN_MAX {
                known.rows.clear();
            }
            known.rows.insert((account, device), (Instant::now(), row));
        }
        Ok(row)
    }

    /// An account has changed: to be called after every change to its devices and sessions.
    pub(crate) fn forget(&self, account: AccountId) {
        let Some(known) = &self.known else { return };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.changes += 1;
        known.rows.retain(|(owner, _), _| *owner != account);
    }
}
