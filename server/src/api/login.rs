//! Logging in by password (OPAQUE) or by recovery code. Unknown names are answered like known ones.

use alcove_crypto::account::challenge::verify_recovery_sign_in;
use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::state::SignedState;
use alcove_crypto::ids::AccountId;
use alcove_crypto::opaque::{OpaqueRecord, ServerLogin};
use alcove_crypto::signing::{Signature, VerifyingKey};
use alcove_protocol::account::SecurityEventKind;
use alcove_protocol::identity::{LoginFinish, LoginStart, LoginStarted, PasswordSession, RecoveryLogin};
use alcove_protocol::limits::{ACCESS_TOKEN_LIFETIME_S, ACCOUNT_STATES_MAX, LOGIN_LIFETIME_S};
use alcove_protocol::{ErrorCode, endpoint};
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};

use super::sign_in::check_challenge;
use super::{Answer, ApiError, Call, Route, route};
use crate::app::App;
use crate::store::{Event, OpenLogin, Refusal, StoreError, StoredCredentials};
use crate::tokens::{Bearer, NoRandomness, PendingLogin, Token};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(endpoint::LOGIN_START, "Begin to log in", start)
            .refuses(&[ErrorCode::LoginLimited, ErrorCode::Invalid]),
        route(endpoint::LOGIN_FINISH, "Log in", finish).refuses(&[
            ErrorCode::WrongCredentials,
            ErrorCode::StaleChallenge,
            ErrorCode::AccountDeleted,
        ]),
        route(endpoint::RECOVERY, "Log in with the recovery code", recover).refuses(&[
            ErrorCode::WrongCredentials,
            ErrorCode::StaleChallenge,
            ErrorCode::LoginLimited,
            ErrorCode::Invalid,
            ErrorCode::AccountDeleted,
        ]),
    ]
}

async fn start(app: App, call: Call, request: LoginStart) -> Answer<LoginStarted> {
    app.limit_logins(call.address)?;
    let name = app.secrets.name_hash(&request.name);
    let now_s = app.clock.now_s();
    let login = app.tokens.random()?;
    // Counted now: a guess that is never finished is a guess.
    let opened = app.store.open_login(OpenLogin {
        name,
        login,
        now_ms: app.clock.now_ms(),
        expires_s: now_s + u64::from(LOGIN_LIFETIME_S),
        guesses_per_hour: app.config.limits.logins_per_hour,
    });
    opened.await?;

    // For an unknown name the same is read, of an account that cannot be.
    let holder = app.store.find_name(name).await?;
    let asked = holder.unwrap_or(AccountId::new([0; 16]));
    let mut credentials = app.store.credentials(asked).await?;
    let dead = app.store.tombstone(asked).await?.is_some();
    let chosen = if request.earlier && credentials.len() < 2 {
        None
    } else if request.earlier {
        Some(credentials.swap_remove(0))
    } else {
        credentials.pop()
    };
    let chosen = chosen.filter(|_| !dead);

    let record = chosen.as_ref().map(opaque_record).transpose()?;
    let setup = match &record {
        Some(record) => app.secrets.opaque.of(record).ok_or_else(unusable)?,
        None => app.secrets.opaque.current(),
    };
    let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|_| NoRandomness)?;
    let answer = setup.log_in(&request.request.0, record.as_ref(), &name.0, &mut rng);
    let (response, state) = answer.map_err(|_| ApiError::invalid("This is no OPAQUE login request."))?;
    let account = holder.zip(chosen.map(|set| set.version));
    let pending = PendingLogin { name, login, account, state: state.to_bytes().to_vec() };
    Ok(LoginStarted { login: app.tokens.seal_login(&pending, now_s)?.into(), response: response.into() })
}

fn opaque_record(stored: &StoredCredentials) -> Answer<OpaqueRecord> {
    let set = CredentialSet::parse(&stored.set).map_err(|_| unusable())?;
    OpaqueRecord::parse(&set.opaque_record).map_err(|_| unusable())
}

/// What was checked before it was stored is not what it was.
fn unusable() -> ApiError {
    StoreError::Unexpected("a credential set that cannot be used").into()
}

async fn finish(app: App, _: Call, request: LoginFinish) -> Answer<PasswordSession> {
    let pending = app.tokens.open_login(&request.login.0, app.clock.now_s());
    let pending = pending.ok_or_else(ApiError::stale_challenge)?;
    // One try a login, whatever becomes of it.
    app.store.take_login(pending.name, pending.login, app.clock.now_s()).await?;
    let login = ServerLogin::from_bytes(&pending.state).map_err(|_| ApiError::stale_challenge())?;
    let right = login.finish(&request.finish.0).is_ok();
    app.metrics.login(right);
    let Some((account, credentials)) = pending.account else { return Err(ApiError::wrong_credentials()) };
    if !right {
        // Behind the answer's back: writing it would take time that an unknown name does not take.
        tokio::spawn(async move {
            if let Err(error) = log(&app, account, SecurityEventKind::PasswordLoginFailed).await {
                tracing::warn!(code = error.code().as_str(), "a failed login is missing in the security log");
            }
        });
        return Err(ApiError::wrong_credentials());
    }
    app.store.forgive(pending.name).await?;
    let session = session(&app, account, credentials).await?;
    log(&app, account, SecurityEventKind::PasswordLogin).await?;
    Ok(session)
}

async fn recover(app: App, call: Call, request: RecoveryLogin) -> Answer<PasswordSession> {
    app.limit_logins(call.address)?;
    let challenge = check_challenge(&app, &request.proof)?;
    let key = VerifyingKey::from_bytes(&request.recovery_key.0);
    let key = key.map_err(|_| ApiError::invalid("The recovery key is no public key."))?;
    let signature: Signature = request.proof.signature.0;
    verify_recovery_sign_in(&key, challenge, &signature).map_err(|_| ApiError::wrong_credentials())?;

    let account = app.store.find_recovery_key(request.recovery_key.0).await?;
    let account = account.ok_or_else(ApiError::wrong_credentials)?;
    if app.store.tombstone(account).await?.is_some() {
        return Err(ApiError::wrong_credentials());
    }
    let credentials = app.store.credentials(account).await?;
    let holds = |stored: &&StoredCredentials| {
        CredentialSet::parse(&stored.set).is_ok_and(|set| set.recovery_sign_in == key)
    };
    let version = credentials.iter().rev().find(holds).map(|stored| stored.version);
    let version = version.ok_or_else(ApiError::wrong_credentials)?;
    spend(&app, account, &request.proof.nonce.0).await?;
    let session = session(&app, account, version).await?;
    log(&app, account, SecurityEventKind::RecoveryLogin).await?;
    Ok(session)
}

/// Uses a challenge for an account, once.
pub(super) async fn spend(app: &App, account: AccountId, nonce: &[u8; 32]) -> Answer<()> {
    let now_s = app.clock.now_s();
    // Kept for longer than it is good, so that it cannot come again.
    Ok(app.store.use_challenge(account, *nonce, now_s, now_s + 600).await?)
}

async fn log(app: &App, account: AccountId, what: SecurityEventKind) -> Answer<()> {
    Ok(app.store.log_event(Event { account, hour: app.clock.hour(), what, device: None }).await?)
}

/// A session for whoever proved to know the secret behind these credentials.
async fn session(app: &App, account: AccountId, version: u64) -> Answer<PasswordSession> {
    let row = app.store.account(account).await?.ok_or_else(ApiError::stale_challenge)?;
    let credentials = app.store.credentials(account).await?;
    // Confirmed away in the meantime.
    let stored = credentials.into_iter().find(|set| set.version == version).ok_or(Refusal::Stale)?;
    let token =
        Token { account, account_sessions: row.sessions, bearer: Bearer::Password { credentials: version } };
    Ok(PasswordSession {
        account: account.into(),
        token: app.tokens.issue(&token, app.clock.now_s()),
        expires_in_s: ACCESS_TOKEN_LIFETIME_S,
        state: naming(app, account, &stored).await?.into(),
        credential_set: stored.set.into(),
        newest_version: row.version,
    })
}

/// The newest state that names these credentials: it stands before the next change of them.
async fn naming(app: &App, account: AccountId, stored: &StoredCredentials) -> Answer<Vec<u8>> {
    let hash = CredentialSet::parse(&stored.set).map_err(|_| unusable())?.hash();
    let names =
        |signed: &Vec<u8>| SignedState::parse(signed).is_ok_and(|state| state.claims().credentials == hash);
    let newest = app.store.newest_state(account).await?;
    if let Some(newest) = newest.filter(names) {
        return Ok(newest);
    }
    let mut after = stored.version.saturating_sub(1);
    let mut found = None;
    loop {
        let states = app.store.states(account, after, ACCOUNT_STATES_MAX).await?;
        after += states.len() as u64;
        let whole = states.len() < ACCOUNT_STATES_MAX;
        let count = states.len();
        let run: Vec<_> = states.into_iter().take_while(names).collect();
        let ended = run.len() < count;
        found = run.into_iter().next_back().or(found);
        if ended || whole {
            return found.ok_or_else(unusable);
        }
    }
}
