//! Syncing: what an app starts, watches and stops.

use std::time::Duration;

use crate::alcove::Alcove;
use crate::error::Result;
use crate::incident::IncidentKind;

mod apply;
mod background;
mod engine;
mod locked;
mod pull;
mod push;
mod repair;
mod sign_in;

pub(crate) use apply::{StoredView, VIEW};
pub use background::{BackgroundSync, Policy};
pub(crate) use engine::Engine;
pub use locked::{LockedReport, while_locked};
pub(crate) use pull::{EXPECTED, Place32, REVOKING};

/// Syncing of one store.
pub struct Sync {
    alcove: Alcove,
}

/// How much a sync may take: for metered networks and for what a system grants in the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of bodies, sent and received. Nothing is no limit.
    pub bytes_max: Option<u64>,
    /// Time. Nothing is no limit.
    pub time_max: Option<Duration>,
}

/// What a sync came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that came from the server, deleted ones included.
    pub received: usize,
    /// Records that went there.
    pub sent: usize,
    /// Records that had changed on both sides and were merged.
    pub merged: usize,
    /// Whether everything is done. If not, the budget was used up.
    pub complete: bool,
    /// What the server had lost and was given back, or was found and did not stop the sync.
    pub noticed: Vec<IncidentKind>,
    /// Before this device sends anything, the user has to [confirm](crate::AccountHandle::confirm_view) that what it shows is
    /// the newest.
    pub needs_confirmation: bool,
    /// What came is held back until a commit bars the device that was revoked.
    pub waits_for_barrier: bool,
    /// Bytes of bodies that went and came.
    pub bytes: u64,
}

/// What a sync is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing.
    #[default]
    Idle,
    /// It signs in.
    SigningIn,
    /// It fetches and verifies.
    Receiving,
    /// It takes over what was proven.
    Applying,
    /// It sends.
    Sending,
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Records fetched so far.
    pub received: usize,
    /// Records sent so far.
    pub sent: usize,
    /// Records that still wait to be sent, when the sync began to send.
    pub unsent: u64,
    /// How many there are to fetch, as the server says, if it says so.
    pub expected: Option<u64>,
    /// Bytes of bodies that went and came.
    pub bytes: u64,
}

impl Sync {
    pub(crate) fn new(alcove: Alcove) -> Self {
        Self { alcove }
    }

    /// Syncs now, to the end. Dropping the future stops it at any point; nothing is lost, and the next one goes on from there.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) when another process is at it; [`Error::Incident`](crate::Error::Incident) when
    /// the server was caught at something. Local data is as it was then.
    pub async fn now(&self) -> Result<Report> {
        self.within(Budget::default()).await
    }

    /// Syncs now, within a budget. What is left is for the next one.
    ///
    /// # Errors
    /// As [`Sync::now`].
    pub async fn within(&self, budget: Budget) -> Result<Report> {
        engine::sync(&self.alcove, budget).await
    }

    /// After a [fork](IncidentKind::Fork): merges the server's branch with ours, keeping both where they changed the same.
    ///
    /// # Errors
    /// As [`Sync::now`]; where there is no fork it is an ordinary sync.
    pub async fn merge_fork(&self) -> Result<Report> {
        engine::merge_fork(&self.alcove).await
    }

    /// Stops a sync that is under way, in this process.
    pub fn cancel(&self) {
        self.alcove.core().cancelled.send_modify(|count| *count += 1);
    }

    /// How far the sync is, as it goes.
    #[must_use]
    pub fn progress(&self) -> tokio::sync::watch::Receiver<Progress> {
        self.alcove.core().progress.subscribe()
    }

    /// Syncs from now on by itself, until what this gives is dropped.
    #[must_use]
    pub fn start(&self, policy: Policy) -> BackgroundSync {
        BackgroundSync::start(self.alcove.clone(), policy)
    }
}
