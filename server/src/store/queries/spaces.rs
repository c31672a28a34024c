//! The partition of a space: its row.

use alcove_crypto::ids::{Head, SpaceId};
use alcove_protocol::Wire;
use alcove_protocol::spaces::Tip;

use super::columns::{Columns, stored};
use super::{Connection, Result, Row};
use crate::store::{NewSpace, Refusal, SpaceAccess, SpaceRow};

statements! {
    INSERT: 5 = "INSERT INTO spaces (space, access, seq, head, bytes, records, commit_bytes, quota_bytes, quota_records, \
                 first_seq, first_day) VALUES ($1, $2, 0, $3, 0, 0, 0, $4, $5, 1, 0) ON CONFLICT (space) DO NOTHING";
    FIND: 1 = "SELECT space, access, seq, head, bytes, records, commit_bytes, quota_bytes, quota_records, first_seq, \
               first_day FROM spaces WHERE space = $1";
    LIST: 2 = "SELECT space, access, seq, head, bytes, records, commit_bytes, quota_bytes, quota_records, first_seq, \
               first_day FROM spaces WHERE space > $1 ORDER BY space LIMIT $2";
    SET_QUOTA: 3 = "UPDATE spaces SET quota_bytes = $2, quota_records = $3 WHERE space = $1";
}

pub(super) fn space_row(row: &Row) -> Result<SpaceRow> {
    Ok(SpaceRow {
        space: row.fixed(0)?,
        access: SpaceAccess(row.fixed(1)?),
        tip: Tip { seq: row.number(2)?, head: Wire(row.fixed(3)?) },
        bytes: row.number(4)?,
        records: row.number(5)?,
        commit_bytes: row.number(6)?,
        quota_bytes: row.number(7)?,
        quota_records: row.number(8)?,
        first_seq: row.number(9)?,
        first_day: row.number(10)?,
    })
}

pub(super) async fn create(connection: &mut Connection, new: &NewSpace) -> Result<SpaceRow> {
    let head = Head::start(&new.space);
    let query = bind!(
        INSERT,
        &new.space.as_bytes()[..],
        &new.access.0[..],
        &head.as_bytes()[..],
        stored(new.quota_bytes),
        stored(new.quota_records),
    );
    query.execute(&mut *connection).await?;
    find(connection, &new.space, &new.access).await?.ok_or_else(|| Refusal::Exists.into())
}

/// The one check of who may use a space: the same that pushing and pulling make.
pub(super) async fn find(
    connection: &mut Connection,
    space: &SpaceId,
    access: &SpaceAccess,
) -> Result<Option<SpaceRow>> {
    let row = bind!(FIND, &space.as_bytes()[..]).fetch_optional(connection).await?;
    let row = row.as_ref().map(space_row).transpose()?;
    Ok(row.filter(|row| row.opens_with(access)))
}

pub(super) async fn set_quota(
    connection: &mut Connection,
    space: &SpaceId,
    bytes: &u64,
    records: &u64,
) -> Result<()> {
    let query = bind!(SET_QUOTA, &space.as_bytes()[..], stored(*bytes), stored(*records));
    let set = query.execute(connection).await?;
    if set.rows_affected() == 0 { Err(Refusal::NotFound.into()) } else { Ok(()) }
}

pub(super) async fn list(
    connection: &mut Connection,
    after: &SpaceId,
    count_max: &usize,
) -> Result<Vec<SpaceRow>> {
    let rows = bind!(LIST, &after.as_bytes()[..], stored(*count_max as u64)).fetch_all(connection).await?;
    rows.iter().map(space_row).collect()
}
