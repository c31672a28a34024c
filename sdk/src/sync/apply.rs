//! Taking over what a pull has proven: in one transaction, with what was changed here meanwhile merged into it.

use alcove_crypto::ids::{RecordHash, SlotId};
use alcove_crypto::space::pull::{Accepted, Mode};

use super::engine::{Run, Slots};
use super::pull::{EXPECTED, FAILURES};
use super::repair::log_staged;
use crate::envelope::Envelope;
use crate::error::{Error, Result};
use crate::incident::IncidentKind;
use crate::keys::Standing;
use crate::local::Tx;
use crate::local::records::{GONE, Version};
use crate::merge::{Merged, merge};

/// What the newest commit said when a device had pulled for the first time.
pub(crate) const VIEW: &str = "view";

/// What taking over came to.
struct Applied {
    merged: usize,
    cloned: bool,
}

/// Up to when and from which device a view goes.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct StoredView {
    pub(crate) time_ms: u64,
    pub(crate) device: [u8; 16],
}

impl Run<'_> {
    /// Takes over what a pull has proven; false if there was nothing new in it.
    pub(super) async fn apply(&mut self, accepted: Accepted, mode: Mode, mut slots: Slots) -> Result<bool> {
        let (received, at) = (accepted.changes.len(), accepted.chain.at());
        if accepted.commits.is_empty() && received == 0 && mode == Mode::Changes {
            slots.at = at;
            self.engine.slots = Some(slots);
            return Ok(false);
        }
        let now_ms = self.core().clock.now_ms();
        let applied = self.core().local.write(move |tx| apply(tx, &accepted, mode, now_ms)).await?;
        slots.at = at;
        self.engine.slots = Some(slots);
        self.report.received += received;
        self.report.merged += applied.merged;
        if applied.cloned {
            self.stand(Standing::Cloned).await?;
            let detail =
                "a commit under this device's key that it never made: its store was copied".to_owned();
            self.incident(IncidentKind::Cloned, detail, vec![]).await?;
            return Err(Error::Incident(IncidentKind::Cloned));
        }
        self.alcove.refresh_soon();
        Ok(true)
    }
}

fn apply(tx: &Tx<'_>, accepted: &Accepted, mode: Mode, now_ms: u64) -> Result<Applied> {
    let us = tx.session.device.id();
    let mut cloned = false;
    if let Some(outgoing) = tx.outgoing()? {
        if accepted.commits.iter().any(|commit| commit.at == outgoing.at) {
            tx.acknowledge_outgoing(outgoing.at.seq)?;
        } else if accepted.chain.at().seq >= outgoing.at.seq {
            tx.discard_outgoing()?;
            cloned = accepted.commits.iter().any(|commit| commit.header.device == us);
        }
    } else {
        cloned = accepted.commits.iter().any(|commit| commit.header.device == us);
    }
    let mut merged = 0;
    for (slot, remote) in &accepted.changes {
        if let Some(base) = tx.base(slot)? {
            merged += usize::from(settle(tx, slot, base, *remote, accepted.chain.at().seq, now_ms)?);
        }
    }
    let newest = accepted.chain.at().seq;
    tx.apply_staged((mode == Mode::Snapshot).then_some(newest))?;
    log_staged(tx, accepted)?;
    if let Some(newest) = accepted.commits.last() {
        let view = StoredView { time_ms: newest.header.time_ms, device: *newest.header.device.as_bytes() };
        tx.set_value(VIEW, &view)?;
    }
    tx.clear_staging()?;
    tx.set_chain(Some(&accepted.chain))?;
    tx.unset_value(FAILURES)?;
    tx.unset_value(EXPECTED)?;
    Ok(Applied { merged, cloned })
}

/// A record that was changed here and there; true if something had to be merged.
fn settle(
    tx: &Tx<'_>,
    slot: &SlotId,
    base: Version,
    remote: Option<RecordHash>,
    newest: u64,
    now_ms: u64,
) -> Result<bool> {
    if remote == base.hash() {
        return Ok(false);
    }
    let staged = tx.staged(slot)?;
    let (theirs, seq) = match staged.filter(|staged| staged.version.hash() == remote) {
        Some(staged) => (staged.version, staged.seq),
        None => (GONE, newest),
    };
    join(tx, slot, Some(base), theirs, seq, now_ms)?;
    Ok(true)
}

/// Merges the local version of a slot with the server's. Without a base, because the histories parted, everything that
/// differs counts as changed on both sides.
pub(super) fn join(
    tx: &Tx<'_>,
    slot: &SlotId,
    base: Option<Version>,
    theirs: Version,
    seq: u64,
    now_ms: u64,
) -> Result<()> {
    let ours = tx.record(slot)?.unwrap_or(GONE);
    let before = base.unwrap_or(GONE);
    let local = tx.open(slot, &ours)?;
    // A version that cannot be read is left as it is, and ours moves beside it.
    let merged = match (tx.open(slot, &before), tx.open(slot, &theirs)) {
        (Ok(base), Ok(remote)) => merge(base.as_ref(), local.as_ref(), remote.as_ref(), now_ms),
        (Err(_), Ok(remote)) => merge(None, local.as_ref(), remote.as_ref(), now_ms),
        (_, Err(_)) if local.is_some() => Merged::Apart,
        (_, Err(_)) => Merged::Remote,
    };
    match merged {
        Merged::Local => {
            tx.set_base(slot, theirs)?;
            tx.set_record(slot, ours, Some(seq))?;
            return tx.release(slot, before);
        }
        Merged::Both(envelope) => {
            tx.set_base(slot, theirs)?;
            let sealed = tx.seal(slot, &envelope)?;
            tx.set_record(slot, sealed, Some(seq))?;
        }
        Merged::Remote => theirs_stands(tx, slot, theirs, seq)?,
        Merged::Apart => {
            theirs_stands(tx, slot, theirs, seq)?;
            if let Some(local) = local {
                tx.put(&apart(slot, &local), &local)?;
            }
        }
    }
    tx.release(slot, ours)?;
    tx.release(slot, before)
}

/// The server's version is what the app sees, and nothing of it is unsent.
fn theirs_stands(tx: &Tx<'_>, slot: &SlotId, theirs: Version, seq: u64) -> Result<()> {
    tx.drop_base(slot)?;
    tx.set_record(slot, theirs, Some(seq))
}

/// The slot of a version that found no room beside the other: the same on every device that moves it.
fn apart(slot: &SlotId, envelope: &Envelope) -> SlotId {
    let hash = RecordHash::of(&[&slot.as_bytes()[..], &envelope.to_bytes()].concat());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.as_bytes()[..16]);
    SlotId::new(id)
}
