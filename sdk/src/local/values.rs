//! Sealed values: settings and key material, each under a name of its own.

use alcove_crypto::account::keys::DeviceSecret;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{Sealer, Tx, schema};
use crate::envelope::{from_cbor, to_cbor};
use crate::error::{Error, Result};
use crate::keys::{Keys, StoredAccount};

pub(super) const KEYS: &str = "keys";
pub(super) const DEVICE: &str = "device";
pub(super) const ACCOUNT: &str = "account";

/// Where this device is, for when it is locked.
pub(super) const PLACE: &str = "place";
pub(super) const OUTGOING: &str = "outgoing";
pub(super) const PULL: &str = "pull";

/// What a locked device may open: nothing that anybody wrote.
pub(super) const BACKGROUND: &[&str] = &[DEVICE, PLACE, OUTGOING, PULL];

impl Tx<'_> {
    /// A value, if it was ever set.
    pub(crate) fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        read(&self.sql, self.sealer, name)
    }

    pub(crate) fn set_value(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.set_bytes(name, &Zeroizing::new(to_cbor(value)))
    }

    pub(crate) fn unset_value(&self, name: &str) -> Result<()> {
        self.sql.prepare_cached("DELETE FROM sealed_values WHERE name = ?1")?.execute([name])?;
        Ok(())
    }

    pub(crate) fn set_keys(&self, keys: &Keys) -> Result<()> {
        self.set_value(KEYS, &keys.to_stored())?;
        self.renew()
    }

    pub(crate) fn set_device(&self, device: &DeviceSecret) -> Result<()> {
        self.set_bytes(DEVICE, &*device.expose())?;
        self.renew()
    }

    pub(crate) fn set_account(&self, account: Option<&StoredAccount>) -> Result<()> {
        match account {
            Some(account) => self.set_value(ACCOUNT, account)?,
            None => self.unset_value(ACCOUNT)?,
        }
        self.renew()
    }

    /// Keys or account are others now, for every process.
    fn renew(&self) -> Result<()> {
        schema::count(&self.sql, "generation").map(drop)
    }

    fn set_bytes(&self, name: &str, value: &[u8]) -> Result<()> {
        write_bytes(&self.sql, self.sealer, name, value)
    }
}

pub(super) fn write(
    connection: &Connection,
    sealer: &Sealer,
    name: &str,
    value: &impl Serialize,
) -> Result<()> {
    write_bytes(connection, sealer, name, &Zeroizing::new(to_cbor(value)))
}

fn write_bytes(connection: &Connection, sealer: &Sealer, name: &str, value: &[u8]) -> Result<()> {
    let sealed = sealer.seal(name, value)?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO sealed_values (name, value) VALUES (?1, ?2)")?
        .execute((name, sealed))?;
    Ok(())
}

pub(super) fn read<T: DeserializeOwned>(
    connection: &Connection,
    sealer: &Sealer,
    name: &str,
) -> Result<Option<T>> {
    let Some(value) = read_bytes(connection, sealer, name)? else { return Ok(None) };
    from_cbor(&value).map(Some).ok_or_else(|| Error::Corrupt(format!("{name} is not what was sealed")))
}

pub(super) fn read_bytes(
    connection: &Connection,
    sealer: &Sealer,
    name: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let mut statement = connection.prepare_cached("SELECT value FROM sealed_values WHERE name = ?1")?;
    let sealed: Option<Vec<u8>> = statement.query_row([name], |row| row.get(0)).optional()?;
    sealed.map(|sealed| sealer.open(name, &sealed)).transpose()
}
