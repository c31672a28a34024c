//! The partition of an enrolment: a mailbox for two devices.

use alcove_crypto::ids::{AccountId, EnrolmentId};

use super::columns::{Columns, stored};
use super::{Connection, Result};
use crate::store::{EnrolmentRow, NewEnrolment, Refusal};

statements! {
    OPEN: 4 = "INSERT INTO enrolments (enrolment, account, ephemeral_key, expires_s) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (enrolment) DO NOTHING";
    OPENED: 1 = "SELECT account, ephemeral_key FROM enrolments WHERE enrolment = $1";
    FIND: 2 = "SELECT ephemeral_key, request, states FROM enrolments WHERE enrolment = $1 AND expires_s >= $2";
    ASK: 3 = "UPDATE enrolments SET request = $2 WHERE enrolment = $1 AND expires_s >= $3 \
              AND request IS NULL AND states IS NULL";
    ANSWER: 4 = "UPDATE enrolments SET states = $3 WHERE enrolment = $1 AND account = $2 AND expires_s >= $4";
    SWEEP: 1 = "DELETE FROM enrolments WHERE expires_s < $1";
}

pub(super) async fn open(connection: &mut Connection, new: &NewEnrolment) -> Result<()> {
    let (enrolment, account) = (&new.enrolment.as_bytes()[..], &new.account.as_bytes()[..]);
    let query = bind!(OPEN, enrolment, account, &new.ephemeral_key[..], stored(new.expires_s));
    query.execute(&mut *connection).await?;
    let row = bind!(OPENED, enrolment).fetch_one(connection).await?;
    let same = row.bytes(0)? == account && row.bytes(1)? == new.ephemeral_key;
    if same { Ok(()) } else { Err(Refusal::Exists.into()) }
}

pub(super) async fn find(
    connection: &mut Connection,
    enrolment: &EnrolmentId,
    now_s: &u64,
) -> Result<Option<EnrolmentRow>> {
    let row = bind!(FIND, &enrolment.as_bytes()[..], stored(*now_s)).fetch_optional(connection).await?;
    row.map(|row| {
        Ok(EnrolmentRow {
            ephemeral_key: row.fixed(0)?,
            request: row.bytes_or_null(1)?,
            states: row.bytes_or_null(2)?,
        })
    })
    .transpose()
}

/// The first request closes the mailbox for others; the same one may come again.
pub(super) async fn ask(
    connection: &mut Connection,
    enrolment: &EnrolmentId,
    request: &[u8],
    now_s: &u64,
) -> Result<()> {
    let query = bind!(ASK, &enrolment.as_bytes()[..], request, stored(*now_s));
    if query.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(());
    }
    let row = find(connection, enrolment, now_s).await?.ok_or(Refusal::NotFound)?;
    if row.request.as_deref() == Some(request) { Ok(()) } else { Err(Refusal::Exists.into()) }
}

pub(super) async fn answer(
    connection: &mut Connection,
    enrolment: &EnrolmentId,
    account: &AccountId,
    states: &[u8],
    now_s: &u64,
) -> Result<()> {
    let query = bind!(ANSWER, &enrolment.as_bytes()[..], &account.as_bytes()[..], states, stored(*now_s));
    let answered = query.execute(connection).await?;
    if answered.rows_affected() == 0 { Err(Refusal::NotFound.into()) } else { Ok(()) }
}

pub(super) async fn sweep(connection: &mut Connection, now_s: &u64) -> Result<u64> {
    Ok(bind!(SWEEP, stored(*now_s)).execute(connection).await?.rows_affected())
}
