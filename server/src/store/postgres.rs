//! PostgreSQL: a pool of connections, each transaction tried again when the database asks for that.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _};

use super::{Options, Push, StoreError};

type Connection = sqlx::PgConnection;
type Db = sqlx::Postgres;
type Row = sqlx::postgres::PgRow;
type Arguments = sqlx::postgres::PgArguments;

/// A statement that locks the rows that it reads until the transaction ends.
macro_rules! locked {
    ($sql:literal) => {
        concat!($sql, " FOR UPDATE")
    };
}

/// Other nodes may share the database.
const ALONE: bool = false;

/// How rows are added that are known not to be there.
const INSERT: &str = "INSERT INTO";

/// A place for a value in a statement of many rows.
fn place(number: usize) -> String {
    format!("${number}")
}

/// A place for bytes where the database cannot tell the type.
fn bytes_place(number: usize) -> String {
    format!("${number}::bytea")
}

#[path = "queries/mod.rs"]
mod queries;

const MIGRATIONS: &[queries::migrate::Migration] =
    &[(1, include_str!("../../../migrations/postgres/0001_first.sql"))];

/// How long a request waits for a connection.
const WAIT: Duration = Duration::from_secs(5);

/// How often a transaction is tried that the database wants repeated.
const ATTEMPTS: u32 = 5;

/// A database on a server.
pub(super) struct Database {
    pool: PgPool,
}

impl Database {
    pub(super) async fn open(url: &str, options: &Options) -> Result<Self, StoreError> {
        let connect: PgConnectOptions = url.parse()?;
        let connect = connect
            .application_name("alcove-server")
            .statement_cache_capacity(512)
            .options([
                ("statement_timeout", "20s"),
                ("lock_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "30s"),
            ])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(WAIT)
            .connect_with(connect)
            .await?;
        let mut connection = pool.acquire().await?;
        refuse_to_lose_writes(&mut connection).await?;
        queries::migrate::migrate(&mut connection, MIGRATIONS).await?;
        drop(connection);
        Ok(Self { pool })
    }

    async fn push_one(&self, push: Arc<Push>) -> Result<(), StoreError> {
        let verdict = self.write(move |connection| {
            let push = [push.clone()];
            Box::pin(async move { Ok(queries::push::push(connection, &push).await?.pop()) })
        });
        match verdict.await? {
            Some(verdict) => Ok(verdict?),
            None => Err(StoreError::Unexpected("a push without a verdict")),
        }
    }

    /// One statement.
    async fn look<T, F>(&self, verb: F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let mut connection = self.pool.acquire().await?;
        verb(&mut connection).await
    }

    /// Statements that see one moment.
    async fn read<T, F>(&self, verb: F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let mut connection = self.pool.acquire().await?;
        let mut transaction =
            connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        verb(&mut transaction).await
    }

    /// A transaction that is durable when it answers.
    async fn write<T, F>(&self, verb: F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let mut attempt = 1;
        loop {
            match self.write_once(&verb).await {
                Err(StoreError::Database(error)) if attempt < ATTEMPTS && wants_another_try(&error) => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn write_once<T, F>(&self, verb: &F) -> Result<T, StoreError>
    where
        F: for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let mut transaction = self.pool.begin().await?;
        let answer = verb(&mut transaction).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    async fn shut(&self) {
        self.pool.close().await;
    }

    #[expect(clippy::unused_async, reason = "SQLite has something to do here; PostgreSQL vacuums by itself")]
    async fn give_back(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Serialisation failures and deadlocks: the same transaction may succeed now.
fn wants_another_try(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

/// An acknowledged push must survive a power failure; some databases are set up so that it would not.
async fn refuse_to_lose_writes(connection: &mut Connection) -> Result<(), StoreError> {
    for (setting, refused) in [
        ("SHOW fsync", "PostgreSQL runs with fsync off"),
        ("SHOW synchronous_commit", "PostgreSQL runs with synchronous_commit off"),
    ] {
        let value: Option<(String,)> = sqlx::query_as(setting).fetch_optional(&mut *connection).await?;
        if value.is_some_and(|(value,)| value == "off") {
            return Err(StoreError::Unavailable(format!(
                "{refused}: a power failure would lose acknowledged writes"
            )));
        }
    }
    Ok(())
}
