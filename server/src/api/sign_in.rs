//! How devices sign in and out: by signatures over fresh challenges.

use alcove_crypto::account::challenge::{Challenge, verify_device_sign_in};
use alcove_crypto::signing::{Signature, VerifyingKey};
use alcove_protocol::identity::{AccessToken, ChallengeProof, SignIn, SignOut};
use alcove_protocol::limits::{ACCESS_TOKEN_LIFETIME_S, AUDIENCE_LEN_MAX};
use alcove_protocol::server::Done;
use alcove_protocol::{ErrorCode, endpoint};

use super::login::spend;
use super::{Answer, ApiError, Call, Route, route};
use crate::app::App;
use crate::store::{DeviceRow, StoreError};
use crate::tokens::{Bearer, Token};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::SIGN_IN, "A device signs in", sign_in).refuses(&[
            ErrorCode::WrongCredentials,
            ErrorCode::StaleChallenge,
            ErrorCode::DeviceRevoked,
            ErrorCode::AccountDeleted,
            ErrorCode::NotFound,
            ErrorCode::Invalid,
        ]),
        route(endpoint::SIGN_OUT, "End sessions", sign_out),
    ]
}

/// The challenge in a proof, if it is ours, of now, and meant for us.
pub(super) fn check_challenge<'p>(app: &App, proof: &'p ChallengeProof) -> Answer<Challenge<'p>> {
    if !app.tokens.is_challenge(&proof.nonce.0, app.clock.now_s()) {
        return Err(ApiError::stale_challenge());
    }
    let audience = proof.audience.as_str();
    if audience.len() > AUDIENCE_LEN_MAX || !app.config.server.is_origin(audience) {
        return Err(ApiError::invalid(
            "The signature is meant for another server. If this is the right one, its operator has to list the origin \
             that you dialled under `server.origins`.",
        ));
    }
    Ok(Challenge { nonce: &proof.nonce.0, audience })
}

async fn sign_in(app: App, _: Call, request: SignIn) -> Answer<AccessToken> {
    let challenge = check_challenge(&app, &request.proof)?;
    let (account, device) = (request.account.0, request.device.0);
    let Some(row) = app.store.device(account, device).await? else {
        return Err(match app.store.tombstone(account).await? {
            Some(_) => ApiError::deleted(),
            // After a restored backup: the device gives back what the server has lost.
            None => ApiError::not_found("This server does not know the device."),
        });
    };
    let key = device_key(&row)?;
    let signature: Signature = request.proof.signature.0;
    verify_device_sign_in(&key, &account, &device, challenge, &signature)
        .map_err(|_| ApiError::wrong_credentials())?;
    if row.blocked {
        return Err(ApiError::revoked());
    }
    spend(&app, account, &request.proof.nonce.0).await?;
    app.store.note_sign_in(account, device, app.clock.hour()).await?;
    let token = Token {
        account,
        account_sessions: row.account_sessions,
        bearer: Bearer::Device { device, sessions: row.sessions },
    };
    let token = app.tokens.issue(&token, app.clock.now_s());
    Ok(AccessToken { token, expires_in_s: ACCESS_TOKEN_LIFETIME_S })
}

fn device_key(row: &DeviceRow) -> Answer<VerifyingKey> {
    let key = VerifyingKey::from_bytes(&row.signing_key);
    key.map_err(|_| StoreError::Unexpected("a device without a key").into())
}

async fn sign_out(app: App, call: Call, request: SignOut) -> Answer<Done> {
    let (account, device) = call.device()?;
    app.store.sign_out(account, (!request.everywhere).then_some(device)).await?;
    app.devices.forget(account);
    Ok(Done {})
}
