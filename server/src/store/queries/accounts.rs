//! The partition of an account: its row, states, credentials, grants, spaces, and its end.

use std::sync::Arc;

use alcove_crypto::ids::{AccountId, DeviceId, SpaceId};
use alcove_protocol::account::SecurityEventKind;

use super::columns::{Columns, stored};
use super::{Connection, Result, Row, devices};
use crate::store::{
    AccountRow, Event, NameHash, NewAccount, Publication, Refusal, StoredCredentials, StoredGrant,
};

/// Rows of one table that one step of a burial removes at most.
const BURY_MAX: i64 = 1_000;

statements! {
    FIND: 1 = "SELECT account, name_hash, version, sessions, created_day, quota_bytes, quota_records \
               FROM accounts WHERE account = $1";
    LOCK: 1 = locked!("SELECT version FROM accounts WHERE account = $1");
    INSERT: 7 = "INSERT INTO accounts (account, name_hash, version, sessions, created_day, quota_bytes, quota_records) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account) DO NOTHING";
    TOMBSTONE: 1 = "SELECT swept FROM tombstones WHERE account = $1";
    ADD_STATE: 3 = "INSERT INTO account_states (account, version, signed) VALUES ($1, $2, $3)";
    STATE: 2 = "SELECT signed FROM account_states WHERE account = $1 AND version = $2";
    STATES: 3 = "SELECT signed FROM account_states WHERE account = $1 AND version > $2 ORDER BY version LIMIT $3";
    NEWEST: 1 = "SELECT signed FROM account_states WHERE account = $1 ORDER BY version DESC LIMIT 1";
    CREDENTIALS: 1 = "SELECT version, credential_set FROM credentials WHERE account = $1 ORDER BY version";
    ADD_CREDENTIALS: 3 = "INSERT INTO credentials (account, version, credential_set) VALUES ($1, $2, $3)";
    KEEP_CREDENTIALS: 2 = "DELETE FROM credentials WHERE account = $1 AND version <> $2";
    MOVE: 2 = "UPDATE accounts SET version = $2 WHERE account = $1";
    ADD_GRANT: 4 = "INSERT INTO grants (account, device, epoch, sealed) VALUES ($1, $2, $3, $4) \
                    ON CONFLICT (account, device, epoch) DO UPDATE SET sealed = excluded.sealed";
    GRANTS: 2 = "SELECT device, epoch, sealed FROM grants WHERE account = $1 AND device = $2 ORDER BY epoch";
    ALL_GRANTS: 1 = "SELECT device, epoch, sealed FROM grants WHERE account = $1 ORDER BY device, epoch";
    DROP_GRANTS: 1 = "DELETE FROM grants WHERE account = $1 AND device IN \
                      (SELECT device FROM devices WHERE account = $1 AND blocked = 1)";
    SPACES: 1 = "SELECT space FROM account_spaces WHERE account = $1 ORDER BY space";
    ADD_SPACE: 2 = "INSERT INTO account_spaces (account, space) VALUES ($1, $2) ON CONFLICT (account, space) DO NOTHING";
    LIST: 2 = "SELECT account, name_hash, version, sessions, created_day, quota_bytes, quota_records \
               FROM accounts WHERE account > $1 ORDER BY account LIMIT $2";
    SET_QUOTA: 3 = "UPDATE accounts SET quota_bytes = $2, quota_records = $3 WHERE account = $1";
    DIE: 2 = "INSERT INTO tombstones (account, day, swept) VALUES ($1, $2, 0) ON CONFLICT (account) DO NOTHING";
    DEAD: 0 = "SELECT account FROM tombstones WHERE swept = 0 LIMIT 100";
    SWEPT: 1 = "UPDATE tombstones SET swept = 1 WHERE account = $1";
    NO_DEVICES: 1 = "DELETE FROM devices WHERE account = $1";
    NO_CREDENTIALS: 1 = "DELETE FROM credentials WHERE account = $1";
    NO_GRANTS: 1 = "DELETE FROM grants WHERE account = $1";
    NO_EVENTS: 1 = "DELETE FROM events WHERE account = $1";
    NO_CHALLENGES: 1 = "DELETE FROM challenges WHERE account = $1";
    NO_SPACES: 1 = "DELETE FROM account_spaces WHERE account = $1";
    NO_STATES: 2 = "DELETE FROM account_states WHERE account = $1 AND version IN \
                    (SELECT version FROM account_states WHERE account = $1 LIMIT $2)";
    NO_ACCOUNT: 1 = "DELETE FROM accounts WHERE account = $1";
}

fn account_row(row: &Row) -> Result<AccountRow> {
    Ok(AccountRow {
        account: row.fixed(0)?,
        name: NameHash(row.fixed(1)?),
        version: row.number(2)?,
        sessions: row.number(3)?,
        created_day: row.number(4)?,
        quota_bytes: row.number(5)?,
        quota_records: row.number(6)?,
    })
}

fn grant_row(row: &Row) -> Result<StoredGrant> {
    Ok(StoredGrant { device: row.fixed(0)?, epoch: row.number(1)?, sealed: row.bytes(2)? })
}

pub(super) async fn find(connection: &mut Connection, account: &AccountId) -> Result<Option<AccountRow>> {
    let row = bind!(FIND, &account.as_bytes()[..]).fetch_optional(connection).await?;
    row.as_ref().map(account_row).transpose()
}

pub(super) async fn tombstone(connection: &mut Connection, account: &AccountId) -> Result<Option<bool>> {
    let row = bind!(TOMBSTONE, &account.as_bytes()[..]).fetch_optional(connection).await?;
    row.map(|row| Ok(row.number::<u8>(0)? == 1)).transpose()
}

pub(super) async fn create(connection: &mut Connection, new: &Arc<NewAccount>) -> Result<()> {
    let AccountRow { account, name, version, sessions, created_day, quota_bytes, quota_records } = &new.row;
    if tombstone(connection, account).await?.is_some() {
        return Err(Refusal::Deleted.into());
    }
    let id = &account.as_bytes()[..];
    let query = bind!(
        INSERT,
        id,
        &name.0[..],
        stored(*version),
        stored(*sessions),
        i64::from(*created_day),
        stored(*quota_bytes),
        stored(*quota_records),
    );
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        // It may have moved on since; what matters is that it began like this, under this name.
        let known = bind!(STATE, id, stored(*version)).fetch_optional(&mut *connection).await?;
        let known = known.map(|row| row.bytes(0)).transpose()?;
        let same_name = find(connection, account).await?.is_some_and(|row| row.name == *name);
        let same = same_name && known.as_ref() == new.states.last();
        return if same { Ok(()) } else { Err(Refusal::Exists.into()) };
    }
    add_states(connection, account, version + 1 - new.states.len() as u64, &new.states).await?;
    let StoredCredentials { version, set } = &new.credentials;
    bind!(ADD_CREDENTIALS, id, stored(*version), &set[..]).execute(&mut *connection).await?;
    devices::list(connection, account, &new.devices).await?;
    if let Some(event) = &new.event {
        devices::log_event(connection, event).await?;
    }
    Ok(())
}

async fn add_states(
    connection: &mut Connection,
    account: &AccountId,
    first: u64,
    states: &[Vec<u8>],
) -> Result<()> {
    for (version, signed) in (first..).zip(states) {
        let query = bind!(ADD_STATE, &account.as_bytes()[..], stored(version), &signed[..]);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn states(
    connection: &mut Connection,
    account: &AccountId,
    after: &u64,
    count_max: &usize,
) -> Result<Vec<Vec<u8>>> {
    let query = bind!(STATES, &account.as_bytes()[..], stored(*after), stored(*count_max as u64));
    query.fetch_all(connection).await?.iter().map(|row| row.bytes(0)).collect()
}

pub(super) async fn newest_state(
    connection: &mut Connection,
    account: &AccountId,
) -> Result<Option<Vec<u8>>> {
    let row = bind!(NEWEST, &account.as_bytes()[..]).fetch_optional(connection).await?;
    row.map(|row| row.bytes(0)).transpose()
}

pub(super) async fn credentials(
    connection: &mut Connection,
    account: &AccountId,
) -> Result<Vec<StoredCredentials>> {
    let rows = bind!(CREDENTIALS, &account.as_bytes()[..]).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(StoredCredentials { version: row.number(0)?, set: row.bytes(1)? })).collect()
}

/// Gives whether credentials wait for their confirmation.
pub(super) async fn publish(connection: &mut Connection, new: &Arc<Publication>) -> Result<bool> {
    let id = &new.account.as_bytes()[..];
    let row = bind!(LOCK, id).fetch_optional(&mut *connection).await?.ok_or(Refusal::NotFound)?;
    let version: u64 = row.number(0)?;
    if version != new.after {
        return Err(Refusal::StateMoved(version).into());
    }
    if tombstone(connection, &new.account).await?.is_some() {
        return Err(Refusal::Deleted.into());
    }
    add_states(connection, &new.account, new.after + 1, &new.states).await?;
    let version = new.after + new.states.len() as u64;
    bind!(MOVE, id, stored(version)).execute(&mut *connection).await?;
    if let Some((set, beside)) = &new.credentials {
        bind!(KEEP_CREDENTIALS, id, stored(*beside)).execute(&mut *connection).await?;
        bind!(ADD_CREDENTIALS, id, stored(version), &set[..]).execute(&mut *connection).await?;
    }
    devices::list(connection, &new.account, &new.devices).await?;
    for grant in &new.grants {
        let device = &grant.device.as_bytes()[..];
        let query = bind!(ADD_GRANT, id, device, stored(grant.epoch), &grant.sealed[..]);
        query.execute(&mut *connection).await?;
    }
    bind!(DROP_GRANTS, id).execute(&mut *connection).await?;
    devices::log_event(connection, &new.event).await?;
    Ok(credentials(connection, &new.account).await?.len() > 1)
}

pub(super) async fn confirm(
    connection: &mut Connection,
    account: &AccountId,
    version: &u64,
    hour: &u32,
) -> Result<Vec<StoredCredentials>> {
    let id = &account.as_bytes()[..];
    bind!(LOCK, id).fetch_optional(&mut *connection).await?.ok_or(Refusal::NotFound)?;
    let all = credentials(connection, account).await?;
    // Those that stay must be the newest: confirming the old ones would undo a change that is signed.
    if all.last().is_none_or(|newest| newest.version != *version) {
        return Err(Refusal::Stale.into());
    }
    let gone: Vec<_> = all.into_iter().filter(|one| one.version != *version).collect();
    if !gone.is_empty() {
        bind!(KEEP_CREDENTIALS, id, stored(*version)).execute(&mut *connection).await?;
        let what = SecurityEventKind::CredentialsChanged;
        devices::log_event(connection, &Event { account: *account, hour: *hour, what, device: None }).await?;
    }
    Ok(gone)
}

pub(super) async fn grants(
    connection: &mut Connection,
    account: &AccountId,
    device: &DeviceId,
) -> Result<Vec<StoredGrant>> {
    let query = bind!(GRANTS, &account.as_bytes()[..], &device.as_bytes()[..]);
    query.fetch_all(connection).await?.iter().map(grant_row).collect()
}

pub(super) async fn all_grants(connection: &mut Connection, account: &AccountId) -> Result<Vec<StoredGrant>> {
    let rows = bind!(ALL_GRANTS, &account.as_bytes()[..]).fetch_all(connection).await?;
    rows.iter().map(grant_row).collect()
}

pub(super) async fn spaces(connection: &mut Connection, account: &AccountId) -> Result<Vec<SpaceId>> {
    let rows = bind!(SPACES, &account.as_bytes()[..]).fetch_all(connection).await?;
    rows.iter().map(|row| row.fixed(0)).collect()
}

pub(super) async fn add_space(
    connection: &mut Connection,
    account: &AccountId,
    space: &SpaceId,
) -> Result<()> {
    if tombstone(connection, account).await?.is_some() {
        return Err(Refusal::Deleted.into());
    }
    let query = bind!(ADD_SPACE, &account.as_bytes()[..], &space.as_bytes()[..]);
    query.execute(connection).await?;
    Ok(())
}

pub(super) async fn list(
    connection: &mut Connection,
    after: &AccountId,
    count_max: &usize,
) -> Result<Vec<AccountRow>> {
    let rows = bind!(LIST, &after.as_bytes()[..], stored(*count_max as u64)).fetch_all(connection).await?;
    rows.iter().map(account_row).collect()
}

pub(super) async fn set_quota(
    connection: &mut Connection,
    account: &AccountId,
    bytes: &u64,
    records: &u64,
) -> Result<()> {
    let query = bind!(SET_QUOTA, &account.as_bytes()[..], stored(*bytes), stored(*records));
    let set = query.execute(connection).await?;
    if set.rows_affected() == 0 { Err(Refusal::NotFound.into()) } else { Ok(()) }
}

/// Without devices and credentials nobody gets in, on any node. The rest is swept after.
pub(super) async fn delete(connection: &mut Connection, account: &AccountId, day: &u32) -> Result<()> {
    let id = &account.as_bytes()[..];
    bind!(LOCK, id).fetch_optional(&mut *connection).await?.ok_or(Refusal::NotFound)?;
    bind!(DIE, id, i64::from(*day)).execute(&mut *connection).await?;
    bind!(NO_DEVICES, id).execute(connection).await?;
    Ok(())
}

pub(super) async fn bury(connection: &mut Connection, account: &AccountId) -> Result<()> {
    let id = &account.as_bytes()[..];
    if tombstone(connection, account).await? != Some(false) {
        return Ok(());
    }
    for everything in [
        bind!(NO_DEVICES, id),
        bind!(NO_CREDENTIALS, id),
        bind!(NO_GRANTS, id),
        bind!(NO_EVENTS, id),
        bind!(NO_CHALLENGES, id),
        bind!(NO_SPACES, id),
    ] {
        everything.execute(&mut *connection).await?;
    }
    if bind!(NO_STATES, id, BURY_MAX).execute(&mut *connection).await?.rows_affected()
        < BURY_MAX.unsigned_abs()
    {
        bind!(NO_ACCOUNT, id).execute(&mut *connection).await?;
        bind!(SWEPT, id).execute(connection).await?;
    }
    Ok(())
}

pub(super) async fn dead(connection: &mut Connection) -> Result<Vec<AccountId>> {
    bind!(DEAD).fetch_all(connection).await?.iter().map(|row| row.fixed(0)).collect()
}
