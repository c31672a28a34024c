//! The account: signing up and in, recovery, password, devices, and the end of it.
//!
//! Whatever changes the account needs the password or the recovery code, for the identity key exists only in what they open.
//! It is used within one call, and wiped. Everything here needs the network; nothing local is lost when it fails.

use alcove_crypto::ids::DeviceId;
use alcove_protocol::{LoginName, Wire};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::alcove::Alcove;
use crate::error::{Error, Result};
use crate::incident::Incident;
use crate::keys::{Session, Standing};
use crate::net::{Api, Origin};
use crate::records::Record;
use crate::sync::{StoredView, VIEW};

mod attach;
mod devices;
mod enrol;
mod found;
mod log_in;
mod renew;
mod unlocked;

pub use devices::DeviceInfo;
pub use enrol::{Asked, Inviting, Joined};

/// The shortest and longest password. How good one is, the app should tell its user.
const PASSWORD_LEN: std::ops::RangeInclusive<usize> = 8..=1024;

/// The account of this device.
pub struct AccountHandle {
    pub(crate) alcove: Alcove,
}

/// What becomes of what is on this device when it is logged in to an account that has other data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalData {
    /// If there is any, the login fails with [`Error::LocalDataExists`], so that the app can ask.
    #[default]
    Ask,
    /// It is added to the account.
    Merge,
    /// It is deleted.
    Discard,
}

/// What becomes of what is on this device when it is logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLogOut {
    /// It stays, and can be used without an account.
    Keep,
    /// It is deleted, with its keys. What was not synced is gone.
    Wipe,
}

/// What becomes of the other devices when the password changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherDevices {
    /// They stay.
    Keep,
    /// They are revoked, and have to log in with the new password.
    Revoke,
}

/// The account as this device knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Address of the server.
    pub server: String,
    /// Login name.
    pub name: String,
    /// The account's id.
    pub id: String,
    /// How this device stands with it.
    pub standing: DeviceStanding,
    /// Whether the user has typed the recovery code back.
    pub recovery_code_confirmed: bool,
    /// What this device shows.
    pub view: Option<View>,
}

/// How a device stands with its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStanding {
    /// It syncs.
    Active,
    /// It was logged out.
    LoggedOut,
    /// It was revoked.
    Revoked,
    /// Another store writes under its keys: one of them is a copy.
    Cloned,
    /// The account was deleted.
    Deleted,
}

/// Up to when what a device shows goes. A server can hide the newest from a device that has never seen it; so a fresh device
/// says what it shows, and sends nothing before the user has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// When the newest change was made, by the clock of the device that made it, in milliseconds since 1970.
    pub time_ms: u64,
    /// The device that made it.
    pub device: String,
    /// Its name, if it is known.
    pub device_name: Option<String>,
    /// Whether the user, or a scanned code, has confirmed it.
    pub confirmed: bool,
}

/// A device, as a sealed record: its name is nobody else's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceName {
    pub(crate) name: String,
}

impl Record for DeviceName {
    const KIND: &'static str = "alcove.device";
}

/// The secret half of an inbox, for keys of shared spaces.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InboxSecret {
    pub(crate) secret: Wire<[u8; 32]>,
}

impl Record for InboxSecret {
    const KIND: &'static str = "alcove.inbox";
}

impl AccountHandle {
    pub(crate) fn new(alcove: Alcove) -> Self {
        Self { alcove }
    }

    /// The account, if there is one on this device.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn info(&self) -> Result<Option<AccountInfo>> {
        let session = self.session().await?;
        let Some(account) = &session.account else { return Ok(None) };
        let stored: Option<StoredView> = self.alcove.core().local.write(|tx| tx.value(VIEW)).await?;
        let names = self.device_names().await?;
        let view = stored.map(|view| {
            let device = DeviceId::new(view.device).to_string();
            View {
                time_ms: view.time_ms,
                device_name: names.get(&device).cloned(),
                device,
                confirmed: account.stored.view_confirmed,
            }
        });
        Ok(Some(AccountInfo {
            server: account.stored.origin.clone(),
            name: account.stored.name.as_str().to_owned(),
            id: account.id().to_string(),
            standing: account.stored.standing.into(),
            recovery_code_confirmed: account.stored.code_confirmed,
            view,
        }))
    }

    /// The user has looked at the devices and the newest entry and says that nothing is missing: from now on this device sends.
    ///
    /// # Errors
    /// When there is no account, or the store cannot be written.
    pub async fn confirm_view(&self) -> Result<()> {
        self.change_stored(|stored| stored.view_confirmed = true).await
    }

    /// The user has typed the recovery code back: it is written down.
    ///
    /// # Errors
    /// [`Error::WrongRecoveryCode`], when it is another one.
    pub async fn confirm_recovery_code(&self, typed: &str) -> Result<()> {
        let session = self.session().await?;
        let set = session.account.as_ref().ok_or(Error::NoAccount)?.credential_set()?;
        let code = log_in::parse_code(typed)?;
        if code.sign_in_secret().public() != set.recovery_sign_in {
            return Err(Error::WrongRecoveryCode("it is not the code of this account".into()));
        }
        self.change_stored(|stored| stored.code_confirmed = true).await
    }

    async fn change_stored(
        &self,
        change: impl FnOnce(&mut crate::keys::StoredAccount) + Send + 'static,
    ) -> Result<()> {
        // A sync keeps in mind how the account was when it began.
        let _engine = self.alcove.core().engine.lock().await;
        self.alcove
            .core()
            .local
            .write(|tx| {
                let mut stored = tx.session.account.as_ref().ok_or(Error::NoAccount)?.stored.clone();
                change(&mut stored);
                tx.set_account(Some(&stored))
            })
            .await
    }

    /// Opens the account with the password.
    async fn open(&self, api: &Api, name: &LoginName, password: &str) -> Result<unlocked::Session> {
        self.noted(unlocked::Session::log_in(api, name, password).await).await
    }

    /// Keeps on record what a server was caught at while somebody logged in.
    async fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(Error::Incident(kind)) = &result {
            let (kind, at_ms) = (*kind, self.alcove.core().clock.now_ms());
            let detail = "what the server gave at the login does not fit together".to_owned();
            let incident = Incident { kind, at_ms, detail, count: 1, evidence: vec![] };
            self.alcove.core().local.write(move |tx| tx.add_incident(incident)).await?;
        }
        result
    }

    async fn session(&self) -> Result<std::sync::Arc<Session>> {
        self.alcove.core().local.session().await
    }

    fn api(&self, server: &str) -> Result<Api> {
        Ok(Api::new(std::sync::Arc::clone(&self.alcove.core().transport), Origin::parse(server)?))
    }
}

impl From<Standing> for DeviceStanding {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Active => Self::Active,
            Standing::SignedOut => Self::LoggedOut,
            Standing::Revoked => Self::Revoked,
            Standing::Cloned => Self::Cloned,
            Standing::Deleted => Self::Deleted,
        }
    }
}

/// A recovery code, to be shown once.
pub type RecoveryCodeText = Zeroizing<String>;

fn check_password(password: &str) -> Result<()> {
    if password.len() < *PASSWORD_LEN.start() {
        return Err(Error::BadCredentials("a password has at least 8 characters"));
    }
    if password.len() > *PASSWORD_LEN.end() {
        return Err(Error::BadCredentials("a password has at most 1024 bytes"));
    }
    Ok(())
}

fn parse_name(name: &str) -> Result<LoginName> {
    use alcove_protocol::name::LoginNameError as Bad;
    LoginName::parse(name).map_err(|error| {
        Error::BadCredentials(match error {
            Bad::Empty => "a login name cannot be empty",
            Bad::TooLong => "a login name has at most 256 bytes",
            _ => "a login name has no control characters or white space",
        })
    })
}
