//! Why a command failed, in words that say what to do.

use std::fmt;

use alcove_sdk::{Error, IncidentKind};

/// A failure.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Of the SDK.
    Sdk(Error),
    /// Of this program: a sentence.
    Say(String),
}

/// What commands return.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn say(sentence: impl Into<String>) -> Self {
        Self::Say(sentence.into())
    }

    /// What to do about it, where there is something.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        let Self::Sdk(error) = self else { return None };
        Some(match error {
            Error::Offline(_) => "Your journal works without a network; `alcove sync` again later.",
            Error::NoAccount => "Found one with `alcove sign-up`, or log in with `alcove log-in`.",
            Error::HasAccount => "`alcove log-out` first.",
            Error::LocalDataExists(_) => {
                "Say `--merge` to add them to the account, or `--discard` to delete them."
            }
            Error::SignInAgain(_) => "`alcove log-in` again; what is on this device stays.",
            Error::WrongKey | Error::Missing(_) => {
                "Nothing was changed. Look for the passphrase or key file that belongs to this journal."
            }
            Error::Corrupt(_) => "Nothing was changed. `alcove doctor --rescue FILE` reads what can be read.",
            Error::Incident(IncidentKind::Fork) => {
                "The server showed this device another history. Nothing was lost or merged. `alcove doctor` shows \
                 both; `alcove sync --merge-fork` joins them, keeping both."
            }
            Error::Incident(IncidentKind::Cloned) => {
                "This journal was copied, and both copies wrote. `alcove log-in` gives this one keys of its own."
            }
            Error::Incident(_) => "Nothing was changed or lost. `alcove doctor` shows what was noticed.",
            Error::Busy => "Another `alcove` is syncing this journal; try again when it is done.",
            Error::QuotaExceeded => "Delete something large, or ask whoever runs the server.",
            _ => return None,
        })
    }

    /// Stable, for programs.
    pub(crate) fn code(&self) -> &'static str {
        let Self::Sdk(error) = self else { return "usage" };
        match error {
            Error::Offline(_) => "offline",
            Error::TryLater { .. } => "try_later",
            Error::Incident(_) => "incident",
            Error::WrongPassword => "wrong_password",
            Error::WrongRecoveryCode(_) => "wrong_recovery_code",
            Error::NoAccount => "no_account",
            Error::HasAccount => "has_account",
            Error::LocalDataExists(_) => "local_data_exists",
            Error::SignInAgain(_) => "sign_in_again",
            Error::AccountDeleted => "account_deleted",
            Error::NameTaken => "name_taken",
            Error::NotFound => "not_found",
            Error::WrongKey => "wrong_key",
            Error::Missing(_) => "missing",
            Error::Corrupt(_) | Error::NotAStore => "corrupt",
            Error::Busy => "busy",
            _ => "failed",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sdk(error) => error.fmt(f),
            Self::Say(sentence) => f.write_str(sentence),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Sdk(error.into())
    }
}

impl From<alcove_sdk::vault::VaultError> for Failure {
    fn from(error: alcove_sdk::vault::VaultError) -> Self {
        Self::Sdk(error.into())
    }
}
