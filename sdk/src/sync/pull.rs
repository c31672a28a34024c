//! Pulling: pages are fetched, verified, staged, and believed all at once or not at all.

use alcove_crypto::ids::{CommitHash, RecordHash};
use alcove_crypto::space::authority::Authority;
use alcove_crypto::space::chain::{Chain, Context, Refusal};
use alcove_crypto::space::header::Place;
use alcove_crypto::space::merkle::MerkleMap;
use alcove_crypto::space::pull::{Accepted, Mode, Page, Pull, ServedRecord, ServedSlot, Verdict};
use alcove_crypto::space::violation::{Needs, Violation};
use alcove_protocol::spaces::{PullPage, PullRequest, Tip};
use alcove_protocol::{ErrorCode, endpoint};

use super::Phase;
use super::engine::{Run, Slots};
use crate::error::{Error, Result};
use crate::incident::IncidentKind;
use crate::local::Tx;
use crate::local::staging::StagedPull;

/// Failures of any kind after which a whole snapshot is asked for.
const FAILURES_MAX: u32 = 2;
pub(super) const FAILURES: &str = "failures";
/// A place that the chain must lead through, from a scanned code.
pub(crate) const EXPECTED: &str = "expected";
/// The devices that this one is revoking: their commits may stand before the barrier that comes next.
pub(crate) const REVOKING: &str = "revoking";
/// Bytes that one sync fetches at most: a stream without end fills no disk.
const PULL_BYTES_MAX: u64 = 4 << 30;
/// Slots that are read again at a time, when a pull is resumed.
const RESUME_SLOTS: usize = 1_000;
/// A space with more records than this shows its newest days first: about as many, and in so many bytes.
const AHEAD_SLOTS: u64 = 200;
const AHEAD_BYTES: u32 = 384 * 1024;

/// What a pull starts from.
struct Base {
    chain: Chain,
    /// Failures since the last pull that succeeded.
    failures: u32,
    /// A pull that was cut.
    staged: Option<StagedPull>,
    expected: Option<Place32>,
    slots: Slots,
}

/// What a pull came to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pulled {
    /// The server has nothing that is new here.
    Nothing,
    /// Something was taken over.
    Something,
    /// It is held back.
    Held,
    /// The budget was used up before the end.
    Spent,
}

/// How a pull ended.
pub(super) enum Ended {
    /// Proven, and what this device holds is up to date with it.
    Accepted(Box<Accepted>),
    /// Proven, but to be held back.
    Held,
    /// The budget is used up; what was staged stays.
    Spent,
    /// It has to begin again, with a snapshot.
    Snapshot,
    /// It has to begin again: something was repaired.
    Again,
}

impl Run<'_> {
    /// Whether to pull before anything is sent: on a device that has never pulled, or not to the end.
    pub(super) async fn must_pull_first(&self) -> Result<bool> {
        self.core()
            .local
            .write(|tx| {
                let account = tx.session.active()?;
                let founded_here = account.stored.states.len() == 1 && account.newest.state().version == 1;
                let at = tx.chain()?.map_or(0, |chain| chain.at().seq);
                Ok((at == 0 && !founded_here)
                    || tx.staged_pull()?.is_some()
                    || tx.value::<Place32>(EXPECTED)?.is_some())
            })
            .await
    }

    /// Pulls and takes over.
    pub(super) async fn pull(&mut self) -> Result<Pulled> {
        self.progress(|progress| progress.phase = Phase::Receiving);
        let mut base = self.base().await?;
        let fresh = base.chain.at().seq == 0;
        let mut snapshot = fresh || base.failures >= FAILURES_MAX;
        let mut repaired = false;
        if fresh {
            self.show_newest_first().await?;
        }
        for _ in 0..4 {
            let mode = if snapshot { Mode::Snapshot } else { Mode::Changes };
            let Base { chain, staged, expected, mut slots, .. } = base;
            let was_complete = staged.as_ref().is_some_and(|staged| staged.complete);
            match self.pull_from(&chain, mode, staged, expected, &mut slots.map).await? {
                Ended::Accepted(accepted) => {
                    self.progress(|progress| progress.phase = Phase::Applying);
                    let changed = self.apply(*accepted, mode, slots).await?;
                    if was_complete {
                        // Its last page is from before the cut; the server may have moved since.
                        (repaired, snapshot) = (true, false);
                        base = self.base().await?;
                        continue;
                    }
                    return Ok(if changed || repaired { Pulled::Something } else { Pulled::Nothing });
                }
                Ended::Held => {
                    self.report.waits_for_barrier = true;
                    return Ok(Pulled::Held);
                }
                Ended::Spent => return Ok(Pulled::Spent),
                Ended::Snapshot => snapshot = true,
                Ended::Again => repaired = true,
            }
            // A repair may have moved it.
            base = self.base().await?;
        }
        Err(Error::TryLater { after: None })
    }

    /// What a pull starts from, in one look at the store.
    async fn base(&mut self) -> Result<Base> {
        let kept = self.engine.slots.take();
        self.core()
            .local
            .write(move |tx| {
                let chain = chain(tx)?;
                Ok(Base {
                    slots: slots(tx, &chain, kept)?,
                    chain,
                    failures: tx.value(FAILURES)?.unwrap_or(0),
                    staged: tx.staged_pull()?,
                    expected: tx.value(EXPECTED)?,
                })
            })
            .await
    }

    /// Fetches and verifies everything after a place of the chain. Nothing is taken over yet.
    pub(super) async fn pull_from(
        &mut self,
        chain: &Chain,
        mode: Mode,
        staged: Option<StagedPull>,
        expected: Option<Place32>,
        slots: &mut MerkleMap,
    ) -> Result<Ended> {
        let (mut staged, mut pull) = self.resume(chain, mode, staged, expected).await?;
        let mut next = if staged.complete { None } else { Some(self.page(&staged).await?) };
        while let Some(page) = next.take() {
            if !page.pruned.is_empty() && mode == Mode::Changes {
                // Deletions from before the oldest commit are no longer told.
                self.forget_pull().await?;
                return Ok(Ended::Snapshot);
            }
            let seq = page.tip.seq;
            let brings_nothing = page.pruned.is_empty() && page.commits.is_empty() && page.slots.is_empty();
            if (brings_nothing && page.cursor.is_some()) || self.bytes() > PULL_BYTES_MAX {
                return Err(self.violated(&Violation::TooMuch, vec![]).await);
            }
            if let Err(violation) = pull.check_tip(place(page.tip)) {
                return self.behind_or_forked(chain, place(page.tip), violation).await;
            }
            if let Some(fork) = self.verify(&mut pull, &page).await? {
                return self.behind_or_forked(chain, place(page.tip), fork).await;
            }
            staged.tip = if staged.tip == 0 { seq } else { staged.tip };
            staged.cursor = page.cursor.as_ref().map(|cursor| cursor.0.clone());
            staged.complete = page.cursor.is_none();
            let (more, records) = (page.cursor.is_some() && !self.is_spent(), page.slots.len());
            self.progress(|progress| {
                progress.received += records;
                progress.expected = progress.expected.max(Some(seq.saturating_sub(chain.at().seq)));
            });
            // Nothing changed: there is nothing to stage, and nothing to read again.
            if staged.complete && pull.at() == chain.at() && page.slots.is_empty() {
                break;
            }
            let keep = staged.clone();
            let local = self.core().local.clone();
            let stage = local.write(move |tx| tx.stage(&keep, &page));
            if more {
                let (kept, fetched) = tokio::join!(stage, self.page(&staged));
                kept?;
                next = Some(fetched?);
            } else {
                stage.await?;
            }
        }
        if !staged.complete {
            return Ok(Ended::Spent);
        }
        self.finish(pull, slots).await
    }

    async fn finish(&mut self, pull: Pull, slots: &mut MerkleMap) -> Result<Ended> {
        let session = self.session().await?;
        match pull.finish(slots, &session.active()?.authority) {
            Ok(Verdict::Accepted(accepted)) => Ok(Ended::Accepted(Box::new(accepted))),
            Ok(Verdict::Held(held)) => {
                let revoking: Option<Vec<[u8; 16]>> =
                    self.core().local.write(|tx| tx.value(REVOKING)).await?;
                if revoking.is_some_and(|devices| devices.contains(held.device.as_bytes())) {
                    // This device puts up the barrier, right behind what it takes here.
                    match held.accept_before_barrier(slots) {
                        Ok(accepted) => return Ok(Ended::Accepted(Box::new(accepted))),
                        Err(violation) => return Err(self.violated(&violation, vec![]).await),
                    }
                }
                self.forget_pull().await?;
                Ok(Ended::Held)
            }
            Err(violation) => Err(self.violated(&violation, vec![]).await),
        }
    }

    /// A pull that was cut is taken up where it was; what was staged is verified again, for it was never believed.
    async fn resume(
        &mut self,
        chain: &Chain,
        mode: Mode,
        found: Option<StagedPull>,
        expected: Option<Place32>,
    ) -> Result<(StagedPull, Pull)> {
        let mut pull = Pull::start(chain, mode);
        if let Some(Place32(seq, head)) = expected {
            let place = Place { seq, head: alcove_crypto::ids::Head::new(head) };
            if let Err(violation) = pull.expect(place) {
                return Err(self.violated(&violation, vec![]).await);
            }
        }
        let fresh = StagedPull::start(chain.at(), mode == Mode::Snapshot);
        let Some(staged) = found else { return Ok((fresh, pull)) };
        if staged.from() == chain.at() && staged.snapshot == fresh.snapshot {
            let mut again = pull.clone();
            if self.replay(&mut again).await? {
                return Ok((staged, again));
            }
        }
        self.forget_pull().await?;
        Ok((fresh, pull))
    }

    /// Whether everything that was staged verifies again.
    async fn replay(&mut self, pull: &mut Pull) -> Result<bool> {
        let commits = self.core().local.write(|tx| tx.staged_commits()).await?;
        let session = self.session().await?;
        let context = context(&session)?;
        let mut pruned = Vec::new();
        for (is_pruned, bytes) in &commits {
            if *is_pruned {
                let Ok(hash) = bytes.as_slice().try_into() else { return Ok(false) };
                pruned.push(CommitHash::new(hash));
            }
        }
        let bodies: Vec<&[u8]> =
            commits.iter().filter(|(is_pruned, _)| !is_pruned).map(|(_, bytes)| &bytes[..]).collect();
        if pull.page(Page { pruned: &pruned, commits: &bodies, slots: &[] }, context).is_err() {
            return Ok(false);
        }
        let mut after = None;
        loop {
            let slots = self
                .core()
                .local
                .write(move |tx| {
                    let slots = tx.staged_slots(after, RESUME_SLOTS)?;
                    let bytes = slots.iter().map(|slot| match slot.version.live {
                        Some((_, blob)) => tx.bytes(blob).map(Some),
                        None => Ok(None),
                    });
                    let bytes = bytes.collect::<Result<Vec<_>>>()?;
                    Ok(slots.into_iter().zip(bytes).collect::<Vec<_>>())
                })
                .await?;
            let Some((last, _)) = slots.last() else { return Ok(true) };
            after = Some(last.slot);
            let served: Vec<ServedSlot<'_>> = slots
                .iter()
                .map(|(slot, bytes)| ServedSlot {
                    slot: slot.slot,
                    seq: slot.seq,
                    record: bytes
                        .as_deref()
                        .zip(slot.version.hash())
                        .map(|(bytes, hash)| ServedRecord { hash, bytes }),
                })
                .collect();
            if pull.page(Page { pruned: &[], commits: &[], slots: &served }, context).is_err() {
                return Ok(false);
            }
        }
    }

    pub(super) async fn forget_pull(&self) -> Result<()> {
        self.core().local.write(|tx| tx.clear_staging()).await
    }

    async fn page(&mut self, staged: &StagedPull) -> Result<PullPage> {
        let request = PullRequest {
            after: staged.seq,
            snapshot: staged.snapshot,
            cursor: staged.cursor.clone().map(Into::into),
            bytes_max: None,
        };
        self.ask(&request).await
    }

    pub(super) async fn ask(&mut self, request: &PullRequest) -> Result<PullPage> {
        let space = self.session().await?.keys.space;
        let asked = self.api.post_to(endpoint::PULL, space.as_bytes(), self.token(), request).await;
        match asked {
            Ok(page) => Ok(page),
            // The server was restored to before the space; or the account was founded here, and it was never made.
            Err(failure) if failure.code() == Some(&ErrorCode::NotFound) => {
                let summary = self.create_space().await?;
                Ok(PullPage {
                    tip: summary.tip,
                    pruned: vec![],
                    commits: vec![],
                    slots: vec![],
                    cursor: None,
                })
            }
            Err(failure) => Err(self.refused(failure).await),
        }
    }

    /// Verifies a page; what is missing for it is fetched once. Gives the violation if the page is of another history.
    async fn verify(&mut self, pull: &mut Pull, page: &PullPage) -> Result<Option<Violation>> {
        let mut asked_for = None;
        loop {
            let session = self.session().await?;
            let needs = match judge(pull, page, context(&session)?) {
                Ok(()) => return Ok(None),
                Err(Refusal::Violation(fork @ Violation::Fork { .. })) => return Ok(Some(fork)),
                Err(Refusal::Violation(violation)) => {
                    return Err(self.violated(&violation, evidence(page)).await);
                }
                Err(Refusal::Needs(needs)) => needs,
            };
            if asked_for == Some(needs) {
                let kind = match needs {
                    Needs::Key { .. } => IncidentKind::WrongKey,
                    _ => IncidentKind::UnknownState,
                };
                let detail = format!("the server does not have what its commits need: {needs:?}");
                return Err(self.caught(kind, detail, evidence(page)).await);
            }
            asked_for = Some(needs);
            self.learn_states().await?;
        }
    }

    /// One rule for every failure to verify: what was fetched is forgotten, what is local stays, the incident is kept.
    pub(super) async fn violated(&mut self, violation: &Violation, evidence: Vec<u8>) -> Error {
        self.caught(violation.into(), violation.to_string(), evidence).await
    }

    pub(super) async fn caught(&mut self, kind: IncidentKind, detail: String, evidence: Vec<u8>) -> Error {
        self.engine.slots = None;
        let kept = async {
            self.incident(kind, detail, evidence).await?;
            self.core()
                .local
                .write(|tx| {
                    tx.clear_staging()?;
                    let failures: u32 = tx.value(FAILURES)?.unwrap_or(0);
                    tx.set_value(FAILURES, &failures.saturating_add(1))
                })
                .await
        };
        match kept.await {
            Ok(()) => Error::Incident(kind),
            Err(error) => error,
        }
    }

    /// On a fresh device: the newest days of a large account are shown while the rest is fetched and proven.
    async fn show_newest_first(&mut self) -> Result<()> {
        let summary = self.create_space().await?;
        self.progress(|progress| progress.expected = Some(summary.records));
        if summary.records <= AHEAD_SLOTS {
            return Ok(());
        }
        let mut back = 1;
        loop {
            let after = summary.tip.seq.saturating_sub(back);
            if after == 0 {
                // As good as the whole.
                return Ok(());
            }
            let request = PullRequest { after, snapshot: false, cursor: None, bytes_max: Some(AHEAD_BYTES) };
            let page = self.ask(&request).await?;
            let live = page.slots.into_iter().filter_map(|slot| {
                let record = slot.record?;
                let whole = RecordHash::of(&record.bytes.0) == record.hash.0;
                whole.then_some((slot.slot.0, record.epoch, record.bytes.0))
            });
            let live: Vec<_> = live.collect();
            let enough = page.cursor.is_some() || live.len() as u64 >= AHEAD_SLOTS;
            self.alcove.show_ahead(live).await;
            if enough {
                return Ok(());
            }
            back = back.saturating_mul(8);
        }
    }
}

/// Where this device is.
pub(super) fn chain(tx: &Tx<'_>) -> Result<Chain> {
    let account = tx.session.active()?.id();
    Ok(tx.chain()?.unwrap_or_else(|| Chain::private(tx.session.keys.space, account)))
}

/// The hashes of what the server has confirmed, as of the chain: those that were kept, if they are.
pub(super) fn slots(tx: &Tx<'_>, chain: &Chain, kept: Option<Slots>) -> Result<Slots> {
    if let Some(slots) = kept.filter(|slots| slots.at == chain.at()) {
        return Ok(slots);
    }
    let mut map = MerkleMap::new();
    for (slot, hash) in tx.confirmed()? {
        map.insert(slot, hash);
    }
    Ok(Slots { at: chain.at(), map })
}

/// A place as a sealed value.
#[derive(PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place32(pub(crate) u64, pub(crate) [u8; 32]);

pub(super) fn place(tip: Tip) -> Place {
    Place { seq: tip.seq, head: tip.head.0 }
}

pub(super) fn context(session: &crate::keys::Session) -> Result<Context<'_>> {
    let authority: &Authority = &session.active()?.authority;
    Ok(Context { keys: &session.keys.by_epoch, authority, controls: &[] })
}

fn judge(pull: &mut Pull, page: &PullPage, context: Context<'_>) -> Result<(), Refusal> {
    let pruned: Vec<CommitHash> = page.pruned.iter().map(|hash| hash.0).collect();
    let commits: Vec<&[u8]> = page.commits.iter().map(|commit| &commit.0[..]).collect();
    let slots: Vec<ServedSlot<'_>> = page
        .slots
        .iter()
        .map(|slot| {
            let record = slot.record.as_ref();
            let record = record.map(|record| ServedRecord { hash: record.hash.0, bytes: &record.bytes.0 });
            ServedSlot { slot: slot.slot.0, seq: slot.seq, record }
        })
        .collect();
    pull.page(Page { pruned: &pruned, commits: &commits, slots: &slots }, context)
}

/// The commits of a page, as they came.
fn evidence(page: &PullPage) -> Vec<u8> {
    page.commits.iter().flat_map(|commit| commit.0.iter().copied()).collect()
}
