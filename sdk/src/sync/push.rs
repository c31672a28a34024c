//! Pushing: what waits is squashed into one commit, kept, sent, and acknowledged.

use std::sync::Arc;

use alcove_crypto::ids::{CommitHash, DeviceId, Head, RecordHash, SlotId};
use alcove_crypto::space::chain::Chain;
use alcove_crypto::space::header::{Header, JOINED_HEADS_MAX, Place};
use alcove_protocol::limits::{PUSH_BYTES_MAX, PUSH_SLOTS_MAX};
use alcove_protocol::spaces::{PushRequest, Pushed, SlotChange};
use alcove_protocol::{Bytes, ErrorCode, endpoint};

use super::Phase;
use super::engine::{Run, Slots};
use super::pull::{Place32, REVOKING, chain, context, place, slots};
use crate::error::{Error, Result};
use crate::incident::IncidentKind;
use crate::local::Tx;
use crate::local::log::Logged;
use crate::local::outgoing::Outgoing;
use crate::local::records::{GONE, Version};

/// Heads of branches that the next commit joins.
pub(super) const JOINS: &str = "joins";

/// A commit that is ready to be sent.
struct Prepared {
    request: PushRequest,
    outgoing: Outgoing,
    /// Whether it was made before, and perhaps sent.
    again: bool,
    /// Where it follows.
    chain: Chain,
    slots: Slots,
}

/// How pushing ended.
pub(super) enum Sent {
    /// There was nothing to send.
    Nothing,
    /// The server has everything, and had nothing newer.
    All,
    /// Somebody else was there, or may have been: pull, merge, and push again.
    Moved,
    /// The budget is used up.
    BudgetUsed,
}

impl Run<'_> {
    /// Sends everything that waits.
    pub(super) async fn push(&mut self) -> Result<Sent> {
        let mut ended = Sent::Nothing;
        loop {
            let Some(Prepared { request, outgoing, again, chain, mut slots }) = self.prepare().await? else {
                return Ok(ended);
            };
            let space = *chain.space();
            let pushed: Result<Pushed, _> =
                self.api.post_to(endpoint::PUSH, space.as_bytes(), self.token(), &request).await;
            match pushed {
                Ok(pushed) if place(pushed.tip) == outgoing.at => {
                    self.acknowledge(&outgoing, chain, &mut slots).await?;
                    self.engine.slots = Some(slots);
                    // One that was sent before may have been taken then, and others may have come after it.
                    ended = if again { Sent::Moved } else { Sent::All };
                    self.report.sent += outgoing.slots.len();
                    self.progress(|progress| progress.sent += outgoing.slots.len());
                    if self.is_spent() {
                        return Ok(Sent::BudgetUsed);
                    }
                }
                Ok(pushed) => {
                    let detail = format!("commit {} was acknowledged as {}", outgoing.at.seq, pushed.tip.seq);
                    return Err(self.caught(IncidentKind::Malformed, detail, outgoing.commit).await);
                }
                Err(failure) if failure.code() == Some(&ErrorCode::HeadMoved) => return Ok(Sent::Moved),
                Err(failure) if failure.code() == Some(&ErrorCode::NotFound) => {
                    self.create_space().await?;
                    return Ok(Sent::Moved);
                }
                Err(failure) => return Err(self.refused(failure).await),
            }
        }
    }

    /// The commit that was cut off on its way, or a new one of what waits; nothing if nothing does. It is kept before this returns.
    async fn prepare(&mut self) -> Result<Option<Prepared>> {
        let (kept, time_ms) = (self.engine.slots.take(), self.core().clock.now_ms());
        let (prepared, kept, unsent) = self
            .core()
            .local
            .write(move |tx| {
                let chain = chain(tx)?;
                let mut slots = slots(tx, &chain, kept)?;
                let unsent = tx.unsent()?;
                let found = tx.outgoing()?.filter(|outgoing| outgoing.at.seq == chain.at().seq + 1);
                let again = found.is_some();
                let outgoing = if again {
                    found
                } else {
                    tx.discard_outgoing()?;
                    build(tx, &chain, &mut slots, time_ms)?
                };
                let Some(outgoing) = outgoing else { return Ok((None, Some(slots), unsent)) };
                let request = PushRequest {
                    commit: outgoing.commit.clone().into(),
                    changes: changes(tx, &outgoing.slots)?,
                };
                Ok((Some(Prepared { request, outgoing, again, chain, slots }), None, unsent))
            })
            .await?;
        self.engine.slots = kept;
        self.progress(|progress| (progress.phase, progress.unsent) = (Phase::Sending, unsent));
        Ok(prepared)
    }

    async fn acknowledge(&mut self, outgoing: &Outgoing, chain: Chain, slots: &mut Slots) -> Result<()> {
        let session = self.session().await?;
        let chain = accept_own(chain, outgoing, &session)?;
        for (slot, version) in &outgoing.slots {
            set(slots, slot, version.hash());
        }
        slots.at = outgoing.at;
        let (at, commit) = (outgoing.at, outgoing.commit.clone());
        let named = session.active()?.newest.state().version;
        self.core()
            .local
            .write(move |tx| {
                tx.acknowledge_outgoing(at.seq)?;
                log_own(tx, at, commit, named)?;
                tx.unset_value(JOINS)?;
                end_revoking(tx)?;
                tx.set_chain(Some(&chain))
            })
            .await
    }
}

/// A commit that names the state in which the devices are revoked is the barrier against them.
fn end_revoking(tx: &Tx<'_>) -> Result<()> {
    let Some(revoking) = tx.value::<Vec<[u8; 16]>>(REVOKING)? else { return Ok(()) };
    let newest = tx.session.active()?.newest.state();
    let barred = |device: &[u8; 16]| newest.live_device(&DeviceId::new(*device)).is_none();
    if revoking.iter().all(barred) { tx.unset_value(REVOKING) } else { Ok(()) }
}

/// Our own commit is judged like any other: a commit that others would refuse is never acknowledged here.
pub(super) fn accept_own(
    mut chain: Chain,
    outgoing: &Outgoing,
    session: &Arc<crate::keys::Session>,
) -> Result<Chain> {
    match chain.accept(&outgoing.commit, context(session)?) {
        Ok(_) if chain.at() == outgoing.at => Ok(chain),
        Ok(_) => Err(Error::Corrupt("the commit on its way is not the one that was made".into())),
        Err(error) => Err(Error::Corrupt(format!("the commit on its way: {error}"))),
    }
}

pub(super) fn log_own(tx: &Tx<'_>, at: Place, commit: Vec<u8>, named: u64) -> Result<()> {
    tx.log(&Logged { at, hash: CommitHash::of(&commit), named, bytes: Some(commit) })
}

pub(super) fn set(slots: &mut Slots, slot: &SlotId, hash: Option<RecordHash>) -> Option<RecordHash> {
    match hash {
        Some(hash) => slots.map.insert(*slot, hash),
        None => slots.map.remove(slot),
    }
}

/// What waits, in one commit.
fn build(tx: &Tx<'_>, chain: &Chain, slots: &mut Slots, time_ms: u64) -> Result<Option<Outgoing>> {
    let account = tx.session.active()?;
    let (keys, mut changes, mut bytes) = (&tx.session.keys, Vec::new(), 0);
    for unsent in tx.unsent_records(PUSH_SLOTS_MAX)? {
        // Written and deleted before it was ever sent.
        if unsent.base.is_none() && unsent.version.live.is_none() {
            tx.drop_base(&unsent.slot)?;
            continue;
        }
        if bytes + unsent.len > PUSH_BYTES_MAX {
            break;
        }
        bytes += unsent.len;
        changes.push((unsent.slot, renewed(tx, &unsent.slot, unsent.version)?));
    }
    let joins: Vec<Place32> = tx.value(JOINS)?.unwrap_or_default();
    let named = chain.named_state(&account.id());
    let bars_somebody = named.is_some_and(|named| {
        let then = account.history().version(named).map_or(&[][..], |state| &state.state().devices);
        let live = |device: &&alcove_crypto::account::state::Device| device.revoked_day.is_none();
        then.iter().filter(live).any(|device| account.newest.state().live_device(&device.keys.id()).is_none())
    });
    if changes.is_empty() && joins.is_empty() && !bars_somebody {
        return Ok(None);
    }
    let undo: Vec<_> =
        changes.iter().map(|(slot, version)| (*slot, set(slots, slot, version.hash()))).collect();
    let root = slots.map.root();
    for (slot, hash) in undo {
        set(slots, &slot, hash);
    }
    let header = Header {
        author: account.id(),
        device: tx.session.device.id(),
        state: (account.newest.state().version, account.newest.hash()),
        control: None,
        root,
        time_ms,
        other_heads: vec![],
        joined: joins
            .into_iter()
            .take(JOINED_HEADS_MAX)
            .map(|Place32(seq, head)| Place { seq, head: Head::new(head) })
            .collect(),
    };
    let at = chain.at();
    let commit = header.seal(&keys.space, &at, keys.newest(), &tx.session.device, &mut rand::rng());
    let at = Place { seq: at.seq + 1, head: at.head.after(&CommitHash::of(&commit)) };
    let outgoing = Outgoing { commit, at, slots: changes };
    tx.set_outgoing(&outgoing)?;
    Ok(Some(outgoing))
}

/// What was written before a new epoch and never sent is sealed with the new key: a revoked device has the old one.
fn renewed(tx: &Tx<'_>, slot: &SlotId, version: Version) -> Result<Version> {
    if version.live.is_none() || version.epoch == tx.session.keys.newest().epoch() {
        return Ok(version);
    }
    let envelope = tx.open(slot, &version)?.ok_or(Error::NotFound)?;
    let sealed = tx.seal(slot, &envelope)?;
    tx.set_record(slot, sealed, None)?;
    tx.release(slot, version)?;
    Ok(sealed)
}

/// Versions as they are sent.
pub(super) fn changes(tx: &Tx<'_>, slots: &[(SlotId, Version)]) -> Result<Vec<SlotChange>> {
    let change = |(slot, version): &(SlotId, Version)| {
        let record = match version.live {
            Some((_, blob)) => Some(Bytes(tx.bytes(blob)?)),
            None => None,
        };
        let epoch = if *version == GONE { tx.session.keys.newest().epoch() } else { version.epoch };
        Ok(SlotChange { slot: (*slot).into(), epoch, record })
    };
    slots.iter().map(change).collect()
}
