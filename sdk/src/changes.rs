//! Streams of changes: precise, whoever made them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::alcove::Alcove;
use crate::records::RecordId;

/// How often a store is looked at for what another process wrote, while somebody observes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It says something else.
    Updated,
    /// It is gone.
    Deleted,
    /// It says the same, and the server has it now; or it waits to be sent.
    Synced,
}

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of the record.
    pub kind: Arc<str>,
    /// The record.
    pub id: RecordId,
    /// What happened.
    pub what: What,
}

/// What an observer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A record changed.
    Change(Change),
    /// So much changed at once that it is cheaper to read again.
    ReadAgain,
}

/// Changes as they happen, of one kind or of all. Dropping it ends it.
pub struct Changes {
    alcove: Alcove,
    receiver: broadcast::Receiver<Change>,
    kind: Option<String>,
}

impl Changes {
    pub(crate) fn new(alcove: Alcove, receiver: broadcast::Receiver<Change>, kind: Option<String>) -> Self {
        Self { alcove, receiver, kind }
    }

    fn wants(&self, change: &Change) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == &*change.kind)
    }

    /// Waits for the next change.
    pub async fn next(&mut self) -> Observed {
        loop {
            let received = tokio::time::timeout(LOOK_EVERY, self.receiver.recv()).await;
            match received {
                Ok(Ok(change)) if self.wants(&change) => return Observed::Change(change),
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(_))) => return Observed::ReadAgain,
                // The sender lives as long as our handle of it.
                Ok(Err(RecvError::Closed)) => std::future::pending().await,
                // Perhaps another process wrote. A store that cannot be read says so to whoever reads it.
                Err(_) => drop(self.alcove.refresh().await),
            }
        }
    }

    /// The next change, if one has happened already.
    pub fn try_next(&mut self) -> Option<Observed> {
        loop {
            match self.receiver.try_recv() {
                Ok(change) if self.wants(&change) => return Some(Observed::Change(change)),
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => return Some(Observed::ReadAgain),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}
