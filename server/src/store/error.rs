//! Why a verb did not do what was asked.

use alcove_protocol::spaces::Tip;
use thiserror::Error;

/// Why a verb failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It was asked for something that may not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database cannot answer now; it may later.
    #[error("the database cannot answer now: {0}")]
    Unavailable(String),
    /// No room is left on the disk.
    #[error("the disk is full")]
    Full,
    /// The database was made by a newer version of the server.
    #[error(
        "this database was made by a newer version of alcove-server (schema {found}, known up to {known})"
    )]
    Newer {
        /// Version of the schema that was found.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The database holds something that this program never wrote.
    #[error("the database holds something unexpected: {0}")]
    Unexpected(&'static str),
    /// Anything else that the database says.
    #[error("database: {0}")]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Unavailable("every connection is busy".into()),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => {
                Self::Unavailable(error.to_string())
            }
            // The row that all others of the partition hang on is gone: the account was swept in the meantime.
            sqlx::Error::Database(database) if database.is_foreign_key_violation() => Refusal::Deleted.into(),
            sqlx::Error::Database(database) => match database.code().as_deref().map(kind) {
                Some(Kind::Full) => Self::Full,
                Some(Kind::Unavailable) => Self::Unavailable(error.to_string()),
                _ => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }
}

enum Kind {
    Full,
    Unavailable,
    Other,
}

/// What a code means: PostgreSQL's have five characters, SQLite's are numbers of up to four digits.
fn kind(code: &str) -> Kind {
    if code.len() == 5 {
        return match (code, &code[..2]) {
            ("53100", _) => Kind::Full,
            // No connection, no resources, shutting down, no lock in time, read-only since it became a standby.
            (_, "08" | "53" | "57") | ("55P03" | "25006", _) => Kind::Unavailable,
            _ => Kind::Other,
        };
    }
    // The low byte is the class: busy, locked, read-only, I/O, full, cannot open.
    match code.parse::<u32>().unwrap_or(0) & 0xff {
        13 => Kind::Full,
        5 | 6 | 8 | 10 | 14 => Kind::Unavailable,
        _ => Kind::Other,
    }
}

/// What may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such thing, or not for this caller.
    #[error("not found")]
    NotFound,
    /// It exists already, and is not the same.
    #[error("it exists already")]
    Exists,
    /// The name belongs to somebody else.
    #[error("the name is taken")]
    NameTaken,
    /// The invitation is not good.
    #[error("the invitation is not good")]
    BadInvite,
    /// The account was deleted.
    #[error("the account was deleted")]
    Deleted,
    /// The space is not where the commit would follow.
    #[error("the head has moved")]
    HeadMoved(Tip),
    /// The account state is not the one that was to be followed.
    #[error("the account state has moved")]
    StateMoved(u64),
    /// The quota does not allow it.
    #[error("the quota is used up")]
    QuotaExceeded,
    /// The nonce or login was used or is too old.
    #[error("used before, or too old")]
    Stale,
    /// Too many guesses.
    #[error("too many guesses")]
    Guesses {
        /// Seconds until the next is free.
        retry_after_s: u32,
    },
}
