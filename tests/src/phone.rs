//! Devices of people in tests: a store of the SDK in a folder that goes when the test does.

use std::sync::Arc;

use alcove_sdk::net::{Https, Transport};
use alcove_sdk::vault::KeyFile;
use alcove_sdk::{Alcove, Clock, JournalEntry, LocalData, Options, Query, RecordId, When};
use tempfile::TempDir;

/// A password for everybody.
pub const PASSWORD: &str = "correct horse battery";

/// A device with a store.
pub struct Phone {
    /// Its store.
    pub alcove: Alcove,
    /// Where it is, and the key file beside it.
    pub folder: Arc<TempDir>,
    name: String,
    transport: Arc<dyn Transport>,
    clock: Clock,
}

impl Phone {
    /// With an empty store.
    pub async fn new(name: &str) -> Self {
        Self::with(name, Arc::new(Https::new()), Clock::default()).await
    }

    /// With another way to the server, and another clock.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn with(name: &str, transport: Arc<dyn Transport>, clock: Clock) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let alcove = Alcove::open(options(&folder, name, &transport, &clock)).await.expect("a store");
        Self { alcove, folder, name: name.to_owned(), transport, clock }
    }

    /// Opens the same store again, as after a crash.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub async fn again(self) -> Self {
        let Self { folder, name, transport, clock, .. } = self;
        let alcove = Alcove::open(options(&folder, &name, &transport, &clock)).await.expect("the store");
        Self { alcove, folder, name, transport, clock }
    }

    /// Another handle on the same store, as of another process.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub async fn widget(&self) -> Self {
        let Self { folder, name, transport, clock, .. } = self;
        let alcove = Alcove::open(options(folder, name, transport, clock)).await.expect("the store");
        let (folder, name) = (Arc::clone(folder), name.clone());
        Self { alcove, folder, name, transport: Arc::clone(transport), clock: clock.clone() }
    }

    /// A copy of the store with its keys, as from a backup of the whole phone.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub async fn copy(&self) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(folder.path().join("store")).expect("a folder");
        for file in ["keys", "store/alcove.db", "store/alcove.db-wal"] {
            drop(std::fs::copy(self.folder.path().join(file), folder.path().join(file)));
        }
        let Self { name, transport, clock, .. } = self;
        let alcove = Alcove::open(options(&folder, name, transport, clock)).await.expect("the store");
        Self { alcove, folder, name: name.clone(), transport: Arc::clone(transport), clock: clock.clone() }
    }

    /// The same store with another way to the server.
    pub async fn through(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport, ..self }.again().await
    }

    /// With an account of this name, synced.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn sign_up(name: &str, server: &str) -> Self {
        let phone = Self::new("phone").await;
        phone.alcove.account().sign_up(server, name, PASSWORD, None).await.expect("an account");
        phone.sync().await;
        phone
    }

    /// Another device of the account of this name, confirmed and synced.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn log_in(name: &str, server: &str) -> Self {
        let phone = Self::new("tablet").await;
        phone.join(name, server).await;
        phone
    }

    /// Logs in, confirms, and syncs.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn join(&self, name: &str, server: &str) {
        let account = self.alcove.account();
        account.log_in(server, name, PASSWORD, LocalData::Merge).await.expect("a login");
        self.sync().await;
        account.confirm_view().await.expect("a view");
        self.sync().await;
    }

    /// Syncs.
    ///
    /// # Panics
    /// When it does not come to an end.
    pub async fn sync(&self) -> alcove_sdk::sync::Report {
        self.alcove.sync().now().await.expect("a sync")
    }

    /// Writes an entry.
    ///
    /// # Panics
    /// When it cannot be stored.
    pub async fn write(&self, body: &str) -> RecordId {
        let unix_ms = i64::try_from(self.clock.now_ms()).expect("a time");
        self.alcove.journal().add(JournalEntry::new(When::utc(unix_ms), body)).await.expect("an entry")
    }

    /// Changes the text of an entry.
    ///
    /// # Panics
    /// When it cannot be stored.
    pub async fn edit(&self, id: RecordId, body: &str) {
        let body = body.to_owned();
        self.alcove.journal().update(id, |entry| entry.body = body).await.expect("an edit");
    }

    /// The text of an entry.
    ///
    /// # Panics
    /// When there is none.
    pub async fn body(&self, id: RecordId) -> String {
        self.alcove.journal().get(id).await.expect("a store").expect("an entry").value.body
    }

    /// All texts, in order.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn bodies(&self) -> Vec<String> {
        let entries = self.alcove.journal().list(Query::default()).await.expect("a store");
        let mut bodies: Vec<_> = entries.into_iter().map(|entry| entry.value.body).collect();
        bodies.sort();
        bodies
    }
}

fn options(folder: &TempDir, name: &str, transport: &Arc<dyn Transport>, clock: &Clock) -> Options {
    let vault = KeyFile::new(folder.path().join("keys"));
    Options::new(folder.path().join("store"), vault)
        .device_name(name)
        .transport(Arc::clone(transport))
        .clock(clock.clone())
}
