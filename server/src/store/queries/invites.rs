//! The partition of an invitation.

use alcove_crypto::ids::AccountId;

use super::columns::Columns;
use super::{Connection, Result};
use crate::store::{InviteHash, Refusal};

statements! {
    MAKE: 3 = "INSERT INTO invites (invite, uses_max, expires_day) VALUES ($1, $2, $3)";
    LOCK: 1 = locked!("SELECT uses_max FROM invites WHERE invite = $1");
    FIND: 2 = "SELECT uses_max FROM invites WHERE invite = $1 AND expires_day >= $2";
    USES: 1 = "SELECT COUNT(*) FROM invite_uses WHERE invite = $1";
    USED_BY: 2 = "SELECT COUNT(*) FROM invite_uses WHERE invite = $1 AND account = $2";
    USE: 2 = "INSERT INTO invite_uses (invite, account) VALUES ($1, $2)";
    EXPIRED: 1 = "SELECT invite FROM invites WHERE expires_day < $1 LIMIT 100";
    DROP_USES: 1 = "DELETE FROM invite_uses WHERE invite = $1";
    DROP: 1 = "DELETE FROM invites WHERE invite = $1";
}

pub(super) async fn make(
    connection: &mut Connection,
    invite: &InviteHash,
    uses_max: &u32,
    expires_day: &u32,
) -> Result<()> {
    let query = bind!(MAKE, &invite[..], i64::from(*uses_max), i64::from(*expires_day));
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn check(connection: &mut Connection, invite: &InviteHash, today: &u32) -> Result<()> {
    let found = bind!(FIND, &invite[..], i64::from(*today)).fetch_optional(&mut *connection).await?;
    let uses_max: u64 = found.ok_or(Refusal::BadInvite)?.number(0)?;
    let uses: u64 = bind!(USES, &invite[..]).fetch_one(connection).await?.number(0)?;
    if uses < uses_max { Ok(()) } else { Err(Refusal::BadInvite.into()) }
}

pub(super) async fn use_one(
    connection: &mut Connection,
    invite: &InviteHash,
    account: &AccountId,
    today: &u32,
) -> Result<()> {
    bind!(LOCK, &invite[..]).fetch_optional(&mut *connection).await?;
    let used = bind!(USED_BY, &invite[..], &account.as_bytes()[..]).fetch_one(&mut *connection).await?;
    if used.number::<u64>(0)? > 0 {
        return Ok(());
    }
    check(connection, invite, today).await?;
    bind!(USE, &invite[..], &account.as_bytes()[..]).execute(connection).await?;
    Ok(())
}

pub(super) async fn expired(connection: &mut Connection, today: &u32) -> Result<Vec<InviteHash>> {
    let rows = bind!(EXPIRED, i64::from(*today)).fetch_all(connection).await?;
    rows.iter().map(|row| row.fixed(0)).collect()
}

pub(super) async fn drop_one(connection: &mut Connection, invite: &InviteHash) -> Result<()> {
    bind!(DROP_USES, &invite[..]).execute(&mut *connection).await?;
    bind!(DROP, &invite[..]).execute(connection).await?;
    Ok(())
}
