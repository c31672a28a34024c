//! What anybody may ask, and who am I.

use alcove_protocol::account::Account;
use alcove_protocol::identity::{Challenge, ChallengeRequest};
use alcove_protocol::limits::CHALLENGE_LIFETIME_S;
use alcove_protocol::server::ServerInfo;
use alcove_protocol::{ErrorCode, Wire, endpoint};

use super::{Answer, ApiError, Call, Nothing, Route, route};
use crate::app::App;
use crate::store::AccountRow;

/// Versions of the protocol that this server speaks.
const PROTOCOLS: &[u64] = &[alcove_crypto::PROTOCOL];

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::SERVER_INFO, "What this server is", server_info),
        route(endpoint::CHALLENGE, "A challenge to be signed", challenge),
        route(endpoint::ACCOUNT, "Who am I", account).refuses(&[ErrorCode::AccountDeleted]),
    ]
}

async fn server_info(app: App, _: Call, _: Nothing) -> Answer<ServerInfo> {
    Ok(ServerInfo {
        protocols: PROTOCOLS.to_vec(),
        registration: app.config.registration.mode,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

async fn challenge(app: App, _: Call, _: ChallengeRequest) -> Answer<Challenge> {
    let nonce = app.tokens.challenge(app.clock.now_s())?;
    Ok(Challenge { nonce: Wire(nonce), expires_in_s: CHALLENGE_LIFETIME_S })
}

async fn account(app: App, call: Call, _: Nothing) -> Answer<Account> {
    let row = app.store.account(call.account()?).await?.ok_or_else(ApiError::unauthorized)?;
    about(&app, &row).await
}

/// An account as its owner sees it.
pub(super) async fn about(app: &App, row: &AccountRow) -> Answer<Account> {
    let credentials = app.store.credentials(row.account).await?;
    let pending = credentials.len() > 1;
    Ok(Account {
        account: row.account.into(),
        state_version: row.version,
        credentials_pending: credentials.last().filter(|_| pending).map(|newest| newest.version),
        created_day: row.created_day,
        quota_bytes: row.quota_bytes,
        quota_records: row.quota_records,
    })
}
