//! Founding an account: reserve the name, use the invitation, create the account. Each step can be repeated, so a
//! registration that was cut off anywhere succeeds when it is sent again.

use std::sync::Arc;

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::state::{SignedState, VerifiedState};
use alcove_crypto::ids::AccountId;
use alcove_crypto::opaque::OpaqueRecord;
use alcove_protocol::account::Published;
use alcove_protocol::identity::{RegisterFinish, RegisterStart, RegisterStarted};
use alcove_protocol::limits::{ACCOUNT_STATE_LEN_MAX, CREDENTIAL_SET_LEN_MAX};
use alcove_protocol::server::Registration;
use alcove_protocol::{Bytes, ErrorCode, endpoint};
use sha2::{Digest as _, Sha256};

use super::{Answer, ApiError, Call, Route, route};
use crate::app::App;
use crate::store::{
    AccountRow, InviteHash, ListedDevice, NameHash, NewAccount, Refusal, Reservation, StoreError,
    StoredCredentials,
};

/// After so long a name that was reserved for an account that never came to be is free again.
const RESERVATION_S: u64 = 3600;

const CODES: &[ErrorCode] = &[
    ErrorCode::RegistrationClosed,
    ErrorCode::InviteNeeded,
    ErrorCode::NameTaken,
    ErrorCode::LoginLimited,
    ErrorCode::Invalid,
    ErrorCode::Exists,
    ErrorCode::AccountDeleted,
    ErrorCode::UpgradeRequired,
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::REGISTER_START, "Begin to register a name", start).refuses(CODES),
        route(endpoint::REGISTER_FINISH, "Found the account", finish).refuses(CODES),
    ]
}

async fn start(app: App, call: Call, request: RegisterStart) -> Answer<RegisterStarted> {
    app.limit_logins(call.address)?;
    let invite = admit(&app, request.invite.as_deref())?;
    if let Some(invite) = invite {
        app.store.check_invite(invite, app.clock.day()).await?;
    }
    let name = app.secrets.name_hash(&request.name);
    // So that nobody waits for a password to be stretched in vain. The last request would tell the same.
    if let Some(holder) = app.store.find_name(name).await?
        && app.store.account(holder).await?.is_some()
    {
        return Err(Refusal::NameTaken.into());
    }
    opaque_response(&app, &request.request, &name)
}

/// The server's part of an OPAQUE registration.
pub(super) fn opaque_response(app: &App, request: &Bytes, name: &NameHash) -> Answer<RegisterStarted> {
    let response = app.secrets.opaque.current().register(&request.0, &name.0);
    let response = response.map_err(|_| ApiError::invalid("This is no OPAQUE registration request."))?;
    Ok(RegisterStarted { response: response.into() })
}

/// Whether registration is open to somebody with this invitation.
fn admit(app: &App, invite: Option<&str>) -> Answer<Option<InviteHash>> {
    match (app.config.registration.mode, invite) {
        (Registration::Open, _) => Ok(None),
        (Registration::Closed, _) => {
            Err(ApiError::new(ErrorCode::RegistrationClosed, "This server takes no new accounts."))
        }
        (Registration::Invite, Some(code)) => Ok(Some(invite_hash(code))),
        (Registration::Invite, None) => Err(Refusal::BadInvite.into()),
    }
}

/// What the database keeps of an invitation.
#[must_use]
pub fn invite_hash(code: &str) -> InviteHash {
    let mut hash = Sha256::new();
    hash.update(b"alcove-server/1/invite\0");
    hash.update(code.trim().as_bytes());
    hash.finalize().into()
}

async fn finish(app: App, call: Call, request: RegisterFinish) -> Answer<Published> {
    app.limit_logins(call.address)?;
    let invite = admit(&app, request.invite.as_deref())?;
    let state = read_state(&request.state)?.verify_first();
    let state = state
        .map_err(|error| ApiError::invalid(format!("The account state is not a first one: {error}.")))?;
    if state.state().devices.iter().filter(|device| device.revoked_day.is_none()).count() != 1 {
        return Err(ApiError::invalid("A first account state lists exactly one device."));
    }
    let set = read_credentials(&app, &request.credential_set, &state)?;
    let (account, name) = (state.state().account, app.secrets.name_hash(&request.name));
    let new = new_account(&app, name, &[state], request.credential_set.0);

    reserve(&app, name, account).await?;
    if let Some(invite) = invite
        && let Err(refusal) = app.store.use_invite(invite, account, app.clock.day()).await
    {
        app.store.release_name(name, account).await?;
        return Err(refusal.into());
    }
    create(&app, name, new, &set).await?;
    Ok(Published { version: 1, credentials_pending: false })
}

/// Reserves the name, or takes it over from an account that never came to be.
pub(super) async fn reserve(app: &App, name: NameHash, account: AccountId) -> Answer<()> {
    let now_s = app.clock.now_s();
    let Reservation::Taken { by, reserved_s } = app.store.reserve_name(name, account, now_s).await? else {
        return Ok(());
    };
    if app.store.account(by).await?.is_some() || now_s < reserved_s.saturating_add(RESERVATION_S) {
        return Err(Refusal::NameTaken.into());
    }
    Ok(app.store.pass_name(name, by, account, now_s).await?)
}

/// Creates the account; if it may not be, the name is given up again.
pub(super) async fn create(app: &App, name: NameHash, new: NewAccount, set: &CredentialSet) -> Answer<()> {
    let account = new.row.account;
    app.store.claim_recovery_key(*set.recovery_sign_in.as_bytes(), account).await?;
    match app.store.create_account(Arc::new(new)).await {
        Err(StoreError::Refused(refusal)) => {
            // Unless the account has this very name: then it is only another beginning of it.
            if app.store.account(account).await?.is_none_or(|row| row.name != name) {
                app.store.release_name(name, account).await?;
            }
            Err(refusal.into())
        }
        other => Ok(other?),
    }
}

pub(super) fn new_account(app: &App, name: NameHash, states: &[VerifiedState], set: Vec<u8>) -> NewAccount {
    let newest = states.last().map(VerifiedState::state);
    let version = newest.map_or(0, |state| state.version);
    NewAccount {
        row: AccountRow {
            account: newest.map_or(AccountId::new([0; 16]), |state| state.account),
            name,
            version,
            sessions: 0,
            created_day: app.clock.day(),
            quota_bytes: app.config.quota.bytes,
            quota_records: app.config.quota.records,
        },
        states: states.iter().map(|state| state.as_bytes().to_vec()).collect(),
        credentials: StoredCredentials { version, set },
        devices: newest.map(listed).unwrap_or_default(),
        event: None,
    }
}

/// The devices of a state, as the store keeps them.
pub(super) fn listed(state: &alcove_crypto::account::state::AccountState) -> Vec<ListedDevice> {
    let devices = state.devices.iter();
    devices
        .map(|device| ListedDevice {
            device: device.keys.id(),
            signing_key: device.keys.signing,
            revoked: device.revoked_day.is_some(),
        })
        .collect()
}

/// Reads a state that nobody believes yet.
pub(super) fn read_state(bytes: &Bytes) -> Answer<SignedState> {
    if bytes.0.len() > ACCOUNT_STATE_LEN_MAX {
        return Err(ApiError::invalid("The account state is too long."));
    }
    let state = SignedState::parse(&bytes.0).map_err(|error| ApiError::invalid(error.to_string()))?;
    if state.claims().minimum_protocol > alcove_crypto::PROTOCOL {
        return Err(ApiError::new(
            ErrorCode::UpgradeRequired,
            "This server does not speak that protocol yet.",
        ));
    }
    Ok(state)
}

/// Reads the credential set that a state names, and makes sure that it can log in here.
pub(super) fn read_credentials(app: &App, bytes: &Bytes, state: &VerifiedState) -> Answer<CredentialSet> {
    if bytes.0.len() > CREDENTIAL_SET_LEN_MAX {
        return Err(ApiError::invalid("The credential set is too long."));
    }
    let set = CredentialSet::parse(&bytes.0);
    let set = set.map_err(|error| ApiError::invalid(format!("The credential set is malformed: {error}.")))?;
    if set.hash() != state.state().credentials {
        return Err(ApiError::invalid("The state names another credential set."));
    }
    let record = OpaqueRecord::parse(&set.opaque_record);
    if record.ok().and_then(|record| app.secrets.opaque.of(&record)).is_none() {
        return Err(ApiError::invalid("The OPAQUE record was not made with this server."));
    }
    Ok(set)
}
