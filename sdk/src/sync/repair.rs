//! Repair: a server that lost what this device has seen is given it back; a history that parted is shown, and joined on request.
//!
//! Either needs a chain that verifies. A failure to verify is never repaired over.

use std::collections::BTreeSet;

use alcove_crypto::ids::{CommitHash, SlotId, StateRoot};
use alcove_crypto::space::chain::Chain;
use alcove_crypto::space::commit::Commit;
use alcove_crypto::space::header::Place;
use alcove_crypto::space::merkle::MerkleMap;
use alcove_crypto::space::pull::{Accepted, Mode};
use alcove_crypto::space::violation::Violation;
use alcove_protocol::endpoint;
use alcove_protocol::spaces::{PullRequest, PushRequest, Pushed};

use super::apply::join;
use super::engine::Run;
use super::pull::{Ended, FAILURES, Place32, place};
use super::push::{JOINS, changes};
use crate::error::{Error, Result};
use crate::incident::IncidentKind;
use crate::local::Tx;
use crate::local::log::Logged;
use crate::local::records::{GONE, Version};

/// A fork that was looked into: our newest place, and theirs.
const FORK: &str = "fork";

impl Run<'_> {
    /// The server's chain ends before ours, or is another one.
    pub(super) async fn behind_or_forked(
        &mut self,
        chain: &Chain,
        theirs: Place,
        violation: Violation,
    ) -> Result<Ended> {
        self.forget_pull().await?;
        if self.is_ours(chain, theirs).await? {
            return self.give_back(chain, theirs).await;
        }
        self.forked(chain, theirs, violation).await
    }

    /// Whether a place is on our chain.
    async fn is_ours(&self, chain: &Chain, at: Place) -> Result<bool> {
        if at.seq == 0 {
            return Ok(at == Place::start(chain.space()));
        }
        let logged = self.core().local.write(move |tx| tx.logged(at.seq)).await?;
        Ok(logged.is_some_and(|logged| logged.at == at))
    }

    /// An operator restored a backup: the same commits are pushed again, byte for byte, with what they hold of the newest
    /// versions.
    async fn give_back(&mut self, chain: &Chain, theirs: Place) -> Result<Ended> {
        let ours = chain.at();
        let detail = format!("the server was back at commit {}, this device knows {}", theirs.seq, ours.seq);
        let space = *chain.space();
        for seq in theirs.seq + 1..=ours.seq {
            let request = self
                .core()
                .local
                .write(move |tx| {
                    let Some(commit) = tx.logged(seq)?.and_then(|logged| logged.bytes) else {
                        return Ok(None);
                    };
                    let changes = changes(tx, &tx.confirmed_by(seq)?)?;
                    Ok(Some(PushRequest { commit: commit.into(), changes }))
                })
                .await?;
            // Lost further back than commits are kept: everything is put on top of what is there.
            let Some(request) = request else { return self.put_on_top(chain, theirs, detail).await };
            let pushed: Result<Pushed, _> =
                self.api.post_to(endpoint::PUSH, space.as_bytes(), self.token(), &request).await;
            if let Err(failure) = pushed {
                return Err(self.refused(failure).await);
            }
        }
        self.incident(IncidentKind::Rollback, detail, vec![]).await?;
        // And now as if nothing had been: there may be something to pull yet.
        Ok(Ended::Again)
    }

    async fn put_on_top(&mut self, chain: &Chain, theirs: Place, detail: String) -> Result<Ended> {
        let accepted = self.pull_branch(chain, theirs.seq).await?;
        self.incident(IncidentKind::Rollback, detail, vec![]).await?;
        self.join_branches(chain, accepted, theirs.seq, true).await?;
        Ok(Ended::Again)
    }

    /// Another history. If its commits say that ours was joined into it, that is the end of it; if not, the user decides.
    async fn forked(&mut self, chain: &Chain, theirs: Place, violation: Violation) -> Result<Ended> {
        let ours = chain.at();
        let both = [ours, theirs].map(|place| Place32(place.seq, *place.head.as_bytes()));
        let known: Option<[Place32; 2]> = self.core().local.write(|tx| tx.value(FORK)).await?;
        // The same as before: everything on the server's branch was looked through then.
        if known.as_ref() != Some(&both) {
            let common = self.common_place(chain, theirs).await?;
            if common == ours.seq && common > 0 {
                // It does continue ours, but not through a place that is known from elsewhere.
                return Err(self.violated(&violation, vec![]).await);
            }
            let accepted = self.pull_branch(chain, common).await?;
            if accepted.commits.iter().any(|commit| commit.header.joined.contains(&ours)) {
                self.join_branches(chain, accepted, common, false).await?;
                return Ok(Ended::Again);
            }
            self.forget_pull().await?;
            self.core().local.write(move |tx| tx.set_value(FORK, &both)).await?;
        }
        let (seq, our_head, their_head) = (ours.seq, ours.head, theirs.head);
        let detail = format!(
            "{violation}: after commit {seq} ours is {our_head}, of {} theirs is {their_head}",
            theirs.seq
        );
        let evidence = [*our_head.as_bytes(), *their_head.as_bytes()].concat();
        self.incident(IncidentKind::Fork, detail, evidence).await?;
        Err(Error::Incident(IncidentKind::Fork))
    }

    /// Merges the server's branch with ours, on request.
    pub(super) async fn merge_fork(&mut self) -> Result<()> {
        let session = self.session().await?;
        let account = session.active()?.id();
        let chain = self.core().local.write(|tx| tx.chain()).await?;
        let chain = chain.unwrap_or_else(|| Chain::private(session.keys.space, account));
        let after = chain.at().seq;
        let page =
            self.ask(&PullRequest { after, snapshot: false, cursor: None, bytes_max: Some(1) }).await?;
        let theirs = place(page.tip);
        let parted = parted(chain.at(), theirs, page.commits.first().map(|commit| &commit.0[..]));
        if !parted || self.is_ours(&chain, theirs).await? {
            return Ok(());
        }
        self.forget_pull().await?;
        let common = self.common_place(&chain, theirs).await?;
        let accepted = self.pull_branch(&chain, common).await?;
        self.join_branches(&chain, accepted, common, true).await
    }

    /// Number of the newest commit that both histories have, as far as it can be found.
    async fn common_place(&mut self, chain: &Chain, theirs: Place) -> Result<u64> {
        // Where they are known to agree, and where they are known to differ.
        let (mut same, mut other) = (0, chain.at().seq.min(theirs.seq) + 1);
        let mut step = 1;
        while other - same > 1 {
            let probe = other.saturating_sub(step).max(same + 1).min(other - 1);
            if self.agrees(probe).await? {
                same = probe;
                step = ((other - same) / 2).max(1);
            } else {
                other = probe;
                step = step.saturating_mul(2);
            }
        }
        Ok(same)
    }

    /// Whether the server has our commit of this number.
    async fn agrees(&mut self, seq: u64) -> Result<bool> {
        let Some(ours) = self.core().local.write(move |tx| tx.logged(seq)).await? else { return Ok(false) };
        let request = PullRequest { after: seq - 1, snapshot: false, cursor: None, bytes_max: Some(1) };
        let page = self.ask(&request).await?;
        let first = page.pruned.first().map(|hash| hash.0);
        let first = first.or_else(|| page.commits.first().map(|commit| CommitHash::of(&commit.0)));
        Ok(first == Some(ours.hash))
    }

    /// Everything that the server has, verified from a place that both histories have.
    async fn pull_branch(&mut self, chain: &Chain, common: u64) -> Result<Accepted> {
        let session = self.session().await?;
        let account = session.active()?.id();
        let space = *chain.space();
        let logged = self.core().local.write(move |tx| tx.logged(common)).await?;
        let from = match logged {
            // The root is the newest commit's, in a snapshot; that of the common place proves nothing.
            Some(logged) => {
                let named = (logged.named > 0).then_some(logged.named);
                Chain::private_at(space, account, logged.at, StateRoot::new([0; 32]), named)
            }
            None => Chain::private(space, account),
        };
        match self.pull_from_boxed(&from).await? {
            Ended::Accepted(accepted) => Ok(*accepted),
            _ => Err(Error::TryLater { after: None }),
        }
    }

    /// A pull may lead to a repair, and a repair pulls: the future has to end somewhere.
    fn pull_from_boxed<'f>(&'f mut self, from: &'f Chain) -> crate::net::BoxFuture<'f, Result<Ended>> {
        Box::pin(async move { self.pull_from(from, Mode::Snapshot, None, None, &mut MerkleMap::new()).await })
    }

    /// Takes the server's branch as the chain, and keeps what only ours has as unsent changes, for one commit that joins both.
    async fn join_branches(
        &mut self,
        chain: &Chain,
        accepted: Accepted,
        common: u64,
        keep_ours: bool,
    ) -> Result<()> {
        let (ours, now_ms) = (chain.at(), self.core().clock.now_ms());
        self.engine.slots = None;
        let merged = self
            .core()
            .local
            .write(move |tx| join_branches(tx, &accepted, ours, common, keep_ours, now_ms))
            .await?;
        self.report.merged += merged;
        self.alcove.refresh_soon();
        Ok(())
    }
}

/// Whether the server's history, with the commit that it has after ours, is another one.
fn parted(ours: Place, theirs: Place, next: Option<&[u8]>) -> bool {
    if theirs.seq <= ours.seq {
        return theirs != ours;
    }
    next.is_some_and(|next| Commit::parse(next).is_ok_and(|next| next.prev != ours.head))
}

fn join_branches(
    tx: &Tx<'_>,
    accepted: &Accepted,
    ours: Place,
    common: u64,
    keep_ours: bool,
    now_ms: u64,
) -> Result<usize> {
    tx.discard_outgoing()?;
    let newest = accepted.chain.at().seq;
    let mut merged = 0;
    let slots: BTreeSet<SlotId> =
        tx.all_slots()?.into_iter().chain(accepted.changes.iter().map(|(slot, _)| *slot)).collect();
    for slot in slots {
        let staged = tx.staged(&slot)?;
        let (theirs, seq) = staged.map_or((GONE, newest), |staged| (staged.version, staged.seq));
        let local = tx.record(&slot)?.unwrap_or(GONE);
        if local.hash() == theirs.hash() {
            // The same bytes on both sides; but the histories may count them differently.
            tx.drop_base(&slot)?;
            if local.live.is_some() {
                tx.set_record(&slot, local, Some(seq))?;
            }
            continue;
        }
        let base = tx.base(&slot)?;
        let confirmed_seq = tx.confirmed_seq(&slot)?;
        let ours_changed = base.is_some() || (keep_ours && confirmed_seq > common);
        let theirs_changed = theirs.live.is_none() || seq > common;
        match (ours_changed, theirs_changed) {
            (false, _) => {
                let before = base.unwrap_or(local);
                tx.drop_base(&slot)?;
                tx.set_record(&slot, theirs, Some(seq))?;
                tx.release(&slot, before)?;
            }
            // Absent there because it never was there, or because they deleted what we did not touch.
            (true, _) if theirs.live.is_none() && confirmed_seq > common => {
                keep(tx, &slot, base, theirs, seq)?;
            }
            (true, false) => keep(tx, &slot, base, theirs, seq)?,
            (true, true) => {
                // Against a common version only if there is one: what ours confirmed after the fork is no base for theirs.
                let common_base = base.filter(|_| !keep_ours || confirmed_seq <= common);
                if let (None, Some(old)) = (common_base, base) {
                    tx.drop_base(&slot)?;
                    tx.release(&slot, old)?;
                }
                join(tx, &slot, common_base, theirs, seq, now_ms)?;
                merged += 1;
            }
        }
    }
    tx.forget_log_after(common)?;
    log_staged(tx, accepted)?;
    tx.set_chain(Some(&accepted.chain))?;
    if keep_ours {
        let mut joins: Vec<Place32> = tx.value(JOINS)?.unwrap_or_default();
        joins.push(Place32(ours.seq, *ours.head.as_bytes()));
        tx.set_value(JOINS, &joins)?;
    }
    tx.unset_value(FAILURES)?;
    tx.clear_staging()?;
    Ok(merged)
}

/// Ours stands, as an unsent change over theirs.
fn keep(tx: &Tx<'_>, slot: &SlotId, base: Option<Version>, theirs: Version, seq: u64) -> Result<()> {
    let ours = tx.record(slot)?.unwrap_or(GONE);
    tx.set_base(slot, theirs)?;
    tx.set_record(slot, ours, Some(seq))?;
    base.map_or(Ok(()), |base| tx.release(slot, base))
}

/// Adds the commits that were staged to the log of the chain.
pub(super) fn log_staged(tx: &Tx<'_>, accepted: &Accepted) -> Result<()> {
    let Some(staged) = tx.staged_pull()? else { return Ok(()) };
    let mut at = staged.from();
    let mut accepted = accepted.commits.iter();
    let mut named = tx.logged(at.seq)?.map_or(0, |logged| logged.named);
    for (is_pruned, bytes) in tx.staged_commits()? {
        let hash = match (is_pruned, bytes.as_slice().try_into()) {
            (true, Ok(hash)) => CommitHash::new(hash),
            _ => CommitHash::of(&bytes),
        };
        at = Place { seq: at.seq + 1, head: at.head.after(&hash) };
        if !is_pruned && let Some(commit) = accepted.next() {
            named = commit.header.state.0;
        }
        tx.log(&Logged { at, hash, named, bytes: (!is_pruned).then_some(bytes) })?;
    }
    Ok(())
}
