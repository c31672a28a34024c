//! Adding a device by a code that the trusted one shows and the new one scans.
//!
//! The code carries a hash of an ephemeral key, a secret, and where the account is; so neither a server nor somebody in between
//! can take part, and the new device starts with no gap. The password is typed on the trusted device.

use std::time::Duration;

use alcove_crypto::account::credentials::CredentialSet;
use alcove_crypto::account::enrolment::{self, EnrolmentError, Invitation};
use alcove_crypto::account::grant::{grant_root, open_root_grant};
use alcove_crypto::account::keys::{DeviceKeys, DeviceSecret, ReceivingKey};
use alcove_crypto::account::root::Keyring;
use alcove_crypto::account::state::{Device, SignedState};
use alcove_crypto::ids::EnrolmentId;
use alcove_protocol::account::{Credentials, Grant, Grants};
use alcove_protocol::enrolment::{AnswerEnrolment, AskEnrolment, Enrolment, OpenEnrolment};
use alcove_protocol::identity::{AccessToken, SignIn};
use alcove_protocol::limits::ENROLMENT_LIFETIME_S;
use alcove_protocol::server::Done;
use alcove_protocol::{ErrorCode, LoginName, Wire, endpoint};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::attach::{Attachment, count_own};
use super::unlocked::strange;
use super::{AccountHandle, LocalData};
use crate::error::{Error, Result};
use crate::keys::{Keys, Standing, StoredAccount};
use crate::net::{Api, Failure};
use crate::sync::Place32;

const SCHEME: &str = "alcove:";
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A trusted device that shows a code. It takes one request; after that, or ten minutes, a new code is needed.
pub struct Inviting {
    account: AccountHandle,
    api: Api,
    name: LoginName,
    offer: enrolment::Inviting,
}

/// A trusted device that was asked, by a device that has scanned the code.
pub struct Asked {
    account: AccountHandle,
    api: Api,
    name: LoginName,
    id: EnrolmentId,
    keys: DeviceKeys,
}

/// A new device that has asked, and waits for the password to be typed on the trusted one.
pub struct Joined {
    account: AccountHandle,
    api: Api,
    name: LoginName,
    id: EnrolmentId,
    joining: enrolment::Joining,
    local: LocalData,
}

impl AccountHandle {
    /// Begins to add a device: syncs, and opens a mailbox for the code.
    ///
    /// # Errors
    /// When there is no account, or the server cannot be reached.
    pub async fn invite_device(&self) -> Result<Inviting> {
        self.alcove.sync().now().await?;
        let (api, name) = self.known_account().await?;
        let session = self.session().await?;
        let state = session.active()?.newest.clone();
        let chain = self.alcove.core().local.write(|tx| tx.chain()).await?;
        let at = chain.ok_or(Error::NoAccount)?.at();
        let offer = enrolment::Inviting::start(&state, at.seq, at.head, &mut rand::rng());
        let code = Invitation::parse(&offer.code()).map_err(failed)?;
        let body = OpenEnrolment { id: Wire(code.id), ephemeral_key: Wire(offer.ephemeral_key().0) };
        let token = self.token().await;
        let _: Done = api.post(endpoint::ENROLMENT_OPEN, token.as_deref(), &body).await?;
        Ok(Inviting { account: Self::new(self.alcove.clone()), api, name, offer })
    }

    /// Joins an account, on a new device that has scanned a code.
    ///
    /// # Errors
    /// [`Error::EnrolmentFailed`], [`Error::LocalDataExists`], or when the server cannot be reached.
    pub async fn join(&self, code: &str, local: LocalData) -> Result<Joined> {
        self.ready_for_an_account().await?;
        let (invitation, name, server) = read_code(code)?;
        let api = self.api(&server)?;
        if local == LocalData::Ask && invitation.space != self.session().await?.keys.space {
            let count = count_own(&self.alcove).await?;
            if count > 0 {
                return Err(Error::LocalDataExists(count));
            }
        }
        let id = invitation.id;
        let mailbox: Enrolment = api.get_from(endpoint::ENROLMENT, id.as_bytes()).await.map_err(over)?;
        let device = DeviceSecret::make(&mut rand::rng());
        let key = ReceivingKey(mailbox.ephemeral_key.0);
        let (request, joining) = invitation.join(device, &key, &mut rand::rng()).map_err(failed)?;
        let body = AskEnrolment { request: request.into() };
        let _: Done = api.post_to(endpoint::ENROLMENT_ASK, id.as_bytes(), None, &body).await.map_err(over)?;
        Ok(Joined { account: Self::new(self.alcove.clone()), api, name, id, joining, local })
    }

    pub(crate) async fn token(&self) -> Option<String> {
        self.alcove.core().engine.lock().await.token.as_ref().map(|token| token.text.clone())
    }
}

impl Inviting {
    /// The code, as a text to be shown as a QR code. Whoever reads it can ask, once.
    #[must_use]
    pub fn code(&self) -> Zeroizing<String> {
        let code = URL_SAFE_NO_PAD.encode(&*self.offer.code());
        let name = URL_SAFE_NO_PAD.encode(self.name.as_str());
        Zeroizing::new(format!("{SCHEME}{code}.{name}@{}", self.api.origin))
    }

    /// Waits until a device has scanned the code.
    ///
    /// # Errors
    /// [`Error::EnrolmentFailed`], when somebody asked who has not scanned it, or nobody did in time.
    pub async fn wait(self) -> Result<Asked> {
        let id = Invitation::parse(&self.offer.code()).map_err(failed)?.id;
        let mailbox = look(&self.api, id, |mailbox| mailbox.request.is_some()).await?;
        let request = mailbox.request.map(|request| request.0).unwrap_or_default();
        let keys = self.offer.accept(&request).map_err(failed)?;
        Ok(Asked { account: self.account, api: self.api, name: self.name, id, keys })
    }
}

impl Asked {
    /// The id of the new device, which it shows too: the user may compare them.
    #[must_use]
    pub fn device(&self) -> String {
        self.keys.id().to_string()
    }

    /// Lets it in.
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; this can be tried again. [`Error::EnrolmentFailed`], when the account changed meanwhile.
    pub async fn approve(&self, password: &str) -> Result<()> {
        let mut session = self.account.open(&self.api, &self.name, password).await?;
        let known = self.account.session().await?;
        let scanned = &known.active()?.newest;
        if session.newest().hash() != scanned.hash() {
            return Err(Error::EnrolmentFailed("the account changed meanwhile".into()));
        }
        let scanned = scanned.as_bytes().to_vec();
        let mut next = session.newest().draft_next();
        let today = self.account.alcove.core().clock.today();
        next.devices.push(Device { keys: self.keys, added_day: today, revoked_day: None });
        let signed = next.sign_after(session.newest(), &session.unlocked.identity, None);
        let signed = signed.map_err(|error| strange(&error))?;
        let id = self.keys.id();
        let grant = grant_root(&session.unlocked.root, &signed, &id, &mut rand::rng());
        let grant = Grant {
            device: id.into(),
            epoch: session.unlocked.root.epoch(),
            grant: grant.map_err(|error| strange(&error))?.into(),
        };
        session.publish_signed(&self.api, signed.clone(), None, vec![grant]).await?;
        let enrolled = signed.as_bytes().to_vec();
        let body = AnswerEnrolment { states: vec![scanned.into(), enrolled.into()] };
        let token = self.account.token().await;
        let _: Done =
            self.api.post_to(endpoint::ENROLMENT_ANSWER, self.id.as_bytes(), token.as_deref(), &body).await?;
        self.account.keep(&session).await
    }
}

impl Joined {
    /// The id of this device, which the trusted one shows too: the user may compare them.
    #[must_use]
    pub fn device(&self) -> String {
        self.joining.device().to_string()
    }

    /// Waits until the trusted device has let this one in, and becomes part of the account.
    ///
    /// # Errors
    /// [`Error::EnrolmentFailed`], when what came is not what the code promised, or nothing came in time.
    pub async fn finish(self) -> Result<()> {
        let mailbox = look(&self.api, self.id, |mailbox| !mailbox.states.is_empty()).await?;
        let [scanned, enrolled] = &mailbox.states[..] else {
            return Err(Error::EnrolmentFailed("the answer is not one".into()));
        };
        let read = |bytes: &[u8]| SignedState::parse(bytes).map_err(|error| failed(error.into()));
        let (device, state, place) =
            self.joining.finish(read(&scanned.0)?, read(&enrolled.0)?).map_err(failed)?;
        let account = state.state().account;
        let proof = self.api.prove(|challenge| device.sign_in(&account, challenge)).await?;
        let body = SignIn { account: account.into(), device: device.id().into(), proof };
        let token: AccessToken = self.api.post(endpoint::SIGN_IN, None, &body).await?;
        let token = Some(token.token.as_str());
        let grants: Grants = self.api.get(endpoint::GRANTS, token).await?;
        let credentials: Credentials = self.api.get(endpoint::CREDENTIALS, token).await?;
        let set = CredentialSet::parse(&credentials.credential_set.0).map_err(|error| strange(&error))?;
        if set.hash() != state.state().credentials {
            return Err(Error::Incident(crate::incident::IncidentKind::Substitution));
        }
        let mut roots =
            grants.grants.iter().filter_map(|grant| open_root_grant(&grant.grant.0, &device, &state).ok());
        let root = roots.next().ok_or(Error::Incident(crate::incident::IncidentKind::WrongKey))?;
        let keyring = Keyring::open(&set.keyring, &root, &account).map_err(|error| strange(&error))?;
        drop(roots);
        let stored = StoredAccount {
            origin: self.api.origin.to_string(),
            name: self.name,
            states: vec![scanned.0.clone(), enrolled.0.clone()],
            credential_set: credentials.credential_set.0,
            standing: Standing::Active,
            code_confirmed: true,
            view_confirmed: true,
        };
        let attachment = Attachment {
            keys: Keys::new(keyring, root, state.state().private_space),
            device: Some(device),
            account: stored,
            local: self.local,
            inbox: None,
            revoking: vec![],
            expected: (place.seq > 0).then_some(Place32(place.seq, *place.head.as_bytes())),
        };
        attachment.attach(&self.account.alcove).await
    }
}

/// Looks into the mailbox until something is there.
async fn look(api: &Api, id: EnrolmentId, there: impl Fn(&Enrolment) -> bool) -> Result<Enrolment> {
    let looked = async {
        loop {
            match api.get_from::<Enrolment>(endpoint::ENROLMENT, id.as_bytes()).await {
                Ok(mailbox) if there(&mailbox) => return Ok(mailbox),
                Ok(_) => {}
                Err(failure) => match over(failure) {
                    error if error.is_temporary() => {}
                    error => return Err(error),
                },
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let lifetime = Duration::from_secs(ENROLMENT_LIFETIME_S.into());
    let late = || Error::EnrolmentFailed("nobody answered in time".into());
    tokio::time::timeout(lifetime, looked).await.map_err(|_| late())?
}

fn read_code(text: &str) -> Result<(Invitation, LoginName, String)> {
    let bad = || Error::EnrolmentFailed("this is no code of a device".into());
    let rest = text.trim().strip_prefix(SCHEME).ok_or_else(bad)?;
    let (code, server) = rest.split_once('@').ok_or_else(bad)?;
    let (code, name) = code.split_once('.').ok_or_else(bad)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| bad());
    let invitation = Invitation::parse(&decode(code)?).map_err(failed)?;
    let name = String::from_utf8(decode(name)?.to_vec()).ok().and_then(|name| LoginName::parse(&name).ok());
    Ok((invitation, name.ok_or_else(bad)?, server.to_owned()))
}

fn failed(error: EnrolmentError) -> Error {
    Error::EnrolmentFailed(error.to_string())
}

/// The mailbox is gone, or somebody was first.
fn over(failure: Failure) -> Error {
    match failure.code() {
        Some(ErrorCode::NotFound) => Error::EnrolmentFailed("the code is no longer good".into()),
        Some(ErrorCode::Exists) => Error::EnrolmentFailed("another device was first".into()),
        _ => failure.into(),
    }
}
