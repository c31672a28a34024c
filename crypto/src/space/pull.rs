//! A pull: pages from a server that is not believed, until the newest commit's root proves them.
//!
//! SPEC.md section 7.7. Feed pages to [`Pull::page`], then [`Pull::finish`]. Pages are collected, not applied: the
//! caller stages their bytes, this keeps 48 bytes a slot. At the end the Merkle root over what this device holds
//! with what was served must be the one that the newest commit signs. Only then does anything change, and then
//! absence is deletion. A refused page or pull leaves everything as it was.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::authority::Authority;
use super::chain::{Chain, Context, Refusal, Violation};
use super::control::Role;
use super::header::{Header, Place};
use super::merkle::MerkleMap;
use super::record::SEALED_LEN_MAX;
use crate::cbor::DecodeError;
use crate::ids::{AccountId, CommitHash, DeviceId, Head, RecordHash, SlotId};

/// Live slots that a space may have, and so slots that one pull may name.
pub const SLOTS_MAX: usize = 4_000_000;
/// Commits that one pull may name: what is more comes in the next pull, after this one has been applied.
pub const COMMITS_MAX: usize = 100_000;

/// What a pull asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The slots that changed since the commit that this device knows.
    Changes,
    /// All live slots: for a fresh device, one that was away for longer than deletions are kept, and after failures.
    Snapshot,
}

/// A slot as a page gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedSlot<'a> {
    /// The slot.
    pub slot: SlotId,
    /// The commit that changed it last.
    pub seq: u64,
    /// Its sealed record, or nothing if it was deleted.
    pub record: Option<ServedRecord<'a>>,
}

/// A sealed record as a page gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedRecord<'a> {
    /// The hash that the server claims.
    pub hash: RecordHash,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A page of a pull.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page<'a> {
    /// Hashes of the commits before the oldest that is still kept.
    pub pruned: &'a [CommitHash],
    /// Commits, in order.
    pub commits: &'a [&'a [u8]],
    /// Slots, each at its last change.
    pub slots: &'a [ServedSlot<'a>],
}

/// A pull under way.
#[derive(Clone, Debug)]
pub struct Pull {
    mode: Mode,
    base: Place,
    chain: Chain,
    commits: Vec<AcceptedCommit>,
    staged: BTreeMap<SlotId, (u64, Option<RecordHash>)>,
    expected: BTreeMap<u64, Head>,
}

/// A commit that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedCommit {
    /// Its place in the chain.
    pub at: Place,
    /// What it says. Heads of other spaces in it are obligations: they must be on those spaces' chains.
    pub header: Header,
}

/// A verified pull: all of it is to be applied, in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The chain after it.
    pub chain: Chain,
    /// Its commits.
    pub commits: Vec<AcceptedCommit>,
    /// Every slot that is different now; without a hash it is deleted.
    pub changes: Vec<(SlotId, Option<RecordHash>)>,
}

/// What a pull came to.
#[derive(Debug)]
pub enum Verdict {
    /// Verified.
    Accepted(Accepted),
    /// Verified, but a device wrote in it that is known to be revoked, and no commit bars it yet.
    Held(Held),
}

/// A pull that waits for the barrier against a revoked device. Pull again later; or, on the device that carries
/// out the revocation, take it and push the barrier behind it.
#[derive(Debug)]
pub struct Held {
    /// The account of the revoked device.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    pull: Pull,
}

impl Pull {
    /// Starts a pull from what this device has verified.
    #[must_use]
    pub fn start(chain: &Chain, mode: Mode) -> Self {
        Self {
            mode,
            base: chain.at(),
            chain: chain.clone(),
            commits: Vec::new(),
            staged: BTreeMap::new(),
            expected: BTreeMap::new(),
        }
    }

    /// Demands that the chain leads through a place that is known from elsewhere: from a scanned code, or from a commit
    /// of another space. Places before the start of the pull are for the device's own log of heads.
    ///
    /// # Errors
    /// [`Violation::Fork`] when another head is known there already.
    pub fn expect(&mut self, place: Place) -> Result<(), Violation> {
        let known = match place.seq.cmp(&self.base.seq) {
            Ordering::Less => return Ok(()),
            Ordering::Equal => self.base.head,
            Ordering::Greater => *self.expected.entry(place.seq).or_insert(place.head),
        };
        if known == place.head {
            Ok(())
        } else {
            Err(Violation::Fork { ours: Place { seq: place.seq, head: known }, theirs: place })
        }
    }

    /// Compares where the server says the chain ends with what this device has seen.
    ///
    /// # Errors
    /// [`Violation::Rollback`] and [`Violation::Fork`]: both may be the work of an honest operator who restored a backup.
    pub fn check_tip(&self, theirs: Place) -> Result<(), Violation> {
        let ours = self.base;
        if theirs.seq < ours.seq {
            Err(Violation::Rollback { ours, theirs })
        } else if theirs.seq == ours.seq && theirs.head != ours.head {
            Err(Violation::Fork { ours, theirs })
        } else {
            Ok(())
        }
    }

    /// Where the pull has come to.
    #[must_use]
    pub fn at(&self) -> Place {
        self.chain.at()
    }

    /// Takes a page.
    ///
    /// # Errors
    /// Nothing of the page is taken then. After [`Refusal::Needs`] the same page can be given again.
    pub fn page(&mut self, page: Page<'_>, context: Context<'_>) -> Result<(), Refusal> {
        let mut chain = self.chain.clone();
        if !page.pruned.is_empty() && !self.commits.is_empty() {
            let (expected, found) = (chain.at().seq + 1, self.base.seq + 1);
            return Err(Violation::OutOfOrder { expected, found }.into());
        }
        for commit in page.pruned {
            chain.fold(commit);
            self.check_expected(chain.at())?;
        }
        let mut commits = Vec::with_capacity(page.commits.len());
        for bytes in page.commits {
            let header = chain.accept(bytes, context)?;
            self.check_expected(chain.at())?;
            commits.push(AcceptedCommit { at: chain.at(), header });
        }
        let slots = page
            .slots
            .iter()
            .map(|slot| self.check_slot(slot, chain.at().seq))
            .collect::<Result<Vec<_>, _>>()?;
        if self.staged.len() + slots.len() > SLOTS_MAX || self.commits.len() + commits.len() > COMMITS_MAX {
            return Err(Violation::TooMuch.into());
        }
        self.staged.extend(slots);
        self.chain = chain;
        self.commits.extend(commits);
        Ok(())
    }

    fn check_expected(&self, at: Place) -> Result<(), Violation> {
        match self.expected.get(&at.seq) {
            Some(head) if *head != at.head => {
                Err(Violation::Fork { ours: Place { seq: at.seq, head: *head }, theirs: at })
            }
            _ => Ok(()),
        }
    }

    fn check_slot(
        &self,
        served: &ServedSlot<'_>,
        newest: u64,
    ) -> Result<(SlotId, (u64, Option<RecordHash>)), Violation> {
        let oldest = if self.mode == Mode::Changes { self.base.seq + 1 } else { 1 };
        // A slot that changes during the pull comes again, further on. It never comes back older.
        let oldest = self.staged.get(&served.slot).map_or(oldest, |(seq, _)| *seq);
        if !(oldest..=newest).contains(&served.seq) {
            return Err(Violation::OutOfOrder { expected: oldest, found: served.seq });
        }
        if let Some(record) = served.record {
            if record.bytes.len() > SEALED_LEN_MAX {
                return Err(Violation::Malformed(DecodeError::TooLarge));
            }
            if RecordHash::of(record.bytes) != record.hash {
                return Err(Violation::RecordHash);
            }
        }
        Ok((served.slot, (served.seq, served.record.map(|record| record.hash))))
    }

    /// Ends the pull. `slots` is what this device holds at the commit where the pull started; it is brought up to
    /// date if, and only if, the verdict is [`Verdict::Accepted`].
    ///
    /// # Errors
    /// [`Violation::Incomplete`] when the newest commit signs something else.
    pub fn finish(self, slots: &mut MerkleMap, authority: &Authority) -> Result<Verdict, Violation> {
        if let Some((account, device)) = self.unbarred(authority) {
            return Ok(Verdict::Held(Held { account, device, pull: self }));
        }
        self.apply(slots).map(Verdict::Accepted)
    }

    /// A device whose commits are in this pull, which the newest state known has revoked, and against which no
    /// commit on the chain has put up a barrier by naming such a state.
    fn unbarred(&self, authority: &Authority) -> Option<(AccountId, DeviceId)> {
        let authors = self.commits.iter().map(|commit| (commit.header.author, commit.header.device));
        authors.into_iter().find(|(account, device)| {
            let Some(history) = authority.account(account) else { return false };
            let named = self.chain.named_state(account).and_then(|version| history.version(version));
            let live_where_named = named.is_none_or(|state| state.state().live_device(device).is_some());
            // Whoever may no longer write in a shared space cannot raise a barrier, and needs none: the control is one.
            let may_write = self.chain.control().is_none_or(|control| {
                control.member(account).is_some_and(|member| member.role >= Role::Writer)
            });
            may_write && live_where_named && history.newest().state().live_device(device).is_none()
        })
    }

    fn apply(self, slots: &mut MerkleMap) -> Result<Accepted, Violation> {
        if let Some((seq, head)) = self.expected.last_key_value()
            && *seq > self.chain.at().seq
        {
            return Err(Violation::Rollback {
                ours: Place { seq: *seq, head: *head },
                theirs: self.chain.at(),
            });
        }
        // The commit whose root proves the rest must itself have been seen.
        if self.chain.at() != self.base && self.commits.last().is_none_or(|last| last.at != self.chain.at()) {
            return Err(Violation::Incomplete);
        }
        let mut wanted: BTreeMap<SlotId, Option<RecordHash>> =
            self.staged.into_iter().map(|(slot, (_, hash))| (slot, hash)).collect();
        if self.mode == Mode::Snapshot {
            for (slot, _) in slots.iter() {
                if let Entry::Vacant(absent) = wanted.entry(slot) {
                    absent.insert(None);
                }
            }
        }
        wanted.retain(|slot, hash| slots.get(slot) != *hash);
        let changes: Vec<_> = wanted.into_iter().collect();
        if self.chain.is_shared() && changes.iter().any(|(_, hash)| hash.is_none()) {
            return Err(Violation::Vanished);
        }
        let undo: Vec<_> = changes.iter().map(|(slot, hash)| (*slot, set(slots, slot, *hash))).collect();
        let whole = slots.root() == self.chain.root();
        if !whole || slots.len() > SLOTS_MAX {
            for (slot, hash) in undo {
                set(slots, &slot, hash);
            }
            return Err(if whole { Violation::TooMuch } else { Violation::Incomplete });
        }
        Ok(Accepted { chain: self.chain, commits: self.commits, changes })
    }
}

impl Held {
    /// Takes the pull although no barrier stands in it: only on the device that pushes the barrier next.
    ///
    /// # Errors
    /// As [`Pull::finish`].
    pub fn accept_before_barrier(self, slots: &mut MerkleMap) -> Result<Accepted, Violation> {
        self.pull.apply(slots)
    }
}

fn set(slots: &mut MerkleMap, slot: &SlotId, hash: Option<RecordHash>) -> Option<RecordHash> {
    match hash {
        Some(hash) => slots.insert(*slot, hash),
        None => slots.remove(slot),
    }
}

#[cfg(test)]
mod tests;
