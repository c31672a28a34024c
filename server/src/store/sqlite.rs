//! SQLite: one connection writes, several read, and none waits for another.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _};
use std::sync::Arc;

use super::{Options, Push, StoreError};
use writer::Writer;

type Connection = sqlx::SqliteConnection;
type Db = sqlx::Sqlite;
type Row = sqlx::sqlite::SqliteRow;
type Arguments = sqlx::sqlite::SqliteArguments;

/// A statement that locks the rows that it reads: here whoever writes is alone anyway.
macro_rules! locked {
    ($sql:literal) => {
        $sql
    };
}

/// Only one server uses the file.
const ALONE: bool = true;

/// How rows are added that are known not to be there. Should one fail, the whole transaction is undone, which it would be
/// anyway; to be able to undo the statement alone, SQLite would copy every page that it touches.
const INSERT: &str = "INSERT OR ROLLBACK INTO";

/// A place for a value in a statement of many rows. Named ones are looked up one by one, which takes long when there are many.
fn place(_: usize) -> String {
    "?".to_owned()
}

/// A place for bytes where the database cannot tell the type.
fn bytes_place(number: usize) -> String {
    place(number)
}

#[path = "queries/mod.rs"]
mod queries;
mod writer;

const MIGRATIONS: &[queries::migrate::Migration] =
    &[(1, include_str!("../../../migrations/sqlite/0001_first.sql"))];

/// How long a reader waits for a connection, and a writer for another process that writes.
const WAIT: Duration = Duration::from_secs(5);

/// A database in one file.
pub(super) struct Database {
    readers: SqlitePool,
    writer: Writer,
}

impl Database {
    pub(super) async fn open(path: &Path, options: &Options) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_private_folder(folder)?;
        }
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .page_size(16 * 1024)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT)
            .statement_cache_capacity(512)
            // A statement of many rows notes what it changes, to undo it if one row fails: not in a file.
            .pragma("temp_store", "MEMORY")
            // Whole pages at once: rows that are passed on one by one wake threads one by one.
            .row_buffer_size(1024)
            .disable_statement_logging();
        // What a push changes lies scattered over the indexes: the writer keeps 16 MiB of pages.
        let writes = connect.clone().pragma("cache_size", "-16384");
        let mut connection = Connection::connect_with(&writes).await?;
        queries::migrate::migrate(&mut connection, MIGRATIONS).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections_max.max(2))
            .acquire_timeout(WAIT)
            .idle_timeout(Some(Duration::from_mins(1)))
            .connect_lazy_with(connect.pragma("query_only", "ON"));
        let writer = Writer::start(connection, writes, options);
        Ok(Self { readers, writer })
    }

    async fn push_one(&self, push: Arc<Push>) -> Result<(), StoreError> {
        self.writer.push(push).await
    }

    /// One statement.
    async fn look<T, F>(&self, verb: F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let mut connection = self.readers.acquire().await?;
        verb(&mut connection).await
    }

    /// Statements that see one moment.
    async fn read<T, F>(&self, verb: F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let mut transaction = self.readers.begin().await?;
        verb(&mut transaction).await
    }

    /// A transaction that is durable when it answers.
    async fn write<T, F>(&self, verb: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync + 'static,
    {
        self.writer.write(verb).await
    }

    async fn shut(&self) {
        self.writer.shut().await;
        self.readers.close().await;
    }

    async fn give_back(&self) -> Result<(), StoreError> {
        // Some at a time: whoever pushes meanwhile comes in between.
        while self.writer.tidy().await? {}
        Ok(())
    }
}

/// Only the server's own user looks into a folder that the server makes.
fn make_private_folder(folder: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).map_err(|error| {
        StoreError::Unavailable(format!("cannot make the folder {}: {error}", folder.display()))
    })
}
