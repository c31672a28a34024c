//! What can go wrong, in terms of what an app can do about it.

use std::time::Duration;

use alcove_crypto::local::OutOfMemory;
use thiserror::Error;

use crate::incident::IncidentKind;
use crate::vault::VaultError;

/// Every error of the SDK. Nothing local is ever lost with one: what was written stays written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot be reached: try again with a network.
    #[error("offline: {0}")]
    Offline(String),
    /// The server is there, but cannot serve now, or wants to be left alone for a while.
    #[error("the server asks to come back later")]
    TryLater {
        /// When it said to come back.
        after: Option<Duration>,
    },
    /// The server refused a request in a way for which there is no better name here.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The server was caught at something that no honest server does; the incident is on record. Local data is as it was.
    #[error("the server failed a check: {0}")]
    Incident(IncidentKind),
    /// The address is no address of a server, or not one over which secrets may go.
    #[error("not a usable server address: {0}")]
    BadServerUrl(String),

    /// Wrong login name or password, or the name is unknown: they cannot be told apart.
    #[error("wrong login name or password")]
    WrongPassword,
    /// The recovery code is mistyped, or of no account on this server.
    #[error("wrong recovery code: {0}")]
    WrongRecoveryCode(String),
    /// The text is no login name, or the password is too short or too long.
    #[error("{0}")]
    BadCredentials(&'static str),
    /// The login name is taken.
    #[error("this login name is taken")]
    NameTaken,
    /// The server takes no new accounts, or only with an invitation.
    #[error("the server takes no new accounts{}", if *.invite { " without an invitation" } else { "" })]
    RegistrationClosed {
        /// Whether an invitation would help.
        invite: bool,
    },
    /// There is no account on this device yet.
    #[error("no account on this device")]
    NoAccount,
    /// There is an account on this device already: log out first.
    #[error("this device has an account already")]
    HasAccount,
    /// Local entries and another account meet: say what is to become of them.
    #[error("there are {0} local records: merge or discard them?")]
    LocalDataExists(u64),
    /// The device was revoked, or its store was cloned: log in again, with the password or a code from another device.
    #[error("this device has to sign in again: {0}")]
    SignInAgain(&'static str),
    /// The account was deleted. Local data is still here.
    #[error("the account was deleted")]
    AccountDeleted,
    /// The storage of the account on the server is full.
    #[error("the account's storage is full")]
    QuotaExceeded,
    /// A newer version of the app is needed: for the server, the account, or the store.
    #[error("a newer version is needed: {0}")]
    UpgradeRequired(&'static str),
    /// The code for a new device is wrong, used, or too old: show a new one.
    #[error("the enrolment failed: {0}")]
    EnrolmentFailed(String),

    /// Nothing is stored under this id.
    #[error("no such record")]
    NotFound,
    /// The record is larger than one may be; large things are attachments.
    #[error("a record of {0} bytes is too large")]
    TooLarge(usize),
    /// The value breaks a rule of its kind, or is of another kind than asked for.
    #[error("invalid: {0}")]
    Invalid(String),

    /// The vault has a key, but not of this store: it was restored without its key, or the key is another device's.
    #[error("the key in the vault does not fit this store")]
    WrongKey,
    /// The vault has no key although there is a store, or a key although there is none.
    #[error("{0}")]
    Missing(&'static str),
    /// The store is damaged; [`rescue`](crate::rescue) reads what can be read.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The file is no store of Alcove.
    #[error("this is no store of Alcove")]
    NotAStore,
    /// The disk is full or fails, or the folder cannot be written.
    #[error("the disk: {0}")]
    Disk(String),
    /// The vault failed, or was not opened.
    #[error("the vault: {0}")]
    Vault(#[from] VaultError),
    /// There is not enough memory for stretching a password.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),

    /// Another process is syncing this store.
    #[error("another process is syncing this store")]
    Busy,
    /// The sync was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// What calls of the SDK return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the same call may succeed later although nobody does anything about it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Offline(_) | Self::TryLater { .. } | Self::Busy | Self::OutOfMemory(_))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::NotADatabase) => Self::NotAStore,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy,
            Some(
                Code::DiskFull
                | Code::SystemIoFailure
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::PermissionDenied,
            ) => Self::Disk(error.to_string()),
            Some(Code::OutOfMemory) => Self::OutOfMemory(OutOfMemory),
            _ => Self::Corrupt(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}
