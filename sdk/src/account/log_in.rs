//! Logging in with the password or the recovery code, and logging out.

use alcove_crypto::account::challenge::IdentityAction;
use alcove_crypto::account::keys::DeviceSecret;
use alcove_crypto::account::recovery::RecoveryCode;
use alcove_crypto::account::state::Device;
use alcove_protocol::account::{DeleteAccount, Deleted, Published};
use alcove_protocol::identity::SignOut;
use alcove_protocol::server::Done;
use alcove_protocol::{LoginName, endpoint};

use super::attach::{Attachment, count_own};
use super::renew::Renewal;
use super::unlocked::Session;
use super::{AccountHandle, LocalData, OnLogOut, RecoveryCodeText, check_password, parse_name};
use crate::error::{Error, Result};
use crate::keys::{Account, Standing, StoredAccount};
use crate::net::Api;

impl AccountHandle {
    /// Logs in with the password: enrols this device. Sync next, and look at what [`info`](Self::info) says of the view: a
    /// fresh device sends nothing before it is [confirmed](Self::confirm_view).
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::LocalDataExists`] when there is something to ask the user; or when the server cannot
    /// be reached.
    pub async fn log_in(&self, server: &str, name: &str, password: &str, local: LocalData) -> Result<()> {
        let (name, api) = (parse_name(name)?, self.api(server)?);
        check_password(password).map_err(|_| Error::WrongPassword)?;
        self.ready_for_an_account().await?;
        let session = self.log_in_again(&api, &name, password).await?;
        self.ask_about_local_data(&session, local).await?;
        self.enrol(&api, session, name, local).await
    }

    /// Logs in with the recovery code and sets a new password. Everything that an old password or a lost device could open is
    /// exchanged: identity, keys, recovery code. All other devices have to log in again. Gives the new recovery code.
    ///
    /// # Errors
    /// [`Error::WrongRecoveryCode`], [`Error::BadCredentials`], or as [`log_in`](Self::log_in).
    pub async fn recover(
        &self,
        server: &str,
        name: &str,
        recovery_code: &str,
        new_password: &str,
        local: LocalData,
    ) -> Result<RecoveryCodeText> {
        check_password(new_password)?;
        let (name, api) = (parse_name(name)?, self.api(server)?);
        let code = parse_code(recovery_code)?;
        self.ready_for_an_account().await?;
        let session = self.noted(Session::recover(&api, &code).await).await?;
        self.ask_about_local_data(&session, local).await?;
        self.renew_with(&api, session, name, new_password, Renewal::OnAnotherDevice(local)).await
    }

    /// Logs this device out. It stays in the list of devices until it is revoked, but can do nothing any more.
    ///
    /// # Errors
    /// When there is no account, or the store cannot be written. A server that cannot be reached is no error: its sessions end
    /// within minutes.
    pub async fn log_out(self, then: OnLogOut) -> Result<()> {
        let session = self.session().await?;
        let account = session.account.as_ref().ok_or(Error::NoAccount)?;
        let token = self.alcove.core().engine.lock().await.token.take();
        if let Some(token) = token {
            let api = self.api(&account.stored.origin)?;
            let body = SignOut { everywhere: false };
            let _: Result<Done, _> = api.post(endpoint::SIGN_OUT, Some(&token.text), &body).await;
        }
        if then == OnLogOut::Wipe {
            return self.alcove.wipe().await;
        }
        self.alcove
            .core()
            .local
            .write(|tx| {
                let mut stored = tx.session.account.as_ref().ok_or(Error::NoAccount)?.stored.clone();
                stored.standing = Standing::SignedOut;
                tx.set_device(&DeviceSecret::make(&mut rand::rng()))?;
                tx.set_account(Some(&stored))
            })
            .await
    }

    /// Deletes the account and everything that the server holds of it. Gives whether the server has finished; asking again
    /// tells. What is on this device stays, without an account.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], or when the server cannot be reached.
    pub async fn delete(&self, password: &str) -> Result<bool> {
        let (api, name) = self.known_account().await?;
        let session = self.open(&api, &name, password).await?;
        let proof = session.prove(&api, &IdentityAction::DeleteAccount).await?;
        let body = DeleteAccount { account: session.account().into(), proof };
        let deleted: Deleted = api.post(endpoint::DELETE_ACCOUNT, None, &body).await?;
        self.change_stored(|stored| stored.standing = Standing::Deleted).await?;
        Ok(deleted.swept)
    }

    /// Server and name of the account on this device.
    pub(crate) async fn known_account(&self) -> Result<(Api, LoginName)> {
        let session = self.session().await?;
        let stored = &session.account.as_ref().ok_or(Error::NoAccount)?.stored;
        Ok((self.api(&stored.origin)?, stored.name.clone()))
    }

    pub(super) async fn ready_for_an_account(&self) -> Result<()> {
        match &self.session().await?.account {
            Some(account) if account.stored.standing == Standing::Active => Err(Error::HasAccount),
            _ => Ok(()),
        }
    }

    /// Logs in. A device that had the account may know more of it than a server that was restored from a backup, the password of
    /// now too: then the server is given back what it lost, and asked once more.
    async fn log_in_again(&self, api: &Api, name: &LoginName, password: &str) -> Result<Session> {
        let known = self.session().await?;
        let here =
            |known: &&Account| known.stored.name == *name && known.stored.origin == api.origin.to_string();
        let Some(known) = known.account.as_ref().filter(here) else {
            return self.open(api, name, password).await;
        };
        match self.open(api, name, password).await {
            Ok(session) if session.newest().state().version >= known.newest.state().version => {
                return Ok(session);
            }
            Ok(_) | Err(Error::WrongPassword) => {}
            Err(error) => return Err(error),
        }
        let restored: Result<Published, _> = api.post(endpoint::RESTORE, None, &known.to_give_back()).await;
        match restored {
            Ok(_) => self.open(api, name, password).await,
            // The server knows more than this device: it was the password.
            Err(_) => Err(Error::WrongPassword),
        }
    }

    async fn ask_about_local_data(&self, session: &Session, local: LocalData) -> Result<()> {
        if local == LocalData::Ask && session.space() != self.session().await?.keys.space {
            let count = count_own(&self.alcove).await?;
            if count > 0 {
                return Err(Error::LocalDataExists(count));
            }
        }
        Ok(())
    }

    /// Adds this device to the account, and takes over what the account is.
    async fn enrol(&self, api: &Api, mut session: Session, name: LoginName, local: LocalData) -> Result<()> {
        let known = self.session().await?;
        let known_states = known.account.as_ref();
        // The states must fit what this device knew before anything is signed on top of them.
        session.states_after(known_states)?;
        let keys = session.keys()?;
        let today = self.alcove.core().clock.today();
        let ours = known.device.public();
        // A device whose keys the account lists already was cut off after it was enrolled, or founded the account.
        let listed = session.newest().state().devices.iter().any(|device| device.keys.id() == ours.id());
        let live = session.newest().state().live_device(&ours.id()).is_some();
        let cloned = known_states.is_some_and(|account| account.stored.standing == Standing::Cloned);
        let fresh = (listed && !live) || cloned;
        let device = fresh.then(|| DeviceSecret::make(&mut rand::rng()));
        if !live || cloned {
            let keys = device.as_ref().map_or(ours, DeviceSecret::public);
            let mut next = session.newest().draft_next();
            next.devices.push(Device { keys, added_day: today, revoked_day: None });
            session.publish(api, &next, None, vec![]).await?;
        }
        let same_space = keys.space == known.keys.space;
        let confirmed = match known_states {
            // A device that has pulled before has no gap.
            Some(account) if same_space => account.stored.view_confirmed,
            Some(_) => false,
            None => same_space,
        };
        let account = StoredAccount {
            origin: api.origin.to_string(),
            name,
            states: session.states_after(known_states)?,
            credential_set: session.set.to_bytes(),
            standing: Standing::Active,
            code_confirmed: true,
            view_confirmed: confirmed,
        };
        // Whoever was revoked and not barred yet is barred by this device: the password has just said who belongs to the account.
        let listed = session.newest().state().devices.iter();
        let revoking =
            listed.filter(|device| device.revoked_day.is_some()).map(|device| device.keys.id()).collect();
        Attachment { keys, device, account, local, inbox: None, revoking, expected: None }
            .attach(&self.alcove)
            .await
    }
}

/// Reads what a user typed.
pub(super) fn parse_code(typed: &str) -> Result<RecoveryCode> {
    RecoveryCode::parse(typed).map_err(|error| Error::WrongRecoveryCode(error.to_string()))
}
