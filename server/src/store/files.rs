//! SQLite's files as such: copied while they are used, checked, and asked whether anybody uses them.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::StoreError;

async fn open(path: &Path) -> Result<SqliteConnection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Unavailable(format!("there is no database {}", path.display())));
    }
    let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// Copies a database that may be in use: one moment of it, durable when this returns.
///
/// # Errors
/// When there is none, or the copy cannot be written.
pub(crate) async fn backup(path: &Path, to: &Path) -> Result<(), StoreError> {
    let mut connection = open(path).await?;
    let name = to.to_str().ok_or(StoreError::Unexpected("a path that is not text"))?;
    sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection).await?;
    connection.close().await?;
    let durable = std::fs::File::open(to).and_then(|file| file.sync_all());
    durable.map_err(|error| StoreError::Unavailable(format!("the backup is not durable: {error}")))
}

/// Whether a file is a whole database of a server.
///
/// # Errors
/// When it is not.
pub(crate) async fn check(path: &Path) -> Result<(), StoreError> {
    let mut connection = open(path).await?;
    let whole: (String,) = sqlx::query_as("PRAGMA integrity_check").fetch_one(&mut connection).await?;
    let ours = sqlx::query("SELECT version FROM migrations").fetch_optional(&mut connection).await;
    drop(connection.close().await);
    if whole.0 == "ok" && matches!(ours, Ok(Some(_))) {
        Ok(())
    } else {
        Err(StoreError::Unexpected("the file is no whole database of an Alcove server"))
    }
}

/// Whether nobody else has the database open.
///
/// # Errors
/// When that cannot be found out.
pub(crate) async fn is_unused(path: &Path) -> Result<bool, StoreError> {
    let mut connection = open(path).await?;
    sqlx::query("PRAGMA busy_timeout = 100").execute(&mut connection).await?;
    sqlx::query("PRAGMA locking_mode = EXCLUSIVE").execute(&mut connection).await?;
    // In this mode SQLite takes every lock with the first transaction, and gets them only if nobody has any.
    let alone = sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.is_ok();
    if alone {
        sqlx::query("ROLLBACK").execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(alone)
}
