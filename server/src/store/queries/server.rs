//! The database as a whole.

use super::columns::Columns;
use super::{Connection, Result};
use crate::store::Totals;

statements! {
    BIND_SECRETS: 1 = "INSERT INTO server (key, value) VALUES ('secrets', $1) ON CONFLICT (key) DO NOTHING";
    SECRETS: 0 = "SELECT value FROM server WHERE key = 'secrets'";
    PING: 0 = "SELECT 1";
    ACCOUNTS: 0 = "SELECT COUNT(*) FROM accounts";
    DYING: 0 = "SELECT COUNT(*) FROM tombstones WHERE swept = 0";
    SPACES: 0 = "SELECT COUNT(*), CAST(COALESCE(SUM(seq), 0) AS BIGINT), CAST(COALESCE(SUM(records), 0) AS BIGINT), \
                 CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM spaces";
}

pub(super) async fn bind_secrets(connection: &mut Connection, fingerprint: &[u8]) -> Result<Vec<u8>> {
    bind!(BIND_SECRETS, fingerprint).execute(&mut *connection).await?;
    bind!(SECRETS).fetch_one(connection).await?.bytes(0)
}

pub(super) async fn bound_secrets(connection: &mut Connection) -> Result<Option<Vec<u8>>> {
    bind!(SECRETS).fetch_optional(connection).await?.map(|row| row.bytes(0)).transpose()
}

pub(super) async fn ping(connection: &mut Connection) -> Result<()> {
    bind!(PING).fetch_one(connection).await?;
    Ok(())
}

pub(super) async fn totals(connection: &mut Connection) -> Result<Totals> {
    let spaces = bind!(SPACES).fetch_one(&mut *connection).await?;
    let dying: u64 = bind!(DYING).fetch_one(&mut *connection).await?.number(0)?;
    let accounts: u64 = bind!(ACCOUNTS).fetch_one(connection).await?.number(0)?;
    Ok(Totals {
        // A dead account keeps its row until it is swept.
        accounts: accounts.saturating_sub(dying),
        dying,
        spaces: spaces.number(0)?,
        commits: spaces.number(1)?,
        records: spaces.number(2)?,
        bytes: spaces.number(3)?,
    })
}
