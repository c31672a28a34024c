//! The partition of an account: its devices, their sessions, and the security log.

use alcove_crypto::ids::{AccountId, DeviceId};
use alcove_protocol::account::SecurityEventKind;

use super::columns::{Columns, stored};
use super::{Connection, Result};
use crate::store::{DeviceRow, Event, ListedDevice, Refusal, StoreError};

/// Hours for which the security log is kept, and lines that are read at most.
const LOG_HOURS: u32 = 90 * 24;
const LOG_LINES_MAX: i64 = 1_000;

statements! {
    FIND: 2 = "SELECT d.signing_key, d.blocked, d.sessions, a.sessions FROM devices d \
               JOIN accounts a ON a.account = d.account WHERE d.account = $1 AND d.device = $2";
    LIST: 4 = "INSERT INTO devices (account, device, signing_key, blocked, sessions, seen_day) VALUES ($1, $2, $3, $4, 0, 0) \
               ON CONFLICT (account, device) DO UPDATE SET blocked = \
               CASE WHEN devices.blocked = 1 THEN 1 ELSE excluded.blocked END";
    BLOCK: 2 = "UPDATE devices SET blocked = 1 WHERE account = $1 AND device = $2";
    SPEND: 3 = "INSERT INTO challenges (account, nonce, expires_s) VALUES ($1, $2, $3) ON CONFLICT (account, nonce) DO NOTHING";
    EXPIRE: 2 = "DELETE FROM challenges WHERE account = $1 AND expires_s < $2";
    SEEN: 3 = "UPDATE devices SET seen_day = $3 WHERE account = $1 AND device = $2 AND seen_day < $3";
    SIGN_OUT: 2 = "UPDATE devices SET sessions = sessions + 1 WHERE account = $1 AND device = $2";
    SIGN_OUT_ALL: 1 = "UPDATE accounts SET sessions = sessions + 1 WHERE account = $1";
    LOG: 4 = "INSERT INTO events (account, hour, what, device) VALUES ($1, $2, $3, $4) \
              ON CONFLICT (account, hour, what, device) DO NOTHING";
    FORGET: 2 = "DELETE FROM events WHERE account = $1 AND hour < $2";
    EVENTS: 2 = "SELECT hour, what, device FROM events WHERE account = $1 ORDER BY hour DESC, what, device LIMIT $2";
}

pub(super) async fn find(
    connection: &mut Connection,
    account: &AccountId,
    device: &DeviceId,
) -> Result<Option<DeviceRow>> {
    let query = bind!(FIND, &account.as_bytes()[..], &device.as_bytes()[..]);
    let row = query.fetch_optional(connection).await?;
    row.map(|row| {
        Ok(DeviceRow {
            signing_key: row.fixed(0)?,
            blocked: row.number::<u8>(1)? == 1,
            sessions: row.number(2)?,
            account_sessions: row.number(3)?,
        })
    })
    .transpose()
}

/// A device that was blocked stays so, whatever a state says that was signed before its signer knew.
pub(super) async fn list(
    connection: &mut Connection,
    account: &AccountId,
    devices: &[ListedDevice],
) -> Result<()> {
    for listed in devices {
        let (device, key) = (&listed.device.as_bytes()[..], &listed.signing_key.as_bytes()[..]);
        let query = bind!(LIST, &account.as_bytes()[..], device, key, i64::from(listed.revoked));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn use_challenge(
    connection: &mut Connection,
    account: &AccountId,
    nonce: &[u8; 32],
    now_s: &u64,
    expires_s: &u64,
) -> Result<()> {
    let id = &account.as_bytes()[..];
    let spent = bind!(SPEND, id, &nonce[..], stored(*expires_s)).execute(&mut *connection).await?;
    if spent.rows_affected() == 0 {
        return Err(Refusal::Stale.into());
    }
    bind!(EXPIRE, id, stored(*now_s)).execute(connection).await?;
    Ok(())
}

pub(super) async fn note_sign_in(
    connection: &mut Connection,
    account: &AccountId,
    device: &DeviceId,
    hour: &u32,
) -> Result<()> {
    let day = i64::from(hour / 24);
    let query = bind!(SEEN, &account.as_bytes()[..], &device.as_bytes()[..], day);
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(());
    }
    let what = SecurityEventKind::DeviceSignIn;
    log_event(connection, &Event { account: *account, hour: *hour, what, device: Some(*device) }).await
}

pub(super) async fn block(
    connection: &mut Connection,
    account: &AccountId,
    device: &DeviceId,
    hour: &u32,
) -> Result<()> {
    let query = bind!(BLOCK, &account.as_bytes()[..], &device.as_bytes()[..]);
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Err(Refusal::NotFound.into());
    }
    let what = SecurityEventKind::DeviceBlocked;
    log_event(connection, &Event { account: *account, hour: *hour, what, device: Some(*device) }).await
}

pub(super) async fn sign_out(
    connection: &mut Connection,
    account: &AccountId,
    device: &Option<DeviceId>,
) -> Result<()> {
    let id = &account.as_bytes()[..];
    match device {
        Some(device) => bind!(SIGN_OUT, id, &device.as_bytes()[..]).execute(connection).await?,
        None => bind!(SIGN_OUT_ALL, id).execute(connection).await?,
    };
    Ok(())
}

pub(super) async fn log_event(connection: &mut Connection, event: &Event) -> Result<()> {
    let id = &event.account.as_bytes()[..];
    let device = event.device.as_ref().map_or(&[][..], |device| &device.as_bytes()[..]);
    let oldest = event.hour.saturating_sub(LOG_HOURS);
    bind!(FORGET, id, i64::from(oldest)).execute(&mut *connection).await?;
    bind!(LOG, id, i64::from(event.hour), event_name(event.what)?, device).execute(connection).await?;
    Ok(())
}

pub(super) async fn events(connection: &mut Connection, account: &AccountId) -> Result<Vec<Event>> {
    let rows = bind!(EVENTS, &account.as_bytes()[..], LOG_LINES_MAX).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let device: [u8; 16] = match row.bytes(2)? {
                bytes if bytes.is_empty() => return Ok((row.number(0)?, row.text(1)?, None)),
                bytes => {
                    bytes.try_into().map_err(|_| StoreError::Unexpected("a device id of another length"))?
                }
            };
            Ok((row.number(0)?, row.text(1)?, Some(DeviceId::new(device))))
        })
        .map(|line: Result<_>| {
            let (hour, what, device) = line?;
            Ok(Event { account: *account, hour, what: event_kind(what)?, device })
        })
        .collect()
}

/// The name that the protocol gives an event is the one that is stored.
fn event_name(what: SecurityEventKind) -> Result<String> {
    match serde_json::to_value(what) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(StoreError::Unexpected("an event without a name")),
    }
}

fn event_kind(name: String) -> Result<SecurityEventKind> {
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|_| StoreError::Unexpected("an event of another version"))
}
