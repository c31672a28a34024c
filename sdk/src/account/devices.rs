//! The devices of the account, with the names that only they know.

use std::collections::BTreeMap;

use alcove_protocol::account::{SecurityEvent, SecurityLog};
use alcove_protocol::endpoint;

use super::{AccountHandle, DeviceName};
use crate::error::{Error, Result};
use crate::records::{Query, fields_of, put_one};

/// A device of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its id.
    pub id: String,
    /// Its name, if it has one that is known here.
    pub name: Option<String>,
    /// Day on which it was added, counted from 1970-01-01.
    pub added_day: u32,
    /// Day on which it was revoked, if it was.
    pub revoked_day: Option<u32>,
    /// Whether it is this one.
    pub is_this: bool,
}

impl AccountHandle {
    /// All devices, revoked ones included.
    ///
    /// # Errors
    /// When there is no account, or the store cannot be read.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>> {
        let session = self.session().await?;
        let account = session.account.as_ref().ok_or(Error::NoAccount)?;
        let (names, us) = (self.device_names().await?, session.device.id());
        let devices = account.newest.state().devices.iter().map(|device| {
            let id = device.keys.id();
            DeviceInfo {
                name: names.get(&id.to_string()).cloned(),
                id: id.to_string(),
                added_day: device.added_day,
                revoked_day: device.revoked_day,
                is_this: id == us,
            }
        });
        Ok(devices.collect())
    }

    /// Gives this device another name.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn rename_device(&self, name: &str) -> Result<()> {
        let name = DeviceName { name: name.to_owned() };
        self.alcove
            .edit(move |tx, stamp| {
                let key = tx.session.device.id().to_string();
                put_one::<DeviceName>(tx, &tx.session.keys, &key, fields_of(&name)?, stamp).map(drop)
            })
            .await
    }

    /// What happened to the account, as the server tells it, newest first.
    ///
    /// # Errors
    /// When the server cannot be reached, or this device has not synced yet in this process.
    pub async fn security_log(&self) -> Result<Vec<SecurityEvent>> {
        self.alcove.sync().now().await?;
        let (api, _) = self.known_account().await?;
        let token = self.token().await;
        let log: SecurityLog = api.get(endpoint::SECURITY_LOG, token.as_deref()).await?;
        Ok(log.events)
    }

    pub(super) async fn device_names(&self) -> Result<BTreeMap<String, String>> {
        self.alcove
            .read(|model| {
                let mut names = BTreeMap::new();
                for id in model.find(<DeviceName as crate::records::Record>::KIND, &Query::default()) {
                    let Some(row) = model.row(id) else { continue };
                    let envelope = crate::envelope::Envelope::from_bytes(&row.content)?;
                    let name = envelope.fields.get("name").and_then(|name| name.as_text());
                    if let (Some(device), Some(name)) =
                        (envelope.key.clone(), name.filter(|name| !name.is_empty()))
                    {
                        names.insert(device, name.to_owned());
                    }
                }
                Ok(names)
            })
            .await
    }
}
