//! Syncing by itself: after changes, on a nudge, and from time to time.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::Budget;
use crate::alcove::Alcove;
use crate::error::Error;

/// When a background sync runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// After a change it waits this long for the next one, and sends them together.
    pub debounce: Duration,
    /// But never longer than this.
    pub debounce_max: Duration,
    /// From time to time, for what others wrote.
    pub every: Duration,
    /// After a failure it waits this long, then twice as long each time,
    pub retry: Duration,
    /// but never longer than this.
    pub retry_max: Duration,
    /// What one sync may take.
    pub budget: Budget,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            debounce: Duration::from_secs(2),
            debounce_max: Duration::from_secs(15),
            every: Duration::from_mins(5),
            retry: Duration::from_secs(5),
            retry_max: Duration::from_mins(30),
            budget: Budget::default(),
        }
    }
}

/// A sync that runs by itself. Dropping it ends it; a sync that is under way stops where it is, and loses nothing.
pub struct BackgroundSync {
    nudge: Arc<Notify>,
    task: JoinHandle<()>,
}

impl BackgroundSync {
    pub(super) fn start(alcove: Alcove, policy: Policy) -> Self {
        let nudge = Arc::new(Notify::new());
        let task = tokio::spawn(run(alcove, policy, Arc::clone(&nudge)));
        Self { nudge, task }
    }

    /// Syncs soon: the app came to the foreground, or a push message said that something moved.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}

impl Drop for BackgroundSync {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(alcove: Alcove, policy: Policy, nudge: Arc<Notify>) {
    let mut failures = 0_u32;
    loop {
        let wait = match alcove.sync().within(policy.budget).await {
            Ok(report) => {
                failures = 0;
                if report.complete { policy.every } else { policy.debounce }
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::debug!(%error, failures, "sync_failed");
                back_off(&policy, failures, &error)
            }
        };
        let until = Instant::now() + wait;
        tokio::select! {
            () = sleep_until(until) => {}
            () = nudge.notified() => {}
            // While the server is away, what is written does not make it come back sooner.
            () = written(&alcove, &policy), if failures == 0 => {}
        }
    }
}

/// Waits until something was written, and for whatever follows at once.
async fn written(alcove: &Alcove, policy: &Policy) {
    let written = &alcove.core().written;
    written.notified().await;
    let latest = Instant::now() + policy.debounce_max;
    while Instant::now() < latest {
        tokio::select! {
            () = sleep(policy.debounce) => return,
            () = sleep_until(latest) => return,
            () = written.notified() => {}
        }
    }
}

/// Twice as long each time, spread so that not all devices of a server that was away come back at once.
fn back_off(policy: &Policy, failures: u32, error: &Error) -> Duration {
    if !error.is_temporary() {
        return policy.retry_max;
    }
    let asked = match error {
        Error::TryLater { after } => after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let wait = policy.retry.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(policy.retry_max);
    wait.mul_f64(rand::rng().random_range(0.5..1.0)).max(asked)
}
