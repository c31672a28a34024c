//! The partition of a recovery key: which account it may belong to. The account's credentials decide whether it does.

use alcove_crypto::ids::AccountId;

use super::columns::Columns;
use super::{Connection, Result};
use crate::store::Refusal;

statements! {
    CLAIM: 2 = "INSERT INTO recovery_keys (recovery_key, account) VALUES ($1, $2) ON CONFLICT (recovery_key) DO NOTHING";
    FIND: 1 = "SELECT account FROM recovery_keys WHERE recovery_key = $1";
    DROP: 2 = "DELETE FROM recovery_keys WHERE recovery_key = $1 AND account = $2";
}

pub(super) async fn claim(connection: &mut Connection, key: &[u8; 32], account: &AccountId) -> Result<()> {
    bind!(CLAIM, &key[..], &account.as_bytes()[..]).execute(&mut *connection).await?;
    if find(connection, key).await? == Some(*account) { Ok(()) } else { Err(Refusal::Exists.into()) }
}

pub(super) async fn find(connection: &mut Connection, key: &[u8; 32]) -> Result<Option<AccountId>> {
    let row = bind!(FIND, &key[..]).fetch_optional(connection).await?;
    row.map(|row| row.fixed(0)).transpose()
}

pub(super) async fn drop_key(connection: &mut Connection, key: &[u8; 32], account: &AccountId) -> Result<()> {
    bind!(DROP, &key[..], &account.as_bytes()[..]).execute(connection).await?;
    Ok(())
}
