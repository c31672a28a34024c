//! The queries, written once and compiled for each database: this folder is mounted under `sqlite` and under `postgres`,
//! which supply `Connection`, `Db`, `Row` and `locked!`.
//!
//! Statements keep to what both understand: `$n`, `ON CONFLICT … excluded`, `RETURNING`, big integers, bytes, text. A
//! function that writes decides before it writes: a refusal leaves nothing behind.

#![expect(clippy::ref_option, reason = "every verb passes its arguments alike")]

mod accounts;
mod columns;
mod devices;
mod enrolments;
mod invites;
pub(super) mod migrate;
mod names;
mod prune;
mod pull;
pub(super) mod push;
mod recovery;
mod server;
mod spaces;

use std::sync::Arc;

use super::{ALONE, Arguments, Connection, Database, Db, INSERT, Row, bytes_place, place};
use crate::store::{
    AccountRow, Answer, DeviceRow, EnrolmentRow, Event, InviteHash, LoginId, NameHash, NewAccount,
    NewEnrolment, NewSpace, OpenLogin, Page, Publication, PullFrom, Push, Reservation, SpaceAccess, SpaceRow,
    Store, StoredCredentials, StoredGrant, Totals,
};
use alcove_crypto::ids::{AccountId, DeviceId, EnrolmentId, SpaceId};

type Result<T, E = crate::store::StoreError> = std::result::Result<T, E>;

/// Every statement of fixed text, and every statement of many rows.
fn statements() -> Vec<&'static str> {
    let fixed = [
        accounts::STATEMENTS,
        devices::STATEMENTS,
        enrolments::STATEMENTS,
        invites::STATEMENTS,
        migrate::STATEMENTS,
        names::STATEMENTS,
        prune::STATEMENTS,
        pull::STATEMENTS,
        push::STATEMENTS,
        recovery::STATEMENTS,
        server::STATEMENTS,
        spaces::STATEMENTS,
    ];
    fixed.into_iter().flatten().copied().chain(push::batch_statements()).collect()
}

macro_rules! implement_store {
    ($($(#[$doc:meta])* $kind:ident $verb:ident($($arg:ident: $type:ty),*) -> $out:ty = $($path:ident)::+;)*) => {
        impl Store for Database {
            fn push(&self, push: Arc<Push>) -> Answer<'_, ()> {
                Box::pin(self.push_one(push))
            }

            $(fn $verb(&self, $($arg: $type),*) -> Answer<'_, $out> {
                Box::pin(self.$kind(move |connection: &mut Connection| {
                    $(let $arg = $arg.clone();)*
                    Box::pin(async move { $($path)::+(connection, $(&$arg),*).await })
                }))
            })*

            fn statements(&self) -> Vec<&'static str> {
                statements()
            }

            fn is_alone(&self) -> bool {
                ALONE
            }

            fn close(&self) -> futures_util::future::BoxFuture<'_, ()> {
                Box::pin(self.shut())
            }

            fn tidy(&self) -> Answer<'_, ()> {
                Box::pin(self.give_back())
            }

            fn check_statements(&self) -> Answer<'_, usize> {
                Box::pin(self.look(|connection: &mut Connection| Box::pin(prepare_all(connection))))
            }
        }
    };
}
verbs!(implement_store);

/// Prepares every statement, and compares the number of its parameters with the text.
async fn prepare_all(connection: &mut Connection) -> Result<usize> {
    use sqlx::{Either, Executor, SqlSafeStr, Statement};
    let all = statements();
    for text in &all {
        let prepared = connection.prepare(text.into_sql_str()).await?;
        let expected = crate::store::sql::parameters(text);
        let found = match prepared.parameters() {
            None => expected,
            Some(Either::Left(types)) => types.len(),
            Some(Either::Right(count)) => count,
        };
        if found != expected {
            return Err(crate::store::StoreError::Unexpected(
                "a statement with another number of parameters",
            ));
        }
    }
    Ok(all.len())
}
