//! Somebody with a name, a password and a recovery code.

use alcove_crypto::account::bundle::{
    PasswordKek, Unlocked, open_password_bundle, open_recovery_bundle, seal_password_bundle,
    seal_recovery_bundle,
};
use alcove_crypto::account::challenge::IdentityAction;
use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret, account_id};
use alcove_crypto::account::recovery::RecoveryCode;
use alcove_crypto::account::root::{Keyring, NameKey, RootKey};
use alcove_crypto::account::state::{AccountState, Device as ListedDevice, SignedState, VerifiedState};
use alcove_crypto::ids::{AccountId, AccountStateHash, DeviceId, SpaceId};
use alcove_crypto::opaque;
use alcove_protocol::account::{
    BlockDevice, ConfirmCredentials, DeleteAccount, Deleted, Publish, Published, States,
};
use alcove_protocol::identity::{
    CredentialsStart, LoginFinish, LoginStart, LoginStarted, PasswordSession, RecoveryLogin, RegisterFinish,
    RegisterStart, RegisterStarted,
};
use alcove_protocol::server::Done;
use alcove_protocol::{LoginName, Wire, endpoint};
use rand::rngs::StdRng;

use super::{Api, Device, Refused};

/// A day on which devices are added.
const DAY: u32 = 20_000;

/// Somebody.
pub struct Person {
    /// The name.
    pub name: LoginName,
    /// The password of now.
    pub password: String,
    /// The recovery code.
    pub code: RecoveryCode,
    /// An invitation, if one is needed.
    pub invite: Option<String>,
}

/// A password session in which everything was verified.
pub struct LoggedIn {
    /// As the server gave it.
    pub session: PasswordSession,
    /// Identity and root key.
    pub unlocked: Unlocked,
    /// Its credential set.
    pub set: CredentialSet,
    /// The newest state, which follows the one in `unlocked`.
    pub newest: VerifiedState,
}

impl Person {
    /// Somebody new.
    ///
    /// # Panics
    /// When it is no name.
    #[must_use]
    pub fn new(name: &str, password: &str, rng: &mut StdRng) -> Self {
        let name = LoginName::parse(name).expect("a name");
        Self { name, password: password.to_owned(), code: RecoveryCode::make(rng), invite: None }
    }

    /// Somebody with an account, and a device that is signed in and has its space.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn join(
        name: &str,
        origins: &[String],
        rng: &mut StdRng,
    ) -> Result<(Self, Device, Api), Refused> {
        let mut api = Api::new(origins);
        let person = Self::new(name, "correct horse", rng);
        let mut device = person.sign_up(&mut api, rng).await?;
        device.sign_in(&mut api).await?;
        device.create_space(&mut api).await?;
        Ok((person, device, api))
    }

    /// Founds the account; gives its first device, not signed in.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When the server's OPAQUE is wrong.
    pub async fn sign_up(&self, api: &mut Api, rng: &mut StdRng) -> Result<Device, Refused> {
        let (request, finish) = self.founding(api, rng).await?;
        let published: Published = api.call(endpoint::REGISTER_FINISH, None, None, &request).await?;
        assert_eq!(published, Published { version: 1, credentials_pending: false });
        Ok(finish)
    }

    /// The last request of a registration, and the device for which it is.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When the server's OPAQUE is wrong.
    pub async fn founding(
        &self,
        api: &mut Api,
        rng: &mut StdRng,
    ) -> Result<(RegisterFinish, Device), Refused> {
        let identity = IdentitySecret::make(rng);
        let account = account_id(&identity.public());
        let (root, space) = (RootKey::make(rng), SpaceId::make(rng));
        let device = DeviceSecret::make(rng);
        let keyring = Keyring::new(NameKey::make(rng));

        let (request, start) =
            opaque::RegistrationStart::new(self.password.as_bytes(), rng).expect("a password");
        let started: RegisterStarted = {
            let body = RegisterStart {
                name: self.name.clone(),
                request: request.into(),
                invite: self.invite.clone(),
            };
            api.call(endpoint::REGISTER_START, None, None, &body).await?
        };
        let registered = start.finish(&started.response.0, rng).expect("OPAQUE");
        let set = self.credential_set(&registered, &account, &identity, &root, &keyring, rng);
        let state = AccountState {
            account,
            version: 1,
            previous: AccountStateHash::new([0; 32]),
            identity: identity.public(),
            minimum_protocol: 1,
            private_space: space,
            devices: vec![listed(&device)],
            inbox: ReceivingSecret::make(rng).public(),
            epoch: 1,
            root_commitment: root.commitment(&account),
            credentials: set.hash(),
        };
        let state = state.sign_first(&identity).expect("a first state");
        let request = RegisterFinish {
            name: self.name.clone(),
            state: state.as_bytes().to_vec().into(),
            credential_set: set.to_bytes().into(),
            invite: self.invite.clone(),
        };
        let keys = keyring.space_keys(&root, &space);
        Ok((request, Device::new(device, vec![state], keys.into(), set)))
    }

    fn credential_set(
        &self,
        registered: &opaque::Registered,
        account: &AccountId,
        identity: &IdentitySecret,
        root: &RootKey,
        keyring: &Keyring,
        rng: &mut StdRng,
    ) -> CredentialSet {
        let kek = PasswordKek::derive(&registered.export_key, account);
        CredentialSet {
            opaque_record: registered.record.clone(),
            password_bundle: seal_password_bundle(&kek, account, identity, root, &self.code.kek(), rng),
            recovery_bundle: seal_recovery_bundle(&self.code.kek(), account, identity, root, rng),
            recovery_sign_in: self.code.sign_in_secret().public(),
            keyring: keyring.seal(root, account, rng),
        }
    }

    /// Logs in with the password of now, against the newest credentials or those before.
    ///
    /// # Errors
    /// When the server refuses; a wrong password is noticed here, and the server is told something wrong.
    ///
    /// # Panics
    /// When what the server gives does not verify.
    pub async fn log_in(&self, api: &mut Api, earlier: bool, rng: &mut StdRng) -> Result<LoggedIn, Refused> {
        let (request, start) = opaque::LoginStart::new(self.password.as_bytes(), rng).expect("a password");
        let body = LoginStart { name: self.name.clone(), request: request.into(), earlier };
        let started: LoginStarted = api.call(endpoint::LOGIN_START, None, None, &body).await?;
        let answer = start.finish(&started.response.0, rng);
        let finish = answer.as_ref().map_or_else(|_| wrong_finish(), |answer| answer.finish.clone());
        let body = LoginFinish { login: started.login, finish: finish.into() };
        let session: PasswordSession = api.call(endpoint::LOGIN_FINISH, None, None, &body).await?;
        let kek = PasswordKek::derive(&answer.expect("the right password").export_key, &session.account.0);
        let set = CredentialSet::parse(&session.credential_set.0).expect("a set");
        let opened =
            open_password_bundle(&kek, &session.account.0, &set.password_bundle).expect("our bundle");
        Self::unlock(api, session, set, opened).await
    }

    /// Logs in with the recovery code.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When what the server gives does not verify.
    pub async fn recover(&self, api: &mut Api) -> Result<LoggedIn, Refused> {
        let secret = self.code.sign_in_secret();
        let proof = api.prove(|challenge| secret.sign_in(challenge)).await?;
        let body = RecoveryLogin { recovery_key: Wire(*secret.public().as_bytes()), proof };
        let session: PasswordSession = api.call(endpoint::RECOVERY, None, None, &body).await?;
        let set = CredentialSet::parse(&session.credential_set.0).expect("a set");
        let bundle = open_recovery_bundle(self.code.kek(), &session.account.0, &set.recovery_bundle);
        Self::unlock(api, session, set, bundle.expect("our bundle")).await
    }

    async fn unlock(
        api: &mut Api,
        session: PasswordSession,
        set: CredentialSet,
        opened: alcove_crypto::account::bundle::Opened,
    ) -> Result<LoggedIn, Refused> {
        let state = SignedState::parse(&session.state.0).expect("a state");
        let unlocked = opened.unlock(&session.account.0, state, &set).expect("what belongs together");
        let mut newest = unlocked.state.clone();
        let after = format!("{}?after={}", endpoint::STATES.path, newest.state().version);
        let answered = api.send("GET", &after, Some(&session.token), vec![]).await?;
        let states: States = api.encoding.decode(&answered.body, usize::MAX).expect("states");
        for state in &states.states {
            newest = SignedState::parse(&state.0).expect("a state").verify_after(&newest).expect("the next");
        }
        assert_eq!((newest.state().version, states.newest), (session.newest_version, session.newest_version));
        Ok(LoggedIn { session, unlocked, set, newest })
    }

    /// Publishes new credentials for a new password, as the first of two phases.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When the server's OPAQUE is wrong.
    pub async fn change_password(
        &mut self,
        api: &mut Api,
        logged_in: &LoggedIn,
        password: &str,
        rng: &mut StdRng,
    ) -> Result<Published, Refused> {
        password.clone_into(&mut self.password);
        let (request, start) = opaque::RegistrationStart::new(password.as_bytes(), rng).expect("a password");
        let body = CredentialsStart { request: request.into() };
        let token = Some(logged_in.session.token.as_str());
        let started: RegisterStarted = api.call(endpoint::CREDENTIALS_START, None, token, &body).await?;
        let registered = start.finish(&started.response.0, rng).expect("OPAQUE");
        let Unlocked { identity, root, .. } = &logged_in.unlocked;
        let account = logged_in.session.account.0;
        let keyring = Keyring::open(&logged_in.set.keyring, root, &account).expect("our keyring");
        let set = self.credential_set(&registered, &account, identity, root, &keyring, rng);
        let mut next = logged_in.newest.draft_next();
        next.credentials = set.hash();
        let next = next.sign_after(&logged_in.newest, identity, None).expect("the next state");
        let publish = Publish {
            state: next.as_bytes().to_vec().into(),
            credential_set: Some(set.to_bytes().into()),
            grants: vec![],
        };
        api.call(endpoint::PUBLISH, None, token, &publish).await
    }

    /// Logs in with what was changed, and drops what was before.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn confirm_password(&self, api: &mut Api, rng: &mut StdRng) -> Result<Published, Refused> {
        let logged_in = self.log_in(api, false, rng).await?;
        let body = ConfirmCredentials { version: logged_in.newest.state().version };
        api.call(endpoint::CREDENTIALS_CONFIRM, None, Some(&logged_in.session.token), &body).await
    }
}

impl LoggedIn {
    /// The state that follows, after a change.
    ///
    /// # Panics
    /// When it may not follow.
    #[must_use]
    pub fn next_state(&self, change: impl FnOnce(&mut AccountState)) -> VerifiedState {
        let mut next = self.newest.draft_next();
        change(&mut next);
        next.sign_after(&self.newest, &self.unlocked.identity, None).expect("the next state")
    }

    /// Publishes a state that follows.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn publish(&mut self, api: &mut Api, next: VerifiedState) -> Result<Published, Refused> {
        let body = Publish { state: next.as_bytes().to_vec().into(), credential_set: None, grants: vec![] };
        let published = api.call(endpoint::PUBLISH, None, Some(&self.session.token), &body).await?;
        self.newest = next;
        Ok(published)
    }

    /// Makes a new device and publishes it.
    ///
    /// # Errors
    /// When the server refuses.
    ///
    /// # Panics
    /// When the keyring does not open.
    pub async fn enrol(&mut self, api: &mut Api, rng: &mut StdRng) -> Result<Device, Refused> {
        let device = DeviceSecret::make(rng);
        let next = self.next_state(|state| state.devices.push(listed(&device)));
        let before = self.unlocked.state.clone();
        self.publish(api, next.clone()).await?;
        let account = self.session.account.0;
        let keyring = Keyring::open(&self.set.keyring, &self.unlocked.root, &account).expect("our keyring");
        let keys = keyring.space_keys(&self.unlocked.root, &next.state().private_space);
        let states =
            if before.state().version + 1 == next.state().version { vec![before, next] } else { vec![next] };
        Ok(Device::new(device, states, keys.into(), self.set.clone()))
    }

    /// Asks the server to refuse a device from now on.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn block(&self, api: &mut Api, device: DeviceId) -> Result<Done, Refused> {
        let account = self.session.account;
        let action = IdentityAction::BlockDevice(device);
        let identity = &self.unlocked.identity;
        let proof = api.prove(|challenge| identity.sign_request(&account.0, &action, challenge)).await?;
        let body = BlockDevice { account, device: device.into(), proof };
        api.call(endpoint::BLOCK_DEVICE, None, None, &body).await
    }

    /// Deletes the account.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn delete(&self, api: &mut Api) -> Result<Deleted, Refused> {
        let account = self.session.account;
        let identity = &self.unlocked.identity;
        let action = IdentityAction::DeleteAccount;
        let proof = api.prove(|challenge| identity.sign_request(&account.0, &action, challenge)).await?;
        api.call(endpoint::DELETE_ACCOUNT, None, None, &DeleteAccount { account, proof }).await
    }
}

/// A device as a state lists it.
pub(super) fn listed(device: &DeviceSecret) -> ListedDevice {
    ListedDevice { keys: device.public(), added_day: DAY, revoked_day: None }
}

/// What somebody sends who does not know the password.
fn wrong_finish() -> Vec<u8> {
    let mut finish = vec![0; 65];
    finish[0] = 1;
    finish
}
