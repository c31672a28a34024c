//! Our server inside the test, on a port of its own, with a clock that the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alcove_server::app::App;
use alcove_server::clock::Clock;
use alcove_server::config::{Config, DatabaseUrl};
use alcove_server::secrets::Secrets;
use alcove_server::store::{self, Options};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::postgres::Postgres;

/// A database for a test; a folder of SQLite's goes with it.
pub struct Database {
    /// Which one.
    pub url: DatabaseUrl,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    /// A new SQLite.
    ///
    /// # Panics
    /// When there is no room for a temporary folder.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { url: DatabaseUrl::Sqlite(folder.path().join("alcove.db")), _folder: Some(folder) }
    }

    /// A new PostgreSQL, where there is one.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        let url = DatabaseUrl::Postgres(Postgres::shared()?.database());
        Some(Self { url, _folder: None })
    }

    /// One of each.
    #[must_use]
    pub fn each() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres()).collect()
    }

    /// As a variable names it.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.url {
            DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
            DatabaseUrl::Postgres(url) => url.clone(),
        }
    }
}

/// Hands that move a clock.
#[derive(Clone, Default)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    /// Moves it, forward or back.
    pub fn shift(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The clock that they move.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let shift = self.0.clone();
        Clock::new(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let seconds = shift.load(Ordering::Relaxed);
            let by = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { now.saturating_sub(by) } else { now + by }
        })
    }
}

/// Settings without limits of rate, which most tests would run into.
#[must_use]
pub fn unlimited() -> Config {
    let mut config = Config::default();
    config.limits.requests_per_minute = 0;
    config.limits.account_requests_per_minute = 0;
    config.limits.logins_per_minute = 0;
    config.limits.logins_per_hour = 0;
    config
}

/// A server that serves.
pub struct TestServer {
    /// Its inside.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its clock's hands.
    pub hands: Hands,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestServer {
    /// Starts one with secrets of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start(database: &Database, config: Config) -> Self {
        Self::start_with(database, config, Secrets::make().expect("randomness")).await
    }

    /// Starts one with given secrets, as a second node or after a stop.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start_with(database: &Database, config: Config, secrets: Secrets) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), database, config, secrets).await
    }

    /// Starts one at an address: where another was before.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start_at(
        address: SocketAddr,
        database: &Database,
        config: Config,
        secrets: Secrets,
    ) -> Self {
        let hands = Hands::default();
        let metrics = Arc::default();
        let options = Options { metrics: Arc::clone(&metrics), ..Options::default() };
        let store = store::open(&database.url, &options).await.expect("a database");
        let app = App::new(store, secrets, config, hands.clock(), metrics).expect("a server");
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let task = tokio::spawn(alcove_server::serve::serve(listener, app.clone(), None, shutdown));
        Self { app, address, hands, stop: Some(stop), task }
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it in good order.
    ///
    /// # Panics
    /// When it has failed.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.expect("no panic");
        self.app.store().close().await;
    }
}
