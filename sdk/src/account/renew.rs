//! New credentials, new keys, new identity: a change of password, a revocation, and "compromised".

use alcove_crypto::account::challenge::IdentityAction;
use alcove_crypto::account::grant::grant_root;
use alcove_crypto::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret};
use alcove_crypto::account::recovery::RecoveryCode;
use alcove_crypto::account::state::{AccountState, Device};
use alcove_crypto::ids::DeviceId;
use alcove_protocol::account::{BlockDevice, Grant};
use alcove_protocol::server::Done;
use alcove_protocol::{LoginName, endpoint};

use super::attach::{Attachment, put_inbox, set_revoking};
use super::unlocked::{Session, seal_set, strange};
use super::{AccountHandle, LocalData, OtherDevices, RecoveryCodeText, check_password};
use crate::error::{Error, Result};
use crate::keys::{Keys, Standing, StoredAccount};
use crate::net::Api;

/// Where everything is exchanged.
pub(super) enum Renewal {
    /// On a device of the account.
    Here,
    /// On one that becomes a device of the account by it.
    OnAnotherDevice(LocalData),
}

impl AccountHandle {
    /// Changes the password. A cut anywhere leaves the old or the new one working, and the recovery code always.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], [`Error::BadCredentials`], or when the server cannot be reached.
    pub async fn change_password(&self, old: &str, new: &str, others: OtherDevices) -> Result<()> {
        check_password(new)?;
        let (api, name) = self.known_account().await?;
        let mut session = self.open(&api, &name, old).await?;
        let fresh = session.new_password(&api, new).await?;
        let keys = session.keys()?;
        let unlocked = &session.unlocked;
        let recovery = (&unlocked.recovery_kek, session.set.recovery_sign_in);
        let account = session.account();
        let set = seal_set(
            fresh.record,
            &fresh.kek,
            &account,
            &unlocked.identity,
            &unlocked.root,
            recovery,
            &keys.keyring,
        );
        let mut next = session.newest().draft_next();
        next.credentials = set.hash();
        session.publish(&api, &next, Some(set), vec![]).await?;
        // The second half: the old one goes only after the new one has opened the account.
        let session = self.open(&api, &name, new).await?;
        self.keep(&session).await?;
        if others == OtherDevices::Revoke {
            let us = self.session().await?.device.id();
            let live = session.newest().state().devices.iter().filter(|device| device.revoked_day.is_none());
            let others: Vec<DeviceId> =
                live.map(|device| device.keys.id()).filter(|device| *device != us).collect();
            if !others.is_empty() {
                self.revoke_all(&others, new).await?;
            }
        }
        Ok(())
    }

    /// Revokes a device: the server refuses it at once, and nothing that is written from now on can be read with its keys. Sync
    /// before and after; if that is cut, doing it again completes it.
    ///
    /// # Errors
    /// [`Error::NotFound`], when there is no such device; [`Error::WrongPassword`]; or when the server cannot be reached.
    pub async fn revoke(&self, device: &str, password: &str) -> Result<()> {
        let session = self.session().await?;
        let devices = &session.active()?.newest.state().devices;
        let found = devices.iter().map(|device| device.keys.id()).find(|id| id.to_string() == device);
        let device = found.ok_or(Error::NotFound)?;
        if device == session.device.id() {
            return Err(Error::Invalid("a device does not revoke itself: log it out".into()));
        }
        self.revoke_all(&[device], password).await
    }

    async fn revoke_all(&self, devices: &[DeviceId], password: &str) -> Result<()> {
        let (api, name) = self.known_account().await?;
        let mut session = self.open(&api, &name, password).await?;
        // 1. The server refuses them.
        for device in devices {
            let proof = session.prove(&api, &IdentityAction::BlockDevice(*device)).await?;
            let body = BlockDevice { account: session.account().into(), device: (*device).into(), proof };
            let _: Done = api.post(endpoint::BLOCK_DEVICE, None, &body).await?;
        }
        // 2. What they wrote up to here is ours; what comes after is not. The new inbox goes out before it is named.
        let inbox = ReceivingSecret::make(&mut rand::rng());
        let (kept, revoking) = (ReceivingSecret::from_bytes(*inbox.expose()), devices.to_vec());
        self.alcove
            .edit(move |tx, stamp| {
                set_revoking(tx, &revoking)?;
                put_inbox(tx, &tx.session.keys, &kept, stamp)
            })
            .await?;
        self.alcove.sync().now().await?;
        // 3. A new epoch, with grants for those that stay.
        let still_live = |device: &&DeviceId| session.newest().state().live_device(device).is_some();
        if devices.iter().any(|device| still_live(&device)) {
            self.publish_without(&api, &mut session, devices, &inbox).await?;
            let session = self.open(&api, &name, password).await?;
            self.keep(&session).await?;
        }
        // 4. The barrier: the next commit names the new state.
        self.alcove.sync().now().await.map(drop)
    }

    async fn publish_without(
        &self,
        api: &Api,
        session: &mut Session,
        devices: &[DeviceId],
        inbox: &ReceivingSecret,
    ) -> Result<()> {
        let today = self.alcove.core().clock.today();
        let Keys { mut keyring, root, .. } = session.keys()?;
        let new_root = root.make_next(&mut rand::rng());
        keyring.retire(root).map_err(|error| Error::Refused(error.to_string()))?;
        let set = session.credentials_with(&new_root, &keyring)?;
        let mut next = session.newest().draft_next();
        for device in &mut next.devices {
            if device.revoked_day.is_none() && devices.contains(&device.keys.id()) {
                device.revoked_day = Some(today);
            }
        }
        renew_epoch(&mut next, &new_root, inbox);
        next.credentials = set.hash();
        let signed = next.sign_after(session.newest(), &session.unlocked.identity, None);
        let signed = signed.map_err(|error| strange(&error))?;
        let live = signed.state().devices.iter().filter(|device| device.revoked_day.is_none());
        let grants = live.map(|device| {
            let id = device.keys.id();
            let grant = grant_root(&new_root, &signed, &id, &mut rand::rng());
            let grant = grant.map_err(|error| strange(&error))?;
            Ok(Grant { device: id.into(), epoch: new_root.epoch(), grant: grant.into() })
        });
        let grants = grants.collect::<Result<Vec<_>>>()?;
        session.publish_signed(api, signed, Some(set), grants).await
    }

    /// "Compromised": exchanges everything that somebody may have seen: identity, keys, recovery code, password. All other
    /// devices have to log in again. Gives the new recovery code.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], [`Error::BadCredentials`], or when the server cannot be reached.
    pub async fn renew(&self, password: &str, new_password: &str) -> Result<RecoveryCodeText> {
        check_password(new_password)?;
        // What the others have sent up to here is ours.
        self.alcove.sync().now().await?;
        let (api, name) = self.known_account().await?;
        let session = self.open(&api, &name, password).await?;
        self.renew_with(&api, session, name, new_password, Renewal::Here).await
    }

    pub(super) async fn renew_with(
        &self,
        api: &Api,
        mut session: Session,
        name: LoginName,
        new_password: &str,
        renewal: Renewal,
    ) -> Result<RecoveryCodeText> {
        let known = self.session().await?;
        session.states_after(known.account.as_ref())?;
        let today = self.alcove.core().clock.today();
        let identity = IdentitySecret::make(&mut rand::rng());
        let inbox = ReceivingSecret::make(&mut rand::rng());
        let code = RecoveryCode::make(&mut rand::rng());
        let account = session.account();
        let fresh = session.new_password(api, new_password).await?;
        let Keys { mut keyring, root, space, .. } = session.keys()?;
        let new_root = root.make_next(&mut rand::rng());
        keyring.retire(root).map_err(|error| Error::Refused(error.to_string()))?;
        let sign_in = code.sign_in_secret().public();
        let recovery = (&code.kek(), sign_in);
        let set = seal_set(fresh.record, &fresh.kek, &account, &identity, &new_root, recovery, &keyring);

        let mut next = session.newest().draft_next();
        // A device that was revoked, or whose store was copied, begins anew.
        let us = known.device.public();
        let stays = matches!(renewal, Renewal::Here) && next.live_device(&us.id()).is_some();
        let listed = next.devices.iter().any(|device| device.keys.id() == us.id());
        let device = (!stays && listed).then(|| DeviceSecret::make(&mut rand::rng()));
        let mut revoking = Vec::new();
        for device in &mut next.devices {
            if device.revoked_day.is_none() && !(stays && device.keys.id() == us.id()) {
                device.revoked_day = Some(today);
                revoking.push(device.keys.id());
            }
        }
        if !stays {
            let keys = device.as_ref().map_or(us, DeviceSecret::public);
            next.devices.push(Device { keys, added_day: today, revoked_day: None });
        }
        renew_epoch(&mut next, &new_root, &inbox);
        next.identity = identity.public();
        next.credentials = set.hash();
        let signed = next.sign_after(session.newest(), &identity, Some(&session.unlocked.identity));
        session.publish_signed(api, signed.map_err(|error| strange(&error))?, Some(set), vec![]).await?;
        let session = self.open(api, &name, new_password).await.map_err(|error| match error {
            // A recovery code finds the account without a name; a password does not.
            Error::WrongPassword => Error::BadCredentials(
                "this is not the account's login name: log in with the right one and the new password",
            ),
            error => error,
        })?;
        let same_space = space == known.keys.space;
        let before = known.account.as_ref().filter(|_| same_space);
        let stored = StoredAccount {
            origin: api.origin.to_string(),
            name,
            states: session.states_after(known.account.as_ref())?,
            credential_set: session.set.to_bytes(),
            standing: Standing::Active,
            code_confirmed: false,
            view_confirmed: before.is_some_and(|account| account.stored.view_confirmed),
        };
        let local = match renewal {
            Renewal::Here => LocalData::Merge,
            Renewal::OnAnotherDevice(local) => local,
        };
        let keys = Keys::new(keyring, new_root, space);
        let inbox = Some(inbox);
        let attachment = Attachment { keys, device, account: stored, local, inbox, revoking, expected: None };
        attachment.attach(&self.alcove).await?;
        Ok(code.to_text())
    }

    /// Keeps what this device has just published itself.
    pub(super) async fn keep(&self, session: &Session) -> Result<()> {
        let known = self.session().await?;
        let known_account = known.active()?;
        let mut stored = known_account.stored.clone();
        stored.states = session.states_after(Some(known_account))?;
        stored.credential_set = session.set.to_bytes();
        let keys = session.keys()?;
        let _engine = self.alcove.core().engine.lock().await;
        self.alcove
            .core()
            .local
            .write(move |tx| {
                tx.set_keys(&keys)?;
                tx.set_account(Some(&stored))
            })
            .await
    }
}

fn renew_epoch(
    next: &mut AccountState,
    root: &alcove_crypto::account::root::RootKey,
    inbox: &ReceivingSecret,
) {
    next.epoch = root.epoch();
    next.root_commitment = root.commitment(&next.account);
    next.inbox = inbox.public();
}
