//! Attaching: what was written on a device meets an account.
//!
//! Where the account's space is the one that the device has, everything stays as it is. Where it is another, each record is
//! sealed anew for that space, in one transaction: after a cut it is all here or all there.

use alcove_crypto::account::keys::{DeviceSecret, ReceivingSecret};
use alcove_crypto::ids::{DeviceId, SlotId};
use alcove_protocol::Wire;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{DeviceName, InboxSecret, LocalData};
use crate::alcove::Alcove;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::keys::{Keys, StoredAccount};
use crate::local::Tx;
use crate::records::{OWN_KINDS, fields_of, put_one};
use crate::stamp::Stamp;
use crate::sync::{EXPECTED, Place32, REVOKING};

/// What a device becomes part of.
pub(super) struct Attachment {
    pub(super) keys: Keys,
    /// A new device; nothing if it stays the one that it is.
    pub(super) device: Option<DeviceSecret>,
    pub(super) account: StoredAccount,
    pub(super) local: LocalData,
    /// A new inbox, if this device has just made one.
    pub(super) inbox: Option<ReceivingSecret>,
    /// Devices that this one has just revoked: it puts up the barrier against them.
    pub(super) revoking: Vec<DeviceId>,
    /// A place that the chain must lead through.
    pub(super) expected: Option<Place32>,
}

impl Attachment {
    /// Takes effect, all of it at once.
    pub(super) async fn attach(self, alcove: &Alcove) -> Result<()> {
        // A sync keeps in mind how the account was when it began.
        let _engine = alcove.core().engine.lock().await;
        let name = alcove.core().device_name.clone();
        alcove.edit(move |tx, stamp| self.write(tx, name, stamp)).await
    }

    fn write(&self, tx: &Tx<'_>, name: String, stamp: Stamp) -> Result<()> {
        let keys = &self.keys;
        if keys.space != tx.session.keys.space {
            let moving = own_records(tx)?;
            match self.local {
                LocalData::Ask if !moving.is_empty() => {
                    return Err(Error::LocalDataExists(moving.len() as u64));
                }
                _ => tx.clear_space()?,
            }
            if self.local == LocalData::Merge {
                for (slot, envelope) in moving {
                    let slot = match &envelope.key {
                        Some(key) => keys.keyring.name_key.singleton_slot(&keys.space, &envelope.kind, key),
                        None => slot,
                    };
                    tx.put_with(keys, &slot, &envelope)?;
                }
            }
        }
        tx.set_keys(keys)?;
        if let Some(device) = &self.device {
            tx.set_device(device)?;
        }
        tx.set_account(Some(&self.account))?;
        if let Some(expected) = &self.expected {
            tx.set_value(EXPECTED, expected)?;
        }
        if let Some(inbox) = &self.inbox {
            put_inbox(tx, keys, inbox, stamp)?;
        }
        set_revoking(tx, &self.revoking)?;
        let device = self.device.as_ref().map_or_else(|| tx.session.device.id(), DeviceSecret::id);
        put_one::<DeviceName>(tx, keys, &device.to_string(), fields_of(&DeviceName { name })?, stamp)
            .map(drop)
    }
}

/// Keeps the secret half of an inbox where all devices find it.
pub(super) fn put_inbox(tx: &Tx<'_>, keys: &Keys, inbox: &ReceivingSecret, stamp: Stamp) -> Result<()> {
    let key = URL_SAFE_NO_PAD.encode(inbox.public().0);
    let secret = InboxSecret { secret: Wire(*inbox.expose()) };
    put_one::<InboxSecret>(tx, keys, &key, fields_of(&secret)?, stamp).map(drop)
}

/// Keeps which devices this one bars with its next commit.
pub(super) fn set_revoking(tx: &Tx<'_>, devices: &[DeviceId]) -> Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    tx.set_value(REVOKING, &devices.iter().map(|device| *device.as_bytes()).collect::<Vec<_>>())
}

/// What a user would miss.
fn own_records(tx: &Tx<'_>) -> Result<Vec<(SlotId, Envelope)>> {
    let mut own = Vec::new();
    for slot in tx.all_slots()? {
        if let Some(envelope) = tx.envelope(&slot)?.filter(|envelope| !envelope.kind.starts_with(OWN_KINDS)) {
            own.push((slot, envelope));
        }
    }
    Ok(own)
}

/// How much that is, before anything is asked of a server.
pub(super) async fn count_own(alcove: &Alcove) -> Result<u64> {
    alcove.core().local.write(|tx| Ok(own_records(tx)?.len() as u64)).await
}
