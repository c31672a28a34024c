//! States that follow: published with a password, or given back to a server that had lost them. Credentials change in two
//! phases, so that a cut anywhere leaves either the old or the new ones working.

use std::sync::Arc;

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::state::{AccountState, StateError, VerifiedState};
use alcove_crypto::ids::AccountId;
use alcove_protocol::account::{
    ConfirmCredentials, Credentials, Publish, Published, Restore, SecurityEventKind,
};
use alcove_protocol::identity::{CredentialsStart, RegisterStarted};
use alcove_protocol::limits::{ACCOUNT_STATES_MAX, DEVICES_MAX, GRANT_LEN_MAX, RESTORE_LEN_MAX};
use alcove_protocol::server::Registration;
use alcove_protocol::{Bytes, ErrorCode, LoginName, endpoint};

use super::account::newest_state;
use super::register::{create, listed, new_account, opaque_response, read_credentials, read_state, reserve};
use super::{Answer, ApiError, Call, Nothing, Route, route};
use crate::app::App;
use crate::store::{Event, Publication, Refusal, StoredCredentials, StoredGrant};

const CHANGES: &[ErrorCode] = &[
    ErrorCode::Invalid,
    ErrorCode::StateMoved,
    ErrorCode::Exists,
    ErrorCode::NotFound,
    ErrorCode::UpgradeRequired,
    ErrorCode::AccountDeleted,
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::CREDENTIALS, "The newest credential set", credentials),
        route(endpoint::CREDENTIALS_START, "Begin to change the password", start)
            .refuses(&[ErrorCode::Invalid]),
        route(endpoint::CREDENTIALS_CONFIRM, "Drop the old credentials", confirm).refuses(&[
            ErrorCode::Forbidden,
            ErrorCode::StaleChallenge,
            ErrorCode::NotFound,
        ]),
        route(endpoint::PUBLISH, "Publish the state that follows", publish).refuses(CHANGES),
        route(endpoint::RESTORE, "Give back what a restored server lost", restore)
            .up_to(RESTORE_LEN_MAX)
            .refuses(&[
                ErrorCode::Invalid,
                ErrorCode::StateMoved,
                ErrorCode::Exists,
                ErrorCode::NotFound,
                ErrorCode::UpgradeRequired,
                ErrorCode::AccountDeleted,
                ErrorCode::NameTaken,
                ErrorCode::RegistrationClosed,
                ErrorCode::LoginLimited,
            ]),
    ]
}

async fn credentials(app: App, call: Call, _: Nothing) -> Answer<Credentials> {
    let newest = app.store.credentials(call.account()?).await?.pop();
    let newest = newest.ok_or_else(ApiError::unauthorized)?;
    Ok(Credentials { credential_set: newest.set.into() })
}

async fn start(app: App, call: Call, request: CredentialsStart) -> Answer<RegisterStarted> {
    let (account, _) = call.password()?;
    let row = app.store.account(account).await?.ok_or_else(ApiError::unauthorized)?;
    opaque_response(&app, &request.request, &row.name)
}

async fn confirm(app: App, call: Call, request: ConfirmCredentials) -> Answer<Published> {
    let (account, credentials) = call.password()?;
    if credentials != request.version {
        return Err(ApiError::new(ErrorCode::Forbidden, "Log in with the new credentials to confirm them."));
    }
    let gone = app.store.confirm_credentials(account, request.version, app.clock.hour()).await?;
    forget_recovery_keys(&app, account, &gone).await?;
    let row = app.store.account(account).await?.ok_or_else(ApiError::unauthorized)?;
    Ok(Published { version: row.version, credentials_pending: false })
}

async fn publish(app: App, call: Call, request: Publish) -> Answer<Published> {
    let (account, session) = call.password()?;
    let before = newest_state(&app, account).await?.ok_or_else(ApiError::unauthorized)?;
    let next = read_state(&request.state)?;
    let version = before.state().version;
    if next.claims().version <= version {
        // Sent again because the answer was lost, or another device was first.
        return if before.as_bytes() == request.state.0 {
            Ok(Published { version, credentials_pending: is_pending(&app, account).await? })
        } else {
            Err(ApiError::state_moved(version))
        };
    }
    let next = next.verify_after(&before).map_err(|error| does_not_follow(error, version))?;
    let set = match &request.credential_set {
        Some(set) => Some(read_credentials(&app, set, &next)?),
        None if next.state().credentials == before.state().credentials => None,
        None => {
            return Err(ApiError::invalid("The state names other credentials, which did not come along."));
        }
    };
    let grants = read_grants(request.grants, next.state())?;
    let event = event(
        &app,
        account,
        if set.is_some() { SecurityEventKind::CredentialsChanged } else { SecurityEventKind::StatePublished },
    );
    let known = app.store.credentials(account).await?;
    // Those that this was begun with stay until the new ones are confirmed; others, never confirmed, go.
    let new = request.credential_set.map(|set| (set.0, session));
    let publication = Publication {
        account,
        after: version,
        states: vec![next.as_bytes().to_vec()],
        devices: listed(next.state()),
        credentials: new,
        grants,
        event,
    };
    let pending = take(&app, publication, set.as_ref(), &known).await?;
    Ok(Published { version: version + 1, credentials_pending: pending })
}

/// Takes a publication, with the recovery keys around it: the new one before, those that went after.
async fn take(
    app: &App,
    publication: Publication,
    set: Option<&CredentialSet>,
    known: &[StoredCredentials],
) -> Answer<bool> {
    let account = publication.account;
    if let Some(set) = set {
        app.store.claim_recovery_key(*set.recovery_sign_in.as_bytes(), account).await?;
    }
    let beside = publication.credentials.as_ref().map(|(_, beside)| *beside);
    let pending = app.store.publish(Arc::new(publication)).await?;
    app.devices.forget(account);
    if let Some(beside) = beside {
        let gone: Vec<_> = known.iter().filter(|stored| stored.version != beside).cloned().collect();
        forget_recovery_keys(app, account, &gone).await?;
    }
    Ok(pending)
}

/// Recovery keys of sets that went lead nowhere any more, unless a set that stays has the same.
async fn forget_recovery_keys(app: &App, account: AccountId, gone: &[StoredCredentials]) -> Answer<()> {
    let key = |stored: &StoredCredentials| {
        CredentialSet::parse(&stored.set).ok().map(|set| *set.recovery_sign_in.as_bytes())
    };
    let staying: Vec<_> = app.store.credentials(account).await?.iter().filter_map(key).collect();
    for key in gone.iter().filter_map(key).filter(|key| !staying.contains(key)) {
        app.store.drop_recovery_key(key, account).await?;
    }
    Ok(())
}

async fn is_pending(app: &App, account: AccountId) -> Answer<bool> {
    Ok(app.store.credentials(account).await?.len() > 1)
}

fn event(app: &App, account: AccountId, what: SecurityEventKind) -> Event {
    Event { account, hour: app.clock.hour(), what, device: None }
}

fn does_not_follow(error: StateError, version: u64) -> ApiError {
    match error {
        StateError::NotSuccessor => ApiError::state_moved(version),
        error => ApiError::invalid(format!("The account state does not follow: {error}.")),
    }
}

fn read_grants(
    grants: Vec<alcove_protocol::account::Grant>,
    state: &AccountState,
) -> Answer<Vec<StoredGrant>> {
    if grants.len() > DEVICES_MAX {
        return Err(ApiError::invalid("There are more grants than devices."));
    }
    let read = grants.into_iter().map(|grant| {
        if grant.epoch != state.epoch || state.live_device(&grant.device.0).is_none() {
            return Err(ApiError::invalid("A grant is for another epoch, or for no live device."));
        }
        if grant.grant.0.len() > GRANT_LEN_MAX {
            return Err(ApiError::invalid("A grant is too long."));
        }
        Ok(StoredGrant { device: grant.device.0, epoch: grant.epoch, sealed: grant.grant.0 })
    });
    read.collect()
}

async fn restore(app: App, call: Call, request: Restore) -> Answer<Published> {
    app.limit_logins(call.address)?;
    if request.states.is_empty() || request.states.len() > ACCOUNT_STATES_MAX {
        return Err(ApiError::invalid(format!(
            "Between 1 and {ACCOUNT_STATES_MAX} states can be given back."
        )));
    }
    let account = request.account.0;
    if app.store.tombstone(account).await?.is_some() {
        return Err(ApiError::deleted());
    }
    match newest_state(&app, account).await? {
        Some(known) => restore_states(&app, known, &request).await,
        None => restore_account(&app, &request).await,
    }
}

/// The states that follow the newest one known here. Those that are known already are skipped.
async fn restore_states(app: &App, known: VerifiedState, request: &Restore) -> Answer<Published> {
    let (account, version) = (known.state().account, known.state().version);
    let mut states = Vec::new();
    for bytes in &request.states {
        let next = read_state(bytes)?;
        if next.claims().version <= version {
            continue;
        }
        let before = states.last().unwrap_or(&known);
        let next = next.verify_after(before).map_err(|error| does_not_follow(error, version))?;
        states.push(next);
    }
    let newest = states.last().unwrap_or(&known);
    let stored = app.store.credentials(account).await?;
    let has_set = stored.iter().any(|stored| {
        CredentialSet::parse(&stored.set).is_ok_and(|set| set.hash() == newest.state().credentials)
    });
    let set = match &request.credential_set {
        Some(bytes) if !has_set => Some((read_credentials(app, bytes, newest)?, bytes.0.clone())),
        _ => None,
    };
    let newest_version = newest.state().version;
    if newest_version == version && set.is_none() {
        return Ok(Published { version, credentials_pending: stored.len() > 1 });
    }
    let publication = Publication {
        account,
        after: version,
        devices: listed(newest.state()),
        states: states.iter().map(|state| state.as_bytes().to_vec()).collect(),
        // What the user changed before the backup was restored was confirmed then: nothing stays beside it.
        credentials: set.as_ref().map(|(_, bytes)| (bytes.clone(), 0)),
        grants: vec![],
        event: event(app, account, SecurityEventKind::Restored),
    };
    let pending = take(app, publication, set.as_ref().map(|(set, _)| set), &stored).await?;
    Ok(Published { version: newest_version, credentials_pending: pending })
}

/// An account that vanished whole, from its first state on.
async fn restore_account(app: &App, request: &Restore) -> Answer<Published> {
    if app.config.registration.mode != Registration::Open && !app.config.registration.readmit {
        return Err(ApiError::new(
            ErrorCode::RegistrationClosed,
            "This server does not know the account and takes none back. Its operator can, with `registration.readmit`.",
        ));
    }
    let (Some(name), Some(set)) = (&request.name, &request.credential_set) else {
        return Err(Refusal::NotFound.into());
    };
    let states = verify_chain(&request.states)?;
    let Some(newest) = states.last().filter(|state| state.state().account == request.account.0) else {
        return Err(ApiError::invalid("The states are of another account."));
    };
    let credentials = read_credentials(app, set, newest)?;
    let version = newest.state().version;
    readmit(app, name, &states, set, &credentials).await?;
    Ok(Published { version, credentials_pending: false })
}

async fn readmit(
    app: &App,
    name: &LoginName,
    states: &[VerifiedState],
    set: &Bytes,
    credentials: &CredentialSet,
) -> Answer<()> {
    let name = app.secrets.name_hash(name);
    let mut new = new_account(app, name, states, set.0.clone());
    new.event = Some(event(app, new.row.account, SecurityEventKind::Restored));
    reserve(app, name, new.row.account).await?;
    create(app, name, new, credentials).await
}

/// A whole chain, from the first state.
fn verify_chain(states: &[Bytes]) -> Answer<Vec<VerifiedState>> {
    let mut verified: Vec<VerifiedState> = Vec::with_capacity(states.len());
    for bytes in states {
        let state = read_state(bytes)?;
        let state = match verified.last() {
            None => state.verify_first(),
            Some(before) => state.verify_after(before),
        };
        let broken = |error| ApiError::invalid(format!("The states are no chain from the first: {error}."));
        verified.push(state.map_err(broken)?);
    }
    Ok(verified)
}
