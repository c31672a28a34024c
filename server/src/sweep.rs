//! What is done in the background: dead accounts are swept, old commits forgotten, and whatever has expired dropped. Every
//! step is small and can be repeated; two nodes may sweep at the same time.

use std::time::Duration;

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::ids::{AccountId, SpaceId};

use crate::app::App;
use crate::store::{NameHash, StoreError};

/// How often everything is looked at. Dead accounts are swept at once.
const EVERY: Duration = Duration::from_hours(1);

/// Spaces that are read at once.
const SPACES_MAX: usize = 500;

/// Sweeps for as long as it is polled.
pub async fn run(app: App) {
    let mut next_full = tokio::time::Instant::now();
    loop {
        let full = tokio::time::Instant::now() >= next_full;
        if full {
            next_full += EVERY;
        }
        let swept = if full { everything(&app).await } else { dead_accounts(&app).await };
        if let Err(error) = swept {
            tracing::warn!(%error, "a sweep failed and will be repeated");
        }
        tokio::select! {
            () = app.sweep.notified() => {}
            () = tokio::time::sleep_until(next_full) => {}
        }
    }
}

/// Everything, once.
///
/// # Errors
/// When the store fails; what is done stays done.
pub async fn everything(app: &App) -> Result<(), StoreError> {
    dead_accounts(app).await?;
    let now_s = app.clock.now_s();
    let mut after = NameHash([0; 32]);
    loop {
        let names = app.store.stale_guesses(after, now_s).await?;
        let Some(last) = names.last().copied() else { break };
        for name in names {
            app.store.forget_guesses(name, now_s).await?;
        }
        after = last;
    }
    app.store.sweep_enrolments(now_s).await?;
    for invite in app.store.expired_invites(app.clock.day()).await? {
        app.store.drop_invite(invite).await?;
    }
    history(app).await?;
    app.store.tidy().await
}

/// Forgets commits that are older than the history is kept.
async fn history(app: &App) -> Result<(), StoreError> {
    let before_day = app.clock.day().saturating_sub(app.config.history.days);
    let mut after = SpaceId::new([0; 16]);
    loop {
        let spaces = app.store.list_spaces(after, SPACES_MAX).await?;
        let Some(last) = spaces.last().map(|space| space.space) else { return Ok(()) };
        for space in spaces {
            if space.first_seq < space.tip.seq && space.first_day < before_day {
                while app.store.prune(space.space, before_day).await? {}
            }
        }
        after = last;
    }
}

async fn dead_accounts(app: &App) -> Result<(), StoreError> {
    loop {
        let dead = app.store.dead_accounts().await?;
        if dead.is_empty() {
            return Ok(());
        }
        for account in dead {
            bury(app, account).await?;
        }
    }
}

/// Sweeps one dead account: what other partitions hold of it first, its own rows last.
async fn bury(app: &App, account: AccountId) -> Result<(), StoreError> {
    for space in app.store.account_spaces(account).await? {
        while app.store.sweep_space(space).await? {}
    }
    for stored in app.store.credentials(account).await? {
        if let Ok(set) = CredentialSet::parse(&stored.set) {
            app.store.drop_recovery_key(*set.recovery_sign_in.as_bytes(), account).await?;
        }
    }
    if let Some(row) = app.store.account(account).await? {
        app.store.release_name(row.name, account).await?;
    }
    while app.store.tombstone(account).await? == Some(false) {
        app.store.bury_account(account).await?;
    }
    Ok(())
}
