//! An account that the user has just opened, with the password or the recovery code: what may be published, and by whom.

use alcove_crypto::account::bundle::{
    Opened, PasswordKek, Unlocked, open_password_bundle, open_recovery_bundle, seal_password_bundle,
    seal_recovery_bundle,
};
use alcove_crypto::account::challenge::IdentityAction;
use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::keys::IdentitySecret;
use alcove_crypto::account::recovery::{RecoveryCode, RecoveryKek};
use alcove_crypto::account::root::{Keyring, RootKey};
use alcove_crypto::account::state::{AccountState, SignedState, VerifiedState};
use alcove_crypto::ids::{AccountId, SpaceId};
use alcove_crypto::opaque::{self, OpaqueError};
use alcove_crypto::signing::VerifyingKey;
use alcove_crypto::{PROTOCOL, local::OutOfMemory};
use alcove_protocol::account::{ConfirmCredentials, Grant, Publish, Published, States};
use alcove_protocol::identity::{
    CredentialsStart, LoginFinish, LoginStart, LoginStarted, PasswordSession, RecoveryLogin, RegisterStarted,
};
use alcove_protocol::{ErrorCode, LoginName, Wire, endpoint};

use crate::error::{Error, Result};
use crate::keys::{Account, Keys};
use crate::net::{Api, Failure};

/// A session in which everything was verified.
pub(super) struct Session {
    token: String,
    account: AccountId,
    pub(super) unlocked: Unlocked,
    pub(super) set: CredentialSet,
    /// Seals the password bundle; not after a recovery.
    kek: Option<PasswordKek>,
    /// States from the one that names the credentials to the newest.
    pub(super) states: Vec<VerifiedState>,
}

/// New credentials, and the key that seals their password bundle.
pub(super) struct NewPassword {
    pub(super) record: Vec<u8>,
    pub(super) kek: PasswordKek,
}

impl Session {
    /// Logs in with the password: against the newest credentials, and if they refuse against those of before, which are still
    /// good while a change of password is under way.
    pub(super) async fn log_in(api: &Api, name: &LoginName, password: &str) -> Result<Self> {
        match Self::try_log_in(api, name, password, false).await {
            Err(Error::WrongPassword) => Self::try_log_in(api, name, password, true).await,
            result => result,
        }
    }

    async fn try_log_in(api: &Api, name: &LoginName, password: &str, earlier: bool) -> Result<Self> {
        let (request, start) =
            opaque::LoginStart::new(password.as_bytes(), &mut rand::rng()).map_err(opaque_error)?;
        let body = LoginStart { name: name.clone(), request: request.into(), earlier };
        let started: LoginStarted = api.post(endpoint::LOGIN_START, None, &body).await?;
        let response = started.response.0;
        let answer = blocking(move || Ok(start.finish(&response, &mut rand::rng()))).await?;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                // The server counts a guess only when the handshake ends; a client that hung up would give guesses away for free.
                let body = LoginFinish { login: started.login, finish: wrong_finish().into() };
                let _: Result<PasswordSession, Failure> = api.post(endpoint::LOGIN_FINISH, None, &body).await;
                return Err(opaque_error(error));
            }
        };
        let body = LoginFinish { login: started.login, finish: answer.finish.into() };
        let session: PasswordSession = api.post(endpoint::LOGIN_FINISH, None, &body).await?;
        let account = session.account.0;
        let kek = PasswordKek::derive(&answer.export_key, &account);
        let set = read_set(&session)?;
        let opened =
            open_password_bundle(&kek, &account, &set.password_bundle).map_err(|error| strange(&error))?;
        let mut session = Self::verify(api, session, set, opened, Some(kek)).await?;
        session.confirm_if_pending(api).await?;
        Ok(session)
    }

    /// Logs in with the recovery code.
    pub(super) async fn recover(api: &Api, code: &RecoveryCode) -> Result<Self> {
        let secret = code.sign_in_secret();
        let proof = api.prove(|challenge| secret.sign_in(challenge)).await?;
        let body = RecoveryLogin { recovery_key: Wire(*secret.public().as_bytes()), proof };
        let session: Result<PasswordSession, _> = api.post(endpoint::RECOVERY, None, &body).await;
        let session = session.map_err(|failure| match failure.code() {
            Some(ErrorCode::WrongCredentials) => {
                Error::WrongRecoveryCode("no account on this server has it".into())
            }
            _ => failure.into(),
        })?;
        let set = read_set(&session)?;
        let opened = open_recovery_bundle(code.kek(), &session.account.0, &set.recovery_bundle);
        Self::verify(api, session, set, opened.map_err(|error| strange(&error))?, None).await
    }

    async fn verify(
        api: &Api,
        session: PasswordSession,
        set: CredentialSet,
        opened: Opened,
        kek: Option<PasswordKek>,
    ) -> Result<Self> {
        let account = session.account.0;
        let state = SignedState::parse(&session.state.0).map_err(|error| strange(&error))?;
        let unlocked = opened.unlock(&account, state, &set).map_err(|error| strange(&error))?;
        if unlocked.state.state().minimum_protocol > PROTOCOL {
            return Err(Error::UpgradeRequired("the account needs a newer version"));
        }
        let mut states = vec![unlocked.state.clone()];
        let query = format!("after={}", unlocked.state.state().version);
        let later: States = api.get_query(endpoint::STATES, &query, Some(&session.token)).await?;
        for bytes in later.states {
            let before = &states[states.len() - 1];
            let next = SignedState::parse(&bytes.0).and_then(|next| next.verify_after(before));
            states.push(next.map_err(|error| strange(&error))?);
        }
        let newest = states[states.len() - 1].state();
        if newest.version != session.newest_version || newest.version != later.newest {
            return Err(Error::TryLater { after: None });
        }
        Ok(Self { token: session.token, account, unlocked, set, kek, states })
    }

    /// Finishes a change of password that was cut after its first half: these credentials work, so the others can go.
    async fn confirm_if_pending(&mut self, api: &Api) -> Result<()> {
        let known: alcove_protocol::account::Account = api.get(endpoint::ACCOUNT, Some(&self.token)).await?;
        if known.credentials_pending == Some(self.unlocked.state.state().version) {
            let body = ConfirmCredentials { version: self.unlocked.state.state().version };
            let _: Published = api.post(endpoint::CREDENTIALS_CONFIRM, Some(&self.token), &body).await?;
        }
        Ok(())
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }

    pub(super) fn newest(&self) -> &VerifiedState {
        &self.states[self.states.len() - 1]
    }

    /// The keys of the private space.
    pub(super) fn keys(&self) -> Result<Keys> {
        let newest = self.newest().state();
        if newest.epoch != self.unlocked.root.epoch() {
            return Err(Error::TryLater { after: None });
        }
        let keyring = Keyring::open(&self.set.keyring, &self.unlocked.root, &self.account);
        let keyring = keyring.map_err(|error| strange(&error))?;
        let mut stored = keyring.to_stored(&self.unlocked.root);
        let (keyring, root) = Keyring::from_stored(&stored).map_err(|error| strange(&error))?;
        zeroize::Zeroize::zeroize(&mut *stored);
        Ok(Keys::new(keyring, root, newest.private_space))
    }

    /// The first half of a change of password.
    pub(super) async fn new_password(&self, api: &Api, password: &str) -> Result<NewPassword> {
        let (request, start) =
            opaque::RegistrationStart::new(password.as_bytes(), &mut rand::rng()).map_err(opaque_error)?;
        let body = CredentialsStart { request: request.into() };
        let started: RegisterStarted =
            api.post(endpoint::CREDENTIALS_START, Some(&self.token), &body).await?;
        finish_registration(start, started.response.0, self.account).await
    }

    /// The credentials of now, with another root key and keyring.
    pub(super) fn credentials_with(&self, root: &RootKey, keyring: &Keyring) -> Result<CredentialSet> {
        let kek = self.kek.as_ref().ok_or(Error::BadCredentials("a new password is needed"))?;
        Ok(seal_set(
            self.set.opaque_record.clone(),
            kek,
            &self.account,
            &self.unlocked.identity,
            root,
            (&self.unlocked.recovery_kek, self.set.recovery_sign_in),
            keyring,
        ))
    }

    /// Signs and publishes the state that follows, by the identity of now.
    pub(super) async fn publish(
        &mut self,
        api: &Api,
        next: &AccountState,
        set: Option<CredentialSet>,
        grants: Vec<Grant>,
    ) -> Result<()> {
        let signed = next.sign_after(self.newest(), &self.unlocked.identity, None);
        self.publish_signed(api, signed.map_err(|error| strange(&error))?, set, grants).await
    }

    pub(super) async fn publish_signed(
        &mut self,
        api: &Api,
        next: VerifiedState,
        set: Option<CredentialSet>,
        grants: Vec<Grant>,
    ) -> Result<()> {
        let body = Publish {
            state: next.as_bytes().to_vec().into(),
            credential_set: set.as_ref().map(|set| set.to_bytes().into()),
            grants,
        };
        let mut published: Result<Published, _> = api.post(endpoint::PUBLISH, Some(&self.token), &body).await;
        if matches!(published, Err(Failure::Offline(_))) {
            // Perhaps only the answer was lost; the same again is no error.
            published = api.post(endpoint::PUBLISH, Some(&self.token), &body).await;
        }
        let Published { version, .. } = published?;
        if version != next.state().version {
            return Err(Error::Refused("the account changed meanwhile".into()));
        }
        self.states.push(next);
        if let Some(set) = set {
            self.set = set;
        }
        Ok(())
    }

    /// Asks for something that only the identity may ask for.
    pub(super) async fn prove(
        &self,
        api: &Api,
        action: &IdentityAction,
    ) -> Result<alcove_protocol::identity::ChallengeProof> {
        let identity = &self.unlocked.identity;
        Ok(api.prove(|challenge| identity.sign_request(&self.account, action, challenge)).await?)
    }

    /// The private space.
    pub(super) fn space(&self) -> SpaceId {
        self.newest().state().private_space
    }

    /// States as a store keeps them: those that it knows, as far as they are followed by ours, and ours.
    pub(super) fn states_after(&self, known: Option<&Account>) -> Result<Vec<Vec<u8>>> {
        let ours = self.states.iter();
        let Some(known) = known.filter(|known| known.id() == self.account) else {
            return Ok(ours.map(|state| state.as_bytes().to_vec()).collect());
        };
        let newest = known.newest.state().version;
        if self.newest().state().version < newest {
            // The server was restored from a backup; a device that is still enrolled gives it back what it lost.
            return Err(Error::Refused("the server shows an older account than this device knows".into()));
        }
        let first = self.states[0].state().version;
        if first > newest + 1 {
            // What lies between was not fetched: the history begins anew, from the identity that the password opened.
            return Ok(ours.map(|state| state.as_bytes().to_vec()).collect());
        }
        let same = ours.clone().find(|state| state.state().version == newest);
        if same.is_some_and(|same| same.hash() != known.newest.hash()) {
            return Err(Error::Incident(crate::incident::IncidentKind::UnknownState));
        }
        let mut states = known.stored.states.clone();
        let later = ours.filter(|state| state.state().version > newest);
        states.extend(later.map(|state| state.as_bytes().to_vec()));
        Ok(states)
    }
}

/// All parts of a credential set.
pub(super) fn seal_set(
    opaque_record: Vec<u8>,
    kek: &PasswordKek,
    account: &AccountId,
    identity: &IdentitySecret,
    root: &RootKey,
    (recovery_kek, recovery_sign_in): (&RecoveryKek, VerifyingKey),
    keyring: &Keyring,
) -> CredentialSet {
    let rng = &mut rand::rng();
    CredentialSet {
        opaque_record,
        password_bundle: seal_password_bundle(kek, account, identity, root, recovery_kek, rng),
        recovery_bundle: seal_recovery_bundle(recovery_kek, account, identity, root, rng),
        recovery_sign_in,
        keyring: keyring.seal(root, account, rng),
    }
}

/// The second half of a registration, where a password is stretched.
pub(super) async fn finish_registration(
    start: opaque::RegistrationStart,
    response: Vec<u8>,
    account: AccountId,
) -> Result<NewPassword> {
    let registered =
        blocking(move || start.finish(&response, &mut rand::rng()).map_err(opaque_error)).await?;
    let kek = PasswordKek::derive(&registered.export_key, &account);
    Ok(NewPassword { record: registered.record, kek })
}

/// Stretching a password takes its time, on a thread where that is no matter.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    crate::local::finished(tokio::task::spawn_blocking(work).await)
}

pub(super) fn opaque_error(error: OpaqueError) -> Error {
    match error {
        OpaqueError::OutOfMemory => Error::OutOfMemory(OutOfMemory),
        OpaqueError::NotAuthenticated => Error::WrongPassword,
        OpaqueError::UnknownVersion(_) => Error::UpgradeRequired("the server speaks another version"),
        error => strange(&error),
    }
}

/// What a server gave does not fit together. Nothing of it is used.
pub(super) fn strange(error: &dyn std::error::Error) -> Error {
    tracing::warn!(%error, "account_refused");
    Error::Incident(crate::incident::IncidentKind::Substitution)
}

fn read_set(session: &PasswordSession) -> Result<CredentialSet> {
    CredentialSet::parse(&session.credential_set.0).map_err(|error| strange(&error))
}

/// What somebody sends who does not know the password.
fn wrong_finish() -> Vec<u8> {
    let mut finish = vec![0; 65];
    finish[0] = alcove_crypto::VERSION;
    finish
}
