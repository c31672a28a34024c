//! `Alcove`: one store, open.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast, watch};

use crate::account::AccountHandle;
use crate::changes::{Change, Changes};
use crate::error::Result;
use crate::incident::Incident;
use crate::journal::JournalEntry;
use crate::local::{self, Local, Tx, finished};
use crate::model::{Model, Row};
use crate::moods::Mood;
use crate::net::{Https, Transport};
use crate::records::{OWN_KINDS, Record, RecordId, Records};
use crate::stamp::Stamp;
use crate::sync::{Engine, Progress, Sync};
use crate::time::Clock;
use crate::vault::KeyVault;

/// Changes that an observer may fall behind before it is told to read again.
const CHANGES_KEPT: usize = 1024;

/// How a store is opened.
pub struct Options {
    folder: PathBuf,
    vault: Arc<dyn KeyVault>,
    clock: Clock,
    transport: Arc<dyn Transport>,
    device_name: String,
}

/// One store, open: everything that an app does goes through it. Clones share it; it must be used within a tokio runtime.
#[derive(Clone)]
pub struct Alcove(Arc<Core>);

pub(crate) struct Core {
    pub(crate) local: Local,
    pub(crate) vault: Arc<dyn KeyVault>,
    pub(crate) clock: Clock,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) device_name: String,
    pub(crate) engine: tokio::sync::Mutex<Engine>,
    pub(crate) progress: watch::Sender<Progress>,
    /// Counts cancellations.
    pub(crate) cancelled: watch::Sender<u64>,
    /// Something was written here: a sync in the background wants to know.
    pub(crate) written: Notify,
    model: Mutex<Model>,
    changes: broadcast::Sender<Change>,
    latest: Mutex<Stamp>,
}

/// What the store holds, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Records of the user that can be read.
    pub records: usize,
    /// Records that wait to be sent, the SDK's own included.
    pub unsent: u64,
    /// Records that cannot be read: damaged, or of a form that only a newer app knows.
    pub unreadable: usize,
}

impl Options {
    /// In this folder, with the keys in this vault.
    pub fn new(folder: impl Into<PathBuf>, vault: impl KeyVault + 'static) -> Self {
        Self {
            folder: folder.into(),
            vault: Arc::new(vault),
            clock: Clock::default(),
            transport: Arc::new(Https::new()),
            device_name: String::new(),
        }
    }

    /// With the name that the user's other devices show for this one.
    #[must_use]
    pub fn device_name(self, name: impl Into<String>) -> Self {
        Self { device_name: name.into(), ..self }
    }

    /// With another clock.
    #[must_use]
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// With another way to a server.
    #[must_use]
    pub fn transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport, ..self }
    }
}

impl Alcove {
    /// Opens the store in a folder, or makes one where there is none. Everything works at once: without an account, and
    /// without a network.
    ///
    /// # Errors
    /// When the vault's key does not fit, or the store is damaged. Nothing is changed or made anew then.
    pub async fn open(options: Options) -> Result<Self> {
        let Options { folder, vault, clock, transport, device_name } = options;
        let opened = tokio::task::spawn_blocking(move || {
            let local = Local::open(&folder, vault.as_ref(), &mut rand::rng())?;
            let model = Model::load(&local)?;
            Ok((local, vault, model))
        });
        let (local, vault, model) = finished(opened.await)?;
        let latest = Mutex::new(model.latest());
        let core = Core {
            local,
            vault,
            clock,
            transport,
            device_name,
            engine: tokio::sync::Mutex::default(),
            progress: watch::Sender::default(),
            cancelled: watch::Sender::default(),
            written: Notify::new(),
            model: Mutex::new(model),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            latest,
        };
        Ok(Self(Arc::new(core)))
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> Records<JournalEntry> {
        self.records()
    }

    /// The moods.
    #[must_use]
    pub fn moods(&self) -> Records<Mood> {
        self.records()
    }

    /// Records of a kind of the app's own.
    #[must_use]
    pub fn records<T: Record>(&self) -> Records<T> {
        Records::new(self)
    }

    /// The account: signing up and in, devices, password, recovery.
    #[must_use]
    pub fn account(&self) -> AccountHandle {
        AccountHandle::new(self.clone())
    }

    /// Syncing.
    #[must_use]
    pub fn sync(&self) -> Sync {
        Sync::new(self.clone())
    }

    /// Changes of all kinds as they happen.
    #[must_use]
    pub fn observe(&self) -> Changes {
        self.observe_kind(None)
    }

    pub(crate) fn observe_kind(&self, kind: Option<String>) -> Changes {
        Changes::new(self.clone(), self.0.changes.subscribe(), kind)
    }

    /// Ids of the records in whose texts every word of the query is found, newest first within each kind.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn search(&self, query: &str, limit: usize) -> Result<Vec<(String, RecordId)>> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        self.read(move |model| {
            let found = model.all(None).filter(|(_, row)| !words.is_empty() && has_words(row, &words));
            Ok(found.map(|(id, row)| (row.kind.to_string(), id)).take(limit).collect())
        })
        .await
    }

    /// What the server was caught at, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn incidents(&self) -> Result<Vec<Incident>> {
        let newest = self.0.local.write(|tx| tx.incidents(100)).await?;
        Ok(newest.into_iter().map(|(_, incident)| incident).collect())
    }

    /// Forgets all incidents: the user has seen them.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn clear_incidents(&self) -> Result<()> {
        self.0.local.write(|tx| tx.clear_incidents()).await
    }

    /// What the store holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn holdings(&self) -> Result<Holdings> {
        let unsent = self.0.local.write(|tx| tx.unsent()).await?;
        self.read(move |model| {
            let own = model.all(None).filter(|(_, row)| !row.kind.starts_with(OWN_KINDS));
            Ok(Holdings { records: own.count(), unsent, unreadable: model.unreadable().count() })
        })
        .await
    }

    /// Records that cannot be read: damaged, or of a form that only a newer app knows. They are kept as they are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unreadable(&self) -> Result<Vec<RecordId>> {
        self.read(|model| Ok(model.unreadable().collect())).await
    }

    /// The folder of the store.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.local.folder()
    }

    /// Erases the keys and removes the store. What was not synced is gone. Other handles of this store fail from now on.
    ///
    /// # Errors
    /// When keys or files cannot be removed; then it can be tried again.
    pub async fn wipe(self) -> Result<()> {
        let core = Arc::clone(&self.0);
        let wiped = tokio::task::spawn_blocking(move || {
            core.vault.erase()?;
            local::remove(core.local.folder())
        });
        finished(wiped.await)
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0
    }

    /// A transaction by the user: with a stamp for what is edited in it, and readers and syncs that learn of it.
    pub(crate) async fn edit<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>, Stamp) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let core = Arc::clone(&self.0);
        let result = self.0.local.write(move |tx| work(tx, core.stamp(tx.session.stamp_id()))).await?;
        self.refresh().await?;
        self.0.written.notify_one();
        Ok(result)
    }

    /// Reads the model, brought up to date.
    pub(crate) async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Model) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let core = Arc::clone(&self.0);
        let run = move || read(&*core.refreshed()?);
        finished(tokio::task::spawn_blocking(run).await)
    }

    /// Brings the model up to date, and tells observers.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.read(|_| Ok(())).await
    }

    /// Brings the model up to date beside everything else, for those who observe; whoever reads does it anyway.
    pub(crate) fn refresh_soon(&self) {
        if self.0.changes.receiver_count() > 0 {
            let alcove = self.clone();
            tokio::spawn(async move { drop(alcove.refresh().await) });
        }
    }

    pub(crate) async fn show_ahead(&self, records: Vec<(alcove_crypto::ids::SlotId, u64, Vec<u8>)>) {
        let core = Arc::clone(&self.0);
        let run = move || {
            let changes = core.model().preview(records);
            core.tell(changes);
            Ok(())
        };
        drop(finished(tokio::task::spawn_blocking(run).await));
    }

    pub(crate) fn end_show_ahead(&self) {
        let changes = self.0.model().end_preview();
        self.0.tell(changes);
    }
}

impl Core {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refreshed(&self) -> Result<MutexGuard<'_, Model>> {
        let mut model = self.model();
        let changes = model.refresh()?;
        if !changes.is_empty() {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            latest.see(model.latest(), self.clock.now_ms());
        }
        self.tell(changes);
        Ok(model)
    }

    fn tell(&self, changes: Vec<Change>) {
        // Without observers nobody is told, which is no error.
        for change in changes {
            drop(self.changes.send(change));
        }
    }

    fn stamp(&self, device: u64) -> Stamp {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.next(self.clock.now_ms(), device);
        *latest
    }
}

fn has_words(row: &Row, words: &[String]) -> bool {
    let Ok(envelope) = crate::envelope::Envelope::from_bytes(&row.content) else { return false };
    let mut texts = String::new();
    envelope.fields.values().for_each(|value| collect_texts(value, &mut texts));
    let texts = texts.to_lowercase();
    words.iter().all(|word| texts.contains(word.as_str()))
}

fn collect_texts(value: &crate::envelope::Value, out: &mut String) {
    use crate::envelope::Value;
    match value {
        Value::Text(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, out)),
        _ => {}
    }
}
