//! What the server remembers, on SQLite or PostgreSQL.
//!
//! [`Store`] has one verb for each thing that can happen; each is one whole transaction inside one partition: an account, a
//! space, a name, a recovery key, an invitation or an enrolment. Whoever needs two takes several steps, each of which can be
//! repeated. The store checks nothing cryptographic: that is done before it is called.
//!
//! The queries stand once, in `queries/`, and are compiled for each database; `sqlite.rs` and `postgres.rs` hold what
//! differs: how a database is opened, how a transaction runs, what an error means.

use std::sync::Arc;

use alcove_crypto::ids::{AccountId, DeviceId, EnrolmentId, SpaceId};

pub use crate::store::error::{Refusal, StoreError};
pub use crate::store::types::*;

mod error;
pub(crate) mod files;
mod types;
#[macro_use]
mod sql;
#[macro_use]
mod verbs;
mod postgres;
mod sqlite;

/// The answer of a verb, later.
pub type Answer<'a, T> = futures_util::future::BoxFuture<'a, Result<T, StoreError>>;

macro_rules! define_store {
    ($($(#[$doc:meta])* $kind:ident $verb:ident($($arg:ident: $type:ty),*) -> $out:ty = $($path:ident)::+;)*) => {
        /// The server's memory. See the [module](self).
        pub trait Store: Send + Sync {
            /// Takes a commit, by compare-and-swap on the head; one that stands there already is acknowledged again.
            fn push(&self, push: Arc<Push>) -> Answer<'_, ()>;

            $($(#[$doc])* fn $verb(&self, $($arg: $type),*) -> Answer<'_, $out>;)*

            /// The text of every statement, for tests of how they run.
            fn statements(&self) -> Vec<&'static str>;

            /// Whether no other node can use the database.
            fn is_alone(&self) -> bool;

            /// Lets go of the database, after what was accepted is done.
            fn close(&self) -> futures_util::future::BoxFuture<'_, ()>;

            /// Gives freed space back to the disk, where the database does not by itself.
            fn tidy(&self) -> Answer<'_, ()>;

            /// Prepares every statement and counts its parameters, as a test of their spelling.
            fn check_statements(&self) -> Answer<'_, usize>;
        }
    };
}
verbs!(define_store);

/// Opens a database, brings its schema up to date, and makes it if it is not there.
///
/// # Errors
/// When it cannot be opened, or belongs to a newer version of the server.
pub async fn open(url: &crate::config::DatabaseUrl, options: &Options) -> Result<Arc<dyn Store>, StoreError> {
    use crate::config::DatabaseUrl;
    Ok(match url {
        DatabaseUrl::Sqlite(path) => Arc::new(sqlite::Database::open(path, options).await?),
        DatabaseUrl::Postgres(url) => Arc::new(postgres::Database::open(url, options).await?),
    })
}
