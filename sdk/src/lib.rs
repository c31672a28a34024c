#![doc = include_str!("../README.md")]
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "`Tx::method` is a function of one lifetime, and a transaction takes one of any"
)]

mod account;
mod alcove;
mod changes;
pub mod envelope;
mod error;
mod files;
pub mod incident;
mod journal;
mod keys;
mod local;
pub mod merge;
mod model;
mod moods;
pub mod net;
mod records;
mod rescue;
mod stamp;
pub mod sync;
mod time;
mod transfer;
pub mod vault;

pub use account::{
    AccountHandle, AccountInfo, Asked, DeviceInfo, DeviceStanding, Inviting, Joined, LocalData, OnLogOut,
    OtherDevices, RecoveryCodeText, View,
};
pub use alcove::{Alcove, Holdings, Options};
pub use changes::{Change, Changes, Observed, What};
pub use error::{Error, Result};
pub use incident::{Incident, IncidentKind};
pub use journal::JournalEntry;
pub use moods::Mood;
pub use records::{BadRecordId, Query, Record, RecordId, Records, Stored};
pub use rescue::{Rescued, rescue};
pub use stamp::Stamp;
pub use time::{Clock, When};
pub use transfer::{Exported, Imported, ServerRecord};
