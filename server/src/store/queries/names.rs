//! The partition of a login name: who has it, and how often it was guessed at.

use alcove_crypto::ids::AccountId;

use super::columns::{Columns, stored};
use super::{Connection, Result};
use crate::store::{LoginId, NameHash, OpenLogin, Refusal, Reservation};

/// Names that one sweep looks at.
const SWEEP_MAX: i64 = 500;

const HOUR_MS: u64 = 3_600_000;

statements! {
    FIND: 1 = "SELECT account FROM names WHERE name_hash = $1";
    RESERVE: 3 = "INSERT INTO names (name_hash, account, reserved_s) VALUES ($1, $2, $3) ON CONFLICT (name_hash) DO NOTHING";
    HOLDER: 1 = "SELECT account, reserved_s FROM names WHERE name_hash = $1";
    PASS: 4 = "UPDATE names SET account = $3, reserved_s = $4 WHERE name_hash = $1 AND account = $2";
    RELEASE: 2 = "DELETE FROM names WHERE name_hash = $1 AND account = $2";
    BEGIN: 1 = "INSERT INTO guesses (name_hash, free_ms) VALUES ($1, 0) ON CONFLICT (name_hash) DO NOTHING";
    FREE_AT: 1 = locked!("SELECT free_ms FROM guesses WHERE name_hash = $1");
    GUESS: 2 = "UPDATE guesses SET free_ms = $2 WHERE name_hash = $1";
    OPEN: 3 = "INSERT INTO logins (name_hash, login, expires_s) VALUES ($1, $2, $3)";
    TAKE: 3 = "DELETE FROM logins WHERE name_hash = $1 AND login = $2 AND expires_s >= $3";
    EXPIRE: 2 = "DELETE FROM logins WHERE name_hash = $1 AND expires_s < $2";
    FORGIVE: 1 = "DELETE FROM guesses WHERE name_hash = $1";
    GUESSED: 3 = "SELECT name_hash FROM guesses WHERE name_hash > $1 AND free_ms < $2 ORDER BY name_hash LIMIT $3";
    FORGET: 2 = "DELETE FROM guesses WHERE name_hash = $1 AND free_ms < $2";
}

pub(super) async fn find(connection: &mut Connection, name: &NameHash) -> Result<Option<AccountId>> {
    let row = bind!(FIND, &name.0[..]).fetch_optional(connection).await?;
    row.map(|row| row.fixed(0)).transpose()
}

pub(super) async fn reserve(
    connection: &mut Connection,
    name: &NameHash,
    account: &AccountId,
    now_s: &u64,
) -> Result<Reservation> {
    bind!(RESERVE, &name.0[..], &account.as_bytes()[..], stored(*now_s)).execute(&mut *connection).await?;
    let row = bind!(HOLDER, &name.0[..]).fetch_one(connection).await?;
    let by = row.fixed(0)?;
    Ok(if by == *account {
        Reservation::Yours
    } else {
        Reservation::Taken { by, reserved_s: row.number(1)? }
    })
}

pub(super) async fn pass(
    connection: &mut Connection,
    name: &NameHash,
    from: &AccountId,
    to: &AccountId,
    now_s: &u64,
) -> Result<()> {
    let query = bind!(PASS, &name.0[..], &from.as_bytes()[..], &to.as_bytes()[..], stored(*now_s));
    let passed = query.execute(connection).await?;
    if passed.rows_affected() == 0 { Err(Refusal::NameTaken.into()) } else { Ok(()) }
}

pub(super) async fn release(connection: &mut Connection, name: &NameHash, account: &AccountId) -> Result<()> {
    bind!(RELEASE, &name.0[..], &account.as_bytes()[..]).execute(connection).await?;
    Ok(())
}

/// A guess is counted when it begins: one that is never finished counts as well.
pub(super) async fn open_login(connection: &mut Connection, login: &OpenLogin) -> Result<()> {
    let name = &login.name.0[..];
    if let Some(cost_ms) = HOUR_MS.checked_div(login.guesses_per_hour.into()) {
        // There has to be a row that guesses at the same moment wait for.
        bind!(BEGIN, name).execute(&mut *connection).await?;
        let recorded: u64 = bind!(FREE_AT, name).fetch_one(&mut *connection).await?.number(0)?;
        // A clock that was ahead for a while locks nobody out for longer than the limit itself would.
        let free_ms = recorded.min(login.now_ms + HOUR_MS).max(login.now_ms) + cost_ms;
        if free_ms > login.now_ms + HOUR_MS {
            let wait_s = (free_ms - login.now_ms - HOUR_MS).div_ceil(1000);
            return Err(Refusal::Guesses { retry_after_s: u32::try_from(wait_s).unwrap_or(u32::MAX) }.into());
        }
        bind!(GUESS, name, stored(free_ms)).execute(&mut *connection).await?;
    }
    bind!(EXPIRE, name, stored(login.now_ms / 1000)).execute(&mut *connection).await?;
    bind!(OPEN, name, &login.login[..], stored(login.expires_s)).execute(connection).await?;
    Ok(())
}

pub(super) async fn take_login(
    connection: &mut Connection,
    name: &NameHash,
    login: &LoginId,
    now_s: &u64,
) -> Result<()> {
    let taken = bind!(TAKE, &name.0[..], &login[..], stored(*now_s)).execute(connection).await?;
    if taken.rows_affected() == 0 { Err(Refusal::Stale.into()) } else { Ok(()) }
}

pub(super) async fn forgive(connection: &mut Connection, name: &NameHash) -> Result<()> {
    bind!(FORGIVE, &name.0[..]).execute(connection).await?;
    Ok(())
}

pub(super) async fn guessed(
    connection: &mut Connection,
    after: &NameHash,
    now_s: &u64,
) -> Result<Vec<NameHash>> {
    let query = bind!(GUESSED, &after.0[..], stored(now_s * 1000), SWEEP_MAX);
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| row.fixed(0).map(NameHash)).collect()
}

pub(super) async fn forget(connection: &mut Connection, name: &NameHash, now_s: &u64) -> Result<()> {
    bind!(FORGET, &name.0[..], stored(now_s * 1000)).execute(&mut *connection).await?;
    bind!(EXPIRE, &name.0[..], stored(*now_s)).execute(connection).await?;
    Ok(())
}
