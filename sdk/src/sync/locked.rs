//! What a locked device can do: deliver the commit that was made before it was locked, and fetch what others sent. It has the
//! background key alone, so it can read nothing; what it fetched is verified and opened when it is unlocked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use alcove_crypto::ids::AccountId;
use alcove_protocol::identity::{AccessToken, SignIn};
use alcove_protocol::spaces::{PullPage, PullRequest, Pushed};
use alcove_protocol::{ErrorCode, endpoint};

use super::Budget;
use super::engine::lock;
use crate::error::{Error, Result};
use crate::local::finished;
use crate::local::locked::{LockedLocal, LockedPlace};
use crate::net::{Api, Failure, Origin, Transport};
use crate::vault::KeyVault;

/// Slots that a locked device keeps at most: what is more is fetched when it is unlocked.
const SLOTS_MAX: usize = 20_000;

/// What a locked device has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockedReport {
    /// Whether a commit was delivered.
    pub delivered: bool,
    /// Slots that were fetched, and wait for the device to be unlocked.
    pub fetched: usize,
    /// Whether everything was fetched.
    pub complete: bool,
}

/// Syncs as far as a locked device can, with nothing but the background key of the vault: for the moments that a system gives
/// an app in the background. It loads no records and never stretches a password.
///
/// # Errors
/// When there is no store or no account, when the server cannot be reached, or [`Error::Busy`].
pub async fn while_locked(
    folder: impl Into<PathBuf>,
    vault: impl KeyVault + 'static,
    transport: Arc<dyn Transport>,
    budget: Budget,
) -> Result<LockedReport> {
    let (folder, begun) = (folder.into(), Instant::now());
    let _lock = lock(&folder).await?;
    let opened = tokio::task::spawn_blocking(move || LockedLocal::open(&folder, &vault));
    let local = Store(Arc::new(Mutex::new(finished(opened.await)?)));
    let Some(place) = local.with(|local| local.place()).await? else { return Err(Error::NoAccount) };
    let api = Api::new(transport, Origin::parse(&place.origin)?);
    let token = sign_in(&api, &local, &place).await?;
    let mut report = LockedReport::default();
    if let Some(request) = local.with(|local| local.undelivered()).await? {
        let pushed: Result<Pushed, Failure> =
            api.post_to(endpoint::PUSH, &place.space, Some(&token), &request).await;
        match pushed {
            Ok(_) => report.delivered = true,
            // Somebody was first: it is merged when the device is unlocked.
            Err(failure) if failure.code() == Some(&ErrorCode::HeadMoved) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    let at = place.at();
    let mut staged = local.with(move |local| local.staged(at)).await?;
    while !staged.complete && report.fetched < SLOTS_MAX {
        let request = PullRequest {
            after: staged.seq,
            snapshot: staged.snapshot,
            cursor: staged.cursor.clone().map(Into::into),
            bytes_max: None,
        };
        let page: PullPage = api.post_to(endpoint::PULL, &place.space, Some(&token), &request).await?;
        if page.tip.seq <= staged.seq {
            // Nothing new; or a server that is behind, which is looked into when the device is unlocked.
            return Ok(LockedReport { complete: true, ..report });
        }
        if !page.pruned.is_empty() && !staged.snapshot {
            // It was away for so long that it needs everything, which takes a device that can verify it.
            return Ok(report);
        }
        staged.tip = if staged.tip == 0 { page.tip.seq } else { staged.tip };
        staged.cursor = page.cursor.as_ref().map(|cursor| cursor.0.clone());
        staged.complete = page.cursor.is_none();
        report.fetched += page.slots.len();
        let keep = staged.clone();
        local.with(move |local| local.stage(&keep, &page)).await?;
        let spent = budget.bytes_max.is_some_and(|max| api.traffic() >= max)
            || budget.time_max.is_some_and(|max| begun.elapsed() >= max);
        if spent {
            break;
        }
    }
    report.complete = staged.complete;
    Ok(report)
}

/// The store, for work on a thread where it may take its time.
struct Store(Arc<Mutex<LockedLocal>>);

impl Store {
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LockedLocal) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let local = Arc::clone(&self.0);
        let run = move || work(&mut local.lock().unwrap_or_else(PoisonError::into_inner));
        finished(tokio::task::spawn_blocking(run).await)
    }
}

async fn sign_in(api: &Api, local: &Store, place: &LockedPlace) -> Result<String> {
    let device = local.with(|local| local.device()).await?;
    let account = AccountId::new(place.account);
    let proof = api.prove(|challenge| device.sign_in(&account, challenge)).await?;
    let body = SignIn { account: account.into(), device: device.id().into(), proof };
    let token: AccessToken = api.post(endpoint::SIGN_IN, None, &body).await?;
    Ok(token.token)
}
