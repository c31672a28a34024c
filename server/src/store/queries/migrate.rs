//! Bringing the schema up to date.
//!
//! Each migration and the note that it ran are one transaction. Two servers that start at once may both try: the note's
//! primary key lets one through, and the other finds it done.

use sqlx::Connection as _;

use super::columns::Columns;
use super::{Connection, Result};
use crate::store::StoreError;

/// A step of the schema: its number and its text.
pub(in crate::store) type Migration = (i64, &'static str);

statements! {
    NEWEST: 0 = "SELECT COALESCE(MAX(version), 0) FROM migrations";
    NOTE: 1 = "INSERT INTO migrations (version) VALUES ($1) ON CONFLICT (version) DO NOTHING";
}

/// Runs what has not run; refuses a database that a newer program has changed.
pub(in crate::store) async fn migrate(connection: &mut Connection, all: &'static [Migration]) -> Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY)";
    // Two servers that create it at the same moment: one may be told that it exists after all.
    if sqlx::raw_sql(table).execute(&mut *connection).await.is_err() {
        sqlx::raw_sql(table).execute(&mut *connection).await?;
    }
    let found = newest(connection).await?;
    let known = all.iter().map(|(version, _)| *version).max().unwrap_or(0);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, text) in all.iter().filter(|(version, _)| *version > found) {
        let mut transaction = connection.begin().await?;
        if bind!(NOTE, *version).execute(&mut *transaction).await?.rows_affected() == 1 {
            sqlx::raw_sql(*text).execute(&mut *transaction).await?;
            tracing::info!(version, "brought the schema up to date");
        }
        transaction.commit().await?;
    }
    Ok(())
}

async fn newest(connection: &mut Connection) -> Result<i64> {
    bind!(NEWEST).fetch_one(connection).await?.number(0)
}
