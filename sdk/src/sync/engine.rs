//! The engine: one sync at a time, from signing in to the last commit.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use alcove_crypto::space::header::Place;
use alcove_crypto::space::merkle::MerkleMap;
use alcove_protocol::ErrorCode;

use super::pull::Pulled;
use super::push::Sent;
use super::{Budget, Phase, Progress, Report};
use crate::alcove::{Alcove, Core};
use crate::error::{Error, Result};
use crate::incident::{Incident, IncidentKind};
use crate::keys::{Session, Standing};
use crate::local::SYNC_LOCK;
use crate::net::{Api, Failure, Origin};

/// How often others may be first before we give way for a while.
const ROUNDS_MAX: u32 = 20;

/// What is kept between two syncs, in memory.
#[derive(Default)]
pub(crate) struct Engine {
    pub(super) api: Option<Arc<Api>>,
    pub(crate) token: Option<Token>,
    pub(super) slots: Option<Slots>,
}

/// An access token of this device.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(super) until: Instant,
    pub(super) device: alcove_crypto::ids::DeviceId,
}

/// The hashes of what the server has confirmed, at a place of the chain.
pub(super) struct Slots {
    pub(super) at: Place,
    pub(super) map: MerkleMap,
}

/// One sync.
pub(super) struct Run<'a> {
    pub(super) alcove: &'a Alcove,
    pub(super) engine: &'a mut Engine,
    pub(super) api: Arc<Api>,
    pub(super) report: Report,
    /// Keys and account, until this run changes them: nobody else changes them while it has the lock.
    session: Option<Arc<Session>>,
    budget: Budget,
    begun: Instant,
    traffic_before: u64,
}

pub(super) async fn sync(alcove: &Alcove, budget: Budget) -> Result<Report> {
    run(alcove, budget, false).await
}

pub(super) async fn merge_fork(alcove: &Alcove) -> Result<Report> {
    run(alcove, Budget::default(), true).await
}

async fn run(alcove: &Alcove, budget: Budget, merge_fork: bool) -> Result<Report> {
    let core = alcove.core();
    let mut cancelled = core.cancelled.subscribe();
    cancelled.borrow_and_update();
    let synced = async {
        let mut engine = core.engine.lock().await;
        let _lock = lock(core.local.folder()).await?;
        let session = core.local.session().await?;
        let origin = Origin::parse(&session.active()?.stored.origin)?;
        let api = match &engine.api {
            Some(api) if api.origin == origin => Arc::clone(api),
            _ => Arc::new(Api::new(Arc::clone(&core.transport), origin)),
        };
        engine.api = Some(Arc::clone(&api));
        let mut run = Run {
            alcove,
            engine: &mut engine,
            traffic_before: api.traffic(),
            api,
            report: Report::default(),
            session: None,
            budget,
            begun: Instant::now(),
        };
        match run.sync(merge_fork).await {
            // The token was no longer good: its time was over, or the server forgot it.
            Err(Error::Refused(_)) if run.engine.token.is_none() => run.sync(merge_fork).await,
            result => result,
        }
    };
    let result = tokio::select! {
        result = synced => result,
        _ = cancelled.changed() => Err(Error::Cancelled),
    };
    core.progress.send_replace(Progress::default());
    // What was shown ahead of its proof is proven by now, or taken back.
    alcove.end_show_ahead();
    alcove.refresh_soon();
    result
}

/// One sync a store, between processes too. The lock goes with the process that holds it.
pub(super) async fn lock(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join(SYNC_LOCK);
    let open = move || {
        let mut options = std::fs::OpenOptions::new();
        let file = crate::files::private(options.write(true).create(true).truncate(false)).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy),
            Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
        }
    };
    crate::local::finished(tokio::task::spawn_blocking(open).await)
}

impl Run<'_> {
    async fn sync(&mut self, merge_fork: bool) -> Result<Report> {
        self.progress(|progress| progress.phase = Phase::SigningIn);
        self.sign_in().await?;
        if merge_fork {
            self.merge_fork().await?;
        }
        // A push that is taken proves that nothing newer was there; so only who has nothing to send has to ask.
        let mut must_pull = self.must_pull_first().await?;
        let mut sent_nothing = false;
        for _ in 0..ROUNDS_MAX {
            if must_pull {
                match self.pull().await? {
                    Pulled::Spent => return Ok(self.end(false)),
                    Pulled::Held => return Ok(self.end(true)),
                    Pulled::Nothing if sent_nothing => return Ok(self.end(true)),
                    Pulled::Nothing | Pulled::Something => {}
                }
            }
            if self.session().await?.active()?.stored.view_confirmed {
                match self.push().await? {
                    Sent::All => return Ok(self.end(true)),
                    Sent::BudgetUsed => return Ok(self.end(false)),
                    Sent::Nothing if must_pull => return Ok(self.end(true)),
                    Sent::Nothing => sent_nothing = true,
                    Sent::Moved => sent_nothing = false,
                }
            } else if must_pull {
                self.report.needs_confirmation = true;
                return Ok(self.end(true));
            }
            must_pull = true;
        }
        Err(Error::TryLater { after: None })
    }

    fn end(&mut self, complete: bool) -> Report {
        self.report.complete = complete;
        self.report.bytes = self.bytes();
        std::mem::take(&mut self.report)
    }

    pub(super) fn core(&self) -> &Core {
        self.alcove.core()
    }

    pub(super) async fn session(&mut self) -> Result<Arc<Session>> {
        if let Some(session) = &self.session {
            return Ok(Arc::clone(session));
        }
        let session = self.core().local.session().await?;
        Ok(Arc::clone(self.session.insert(session)))
    }

    /// Keys or account are about to change.
    pub(super) fn forget_session(&mut self) {
        self.session = None;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.api.traffic() - self.traffic_before
    }

    /// Whether the budget is used up.
    pub(super) fn is_spent(&self) -> bool {
        self.budget.bytes_max.is_some_and(|max| self.bytes() >= max)
            || self.budget.time_max.is_some_and(|max| self.begun.elapsed() >= max)
    }

    pub(super) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        let bytes = self.bytes();
        self.core().progress.send_modify(|progress| {
            progress.bytes = bytes;
            change(progress);
        });
    }

    /// The token of this device, which `sign_in` has got.
    pub(super) fn token(&self) -> Option<&str> {
        self.engine.token.as_ref().map(|token| token.text.as_str())
    }

    /// What a refusal means for this device; most are errors and no more.
    pub(super) async fn refused(&mut self, failure: Failure) -> Error {
        let standing = match failure.code() {
            Some(ErrorCode::DeviceRevoked) => Some(Standing::Revoked),
            Some(ErrorCode::AccountDeleted) => Some(Standing::Deleted),
            Some(ErrorCode::Unauthorized) => {
                self.engine.token = None;
                None
            }
            _ => None,
        };
        if let Some(standing) = standing
            && let Err(error) = self.stand(standing).await
        {
            return error;
        }
        failure.into()
    }

    /// Keeps how this device stands with its account from now on.
    pub(super) async fn stand(&mut self, standing: Standing) -> Result<()> {
        self.engine.token = None;
        self.forget_session();
        self.core()
            .local
            .write(move |tx| {
                let Some(account) = &tx.session.account else { return Ok(()) };
                let mut stored = account.stored.clone();
                stored.standing = standing;
                tx.set_account(Some(&stored))
            })
            .await
    }

    /// Keeps an incident.
    pub(super) async fn incident(
        &mut self,
        kind: IncidentKind,
        detail: String,
        evidence: Vec<u8>,
    ) -> Result<()> {
        self.report.noticed.push(kind);
        let at_ms = self.core().clock.now_ms();
        let incident = Incident { kind, at_ms, detail, count: 1, evidence };
        self.core().local.write(move |tx| tx.add_incident(incident)).await
    }
}
