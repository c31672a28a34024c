//! Founding an account.

use alcove_crypto::account::bundle::PasswordKek;
use alcove_crypto::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret, account_id};
use alcove_crypto::account::recovery::RecoveryCode;
use alcove_crypto::account::state::{AccountState, Device};
use alcove_crypto::ids::AccountStateHash;
use alcove_crypto::{PROTOCOL, opaque};
use alcove_protocol::account::Published;
use alcove_protocol::endpoint;
use alcove_protocol::identity::{RegisterFinish, RegisterStart, RegisterStarted};

use super::attach::Attachment;
use super::unlocked::{NewPassword, finish_registration, opaque_error, seal_set, strange};
use super::{AccountHandle, LocalData, RecoveryCodeText, check_password, parse_name};
use crate::error::Result;
use crate::keys::{Keys, Standing, StoredAccount};
use crate::net::Failure;

impl AccountHandle {
    /// Founds an account on a server. What is on this device becomes the account's, with the next sync. Gives the recovery
    /// code, which is shown to the user once and [typed back](Self::confirm_recovery_code): nobody can ever give it again.
    ///
    /// # Errors
    /// [`NameTaken`](crate::Error::NameTaken), [`RegistrationClosed`](crate::Error::RegistrationClosed),
    /// [`BadCredentials`](crate::Error::BadCredentials), or when the server cannot be reached.
    /// If the answer to the last request was lost, the account may have been founded: log in.
    pub async fn sign_up(
        &self,
        server: &str,
        name: &str,
        password: &str,
        invite: Option<&str>,
    ) -> Result<RecoveryCodeText> {
        check_password(password)?;
        let (name, api) = (parse_name(name)?, self.api(server)?);
        self.ready_for_an_account().await?;
        let session = self.session().await?;
        // The space and the device of an account that was here before are that account's.
        let had_account = session.account.is_some();
        let keys = if had_account {
            Keys::make(&mut rand::rng())
        } else {
            Keys::from_stored(&session.keys.to_stored())?
        };
        let device = had_account.then(|| DeviceSecret::make(&mut rand::rng()));
        let identity = IdentitySecret::make(&mut rand::rng());
        let inbox = ReceivingSecret::make(&mut rand::rng());
        let code = RecoveryCode::make(&mut rand::rng());
        let account = account_id(&identity.public());
        let invite = invite.map(str::to_owned);

        let (request, start) =
            opaque::RegistrationStart::new(password.as_bytes(), &mut rand::rng()).map_err(opaque_error)?;
        let body = RegisterStart { name: name.clone(), request: request.into(), invite: invite.clone() };
        let started: RegisterStarted = api.post(endpoint::REGISTER_START, None, &body).await?;
        let NewPassword { record, kek } = finish_registration(start, started.response.0, account).await?;

        let Keys { keyring, root, space, .. } = &keys;
        let sign_in = code.sign_in_secret().public();
        let set = seal_set(record, &kek, &account, &identity, root, (&code.kek(), sign_in), keyring);
        drop::<PasswordKek>(kek);
        let today = self.alcove.core().clock.today();
        let public = device.as_ref().map_or_else(|| session.device.public(), DeviceSecret::public);
        let listed = Device { keys: public, added_day: today, revoked_day: None };
        let state = AccountState {
            account,
            version: 1,
            previous: AccountStateHash::new([0; 32]),
            identity: identity.public(),
            minimum_protocol: PROTOCOL,
            private_space: *space,
            devices: vec![listed],
            inbox: inbox.public(),
            epoch: root.epoch(),
            root_commitment: root.commitment(&account),
            credentials: set.hash(),
        };
        let state = state.sign_first(&identity).map_err(|error| strange(&error))?;
        let body = RegisterFinish {
            name: name.clone(),
            state: state.as_bytes().to_vec().into(),
            credential_set: set.to_bytes().into(),
            invite,
        };
        let mut founded: Result<Published, _> = api.post(endpoint::REGISTER_FINISH, None, &body).await;
        if matches!(founded, Err(Failure::Offline(_))) {
            // Perhaps only the answer was lost; the same again is no error.
            founded = api.post(endpoint::REGISTER_FINISH, None, &body).await;
        }
        founded?;
        let stored = StoredAccount {
            origin: api.origin.to_string(),
            name,
            states: vec![state.as_bytes().to_vec()],
            credential_set: set.to_bytes(),
            standing: Standing::Active,
            code_confirmed: false,
            view_confirmed: true,
        };
        let attachment = Attachment {
            keys,
            device,
            account: stored,
            local: LocalData::Merge,
            inbox: Some(inbox),
            revoking: vec![],
            expected: None,
        };
        attachment.attach(&self.alcove).await?;
        Ok(code.to_text())
    }
}
