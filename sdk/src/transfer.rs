//! Taking everything out, putting it back in, and looking after it.

use std::collections::BTreeMap;

use alcove_protocol::account::DownloadItem;
use alcove_protocol::endpoint;
use serde::{Deserialize, Serialize};

use crate::account::AccountHandle;
use crate::alcove::Alcove;
use crate::envelope::{Conflict, Envelope, Fields, Rule};
use crate::error::{Error, Result};
use crate::records::{OWN_KINDS, RecordId};
use crate::stamp::Stamp;

/// A record as it leaves the device: readable, and whole enough to come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Its id.
    pub id: RecordId,
    /// Its kind.
    pub kind: String,
    /// Its key, if it is the one record for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it says.
    pub fields: Fields,
    /// How its fields merge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, Rule>,
    /// When its fields were edited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stamps: BTreeMap<String, Stamp>,
    /// What lost against concurrent edits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
}

impl Exported {
    /// From the content of a record.
    #[must_use]
    pub fn new(id: RecordId, envelope: Envelope) -> Self {
        let Envelope { kind, key, fields, rules, stamps, conflicts, .. } = envelope;
        Self { id, kind, key, fields, rules, stamps, conflicts }
    }
}

/// A record as the server holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRecord {
    /// Its id.
    pub id: RecordId,
    /// Its sealed bytes.
    pub bytes: Vec<u8>,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Records that were not here.
    pub added: usize,
    /// Records that are here already, which stay as they are.
    pub kept: usize,
}

impl Alcove {
    /// Every record of the user, of all kinds, newest first within each.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn export(&self) -> Result<Vec<Exported>> {
        self.read(|model| {
            let own = model.all(None).filter(|(_, row)| !row.kind.starts_with(OWN_KINDS));
            own.map(|(id, row)| Ok(Exported::new(id, Envelope::from_bytes(&row.content)?))).collect()
        })
        .await
    }

    /// Puts records back that are not here, under the ids that they had; so that doing it twice adds nothing.
    ///
    /// # Errors
    /// When one is of a kind that is not the user's, or too large; nothing is imported then.
    pub async fn import(&self, records: Vec<Exported>) -> Result<Imported> {
        self.edit(move |tx, _| {
            let mut imported = Imported::default();
            let keys = &tx.session.keys;
            for record in records {
                let Exported { id, kind, key, fields, rules, stamps, conflicts } = record;
                if kind.is_empty() || kind.starts_with(OWN_KINDS) {
                    return Err(Error::Invalid(format!("a record of kind {kind:?} is nothing to import")));
                }
                // The slot of the one record for a key is another one in another account.
                let slot = match &key {
                    Some(key) => keys.keyring.name_key.singleton_slot(&keys.space, &kind, key),
                    None => id.0,
                };
                if tx.envelope(&slot)?.is_some() {
                    imported.kept += 1;
                    continue;
                }
                let newer = Fields::new();
                tx.put(&slot, &Envelope { kind, key, fields, rules, stamps, conflicts, newer })?;
                imported.added += 1;
            }
            Ok(imported)
        })
        .await
    }

    /// Looks through the whole store for damage. Takes a while where there is much.
    ///
    /// # Errors
    /// [`Error::Corrupt`], with what was found first.
    pub async fn check(&self) -> Result<()> {
        self.core()
            .local
            .write(|tx| {
                let found: String = tx.sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
                if found == "ok" { Ok(()) } else { Err(Error::Corrupt(found)) }
            })
            .await
    }
}

impl AccountHandle {
    /// The server's own copy of what the account holds, as it gives it out: ciphertext. Only as much as fits into one answer.
    ///
    /// # Errors
    /// When the server cannot be reached, or its copy was cut off.
    pub async fn server_records(&self) -> Result<Vec<ServerRecord>> {
        self.alcove.sync().now().await?;
        let (api, _) = self.known_account().await?;
        let token = self.token().await;
        let bytes = api.get_bytes(endpoint::DOWNLOAD, token.as_deref()).await?;
        let cut_off = || Error::Offline("the server's copy was cut off".into());
        let (mut rest, mut records, mut ended) = (&bytes[..], Vec::new(), false);
        while !rest.is_empty() {
            let item = ciborium::de::from_reader_with_recursion_limit(&mut rest, 64);
            match item.map_err(|_| cut_off())? {
                DownloadItem::Page(page) => records.extend(page.slots.into_iter().filter_map(|slot| {
                    Some(ServerRecord { id: RecordId(slot.slot.0), bytes: slot.record?.bytes.0 })
                })),
                DownloadItem::End => ended = true,
                _ => {}
            }
        }
        if ended { Ok(records) } else { Err(cut_off()) }
    }
}
