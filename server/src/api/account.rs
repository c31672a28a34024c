//! Account states, grants, the security log, and the end of an account.

use alcove_crypto::account::challenge::{IdentityAction, verify_identity_request};
use alcove_crypto::account::state::{SignedState, VerifiedState};
use alcove_crypto::ids::AccountId;
use alcove_crypto::signing::Signature;
use alcove_protocol::account::{
    BlockDevice, DeleteAccount, Deleted, Grant, Grants, SecurityEvent, SecurityLog, States,
};
use alcove_protocol::identity::ChallengeProof;
use alcove_protocol::limits::ACCOUNT_STATES_MAX;
use alcove_protocol::server::Done;
use alcove_protocol::{ErrorCode, Wire, endpoint};

use super::login::spend;
use super::sign_in::check_challenge;
use super::{Answer, ApiError, Call, Nothing, Route, route};
use crate::app::App;
use crate::store::{Event, Refusal, StoreError, StoredGrant};

const SIGNED: &[ErrorCode] = &[
    ErrorCode::WrongCredentials,
    ErrorCode::StaleChallenge,
    ErrorCode::NotFound,
    ErrorCode::Invalid,
    ErrorCode::AccountDeleted,
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::STATES, "Signed account states after a version", states),
        route(endpoint::GRANTS, "Keys for this device", grants),
        route(endpoint::SECURITY_LOG, "What happened to the account", security_log),
        route(endpoint::BLOCK_DEVICE, "Refuse a device from now on", block_device).refuses(SIGNED),
        route(endpoint::DELETE_ACCOUNT, "Delete the account", delete).refuses(SIGNED),
    ]
}

async fn states(app: App, call: Call, _: Nothing) -> Answer<States> {
    let account = call.account()?;
    let row = app.store.account(account).await?.ok_or_else(ApiError::unauthorized)?;
    let states = app.store.states(account, call.after, ACCOUNT_STATES_MAX).await?;
    Ok(States { states: states.into_iter().map(Into::into).collect(), newest: row.version })
}

async fn grants(app: App, call: Call, _: Nothing) -> Answer<Grants> {
    let (account, device) = call.device()?;
    let grants = app.store.grants(account, device).await?;
    Ok(Grants { grants: grants.into_iter().map(grant).collect() })
}

/// A grant as it is sent.
pub(super) fn grant(stored: StoredGrant) -> Grant {
    Grant { device: stored.device.into(), epoch: stored.epoch, grant: stored.sealed.into() }
}

async fn security_log(app: App, call: Call, _: Nothing) -> Answer<SecurityLog> {
    let events = app.store.events(call.account()?).await?;
    Ok(SecurityLog { events: events.iter().map(event).collect() })
}

/// An event as it is sent.
pub(super) fn event(event: &Event) -> SecurityEvent {
    SecurityEvent { hour: event.hour, what: event.what, device: event.device.map(Wire) }
}

/// The newest state, which was verified before it was stored.
pub(super) async fn newest_state(app: &App, account: AccountId) -> Answer<Option<VerifiedState>> {
    let Some(signed) = app.store.newest_state(account).await? else { return Ok(None) };
    let unusable = || ApiError::from(StoreError::Unexpected("an account state that does not verify"));
    let state = SignedState::parse(&signed).map_err(|_| unusable())?;
    let identity = state.claims().identity;
    state.verify_under(&identity).map(Some).map_err(|_| unusable())
}

async fn block_device(app: App, _: Call, request: BlockDevice) -> Answer<Done> {
    let (account, device) = (request.account.0, request.device.0);
    check_identity(&app, account, &IdentityAction::BlockDevice(device), &request.proof).await?;
    app.store.block_device(account, device, app.clock.hour()).await?;
    app.devices.forget(account);
    Ok(Done {})
}

async fn delete(app: App, _: Call, request: DeleteAccount) -> Answer<Deleted> {
    let account = request.account.0;
    if let Some(swept) = app.store.tombstone(account).await? {
        return Ok(Deleted { swept });
    }
    check_identity(&app, account, &IdentityAction::DeleteAccount, &request.proof).await?;
    app.store.delete_account(account, app.clock.day()).await?;
    app.devices.forget(account);
    app.sweep.notify_one();
    Ok(Deleted { swept: false })
}

/// Whether the account's identity has signed this, once.
async fn check_identity(
    app: &App,
    account: AccountId,
    action: &IdentityAction,
    proof: &ChallengeProof,
) -> Answer<()> {
    let challenge = check_challenge(app, proof)?;
    if app.store.tombstone(account).await?.is_some() {
        return Err(ApiError::deleted());
    }
    let state = newest_state(app, account).await?.ok_or(Refusal::NotFound)?;
    let signature: Signature = proof.signature.0;
    verify_identity_request(&state.state().identity, &account, action, challenge, &signature)
        .map_err(|_| ApiError::wrong_credentials())?;
    spend(app, account, &proof.nonce.0).await
}
