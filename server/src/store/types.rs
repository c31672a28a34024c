//! What the verbs take and give.

use alcove_crypto::ids::{AccountId, CommitHash, DeviceId, EnrolmentId, Head, SlotId, SpaceId};
use alcove_crypto::signing::VerifyingKey;
use alcove_protocol::account::SecurityEventKind;
use alcove_protocol::spaces::Tip;
use sha2::{Digest, Sha256};
use std::sync::Arc;

use crate::metrics::Metrics;

/// How a database is opened.
#[derive(Clone)]
pub struct Options {
    /// Connections at most.
    pub connections_max: u32,
    /// Pushes that may share a transaction on SQLite.
    pub group_max: usize,
    /// Where the sizes of groups are counted.
    pub metrics: Arc<Metrics>,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections_max: 8, group_max: 256, metrics: Arc::default() }
    }
}

/// Keyed hash of a login name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NameHash(pub [u8; 32]);

impl std::fmt::Debug for NameHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NameHash([hidden])")
    }
}

/// Names one login of a name.
pub type LoginId = [u8; 16];

/// Hash of an invitation's code.
pub type InviteHash = [u8; 32];

/// Hash of what opens a space: of its owner for a private one. Shared spaces will hash a capability instead, and nothing
/// but this type will change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceAccess(pub [u8; 32]);

impl SpaceAccess {
    /// Of a space that is being swept: nothing opens it.
    pub(crate) const NOBODY: Self = Self([0; 32]);

    /// What opens the private space of an account.
    #[must_use]
    pub fn owner(account: &AccountId) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"alcove-server/1/space-owner\0");
        hash.update(account.as_bytes());
        Self(hash.finalize().into())
    }
}

/// What became of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reservation {
    /// The account has the name.
    Yours,
    /// Another account has it, or had reserved it at this time.
    Taken {
        /// The account.
        by: AccountId,
        /// When, in seconds since 1970.
        reserved_s: u64,
    },
}

/// A login that begins, and the limit that it counts against.
#[derive(Clone)]
pub struct OpenLogin {
    /// The name.
    pub name: NameHash,
    /// Names the login.
    pub login: LoginId,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
    /// When the login is void.
    pub expires_s: u64,
    /// Guesses that are free in an hour; 0: no limit.
    pub guesses_per_hour: u32,
}

/// An account to be founded.
pub struct NewAccount {
    /// Its row.
    pub row: AccountRow,
    /// Its signed states, oldest first: one, unless it had vanished.
    pub states: Vec<Vec<u8>>,
    /// The credentials that the newest names.
    pub credentials: StoredCredentials,
    /// Its devices.
    pub devices: Vec<ListedDevice>,
    /// What to log.
    pub event: Option<Event>,
}

/// An account's own row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountRow {
    /// The account.
    pub account: AccountId,
    /// Keyed hash of its name.
    pub name: NameHash,
    /// Newest version of its state.
    pub version: u64,
    /// Generation of its sessions.
    pub sessions: u64,
    /// Day on which it was founded here.
    pub created_day: u32,
    /// Bytes that it may store.
    pub quota_bytes: u64,
    /// Records that it may store.
    pub quota_records: u64,
}

/// A credential set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCredentials {
    /// Version of the state that named it first.
    pub version: u64,
    /// The set.
    pub set: Vec<u8>,
}

/// A device that the newest state lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedDevice {
    /// Its id.
    pub device: DeviceId,
    /// Its signing key.
    pub signing_key: VerifyingKey,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// A key for a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredGrant {
    /// The receiver.
    pub device: DeviceId,
    /// The epoch.
    pub epoch: u64,
    /// The sealed key.
    pub sealed: Vec<u8>,
}

/// States that follow, verified.
pub struct Publication {
    /// The account.
    pub account: AccountId,
    /// The version that they follow.
    pub after: u64,
    /// The signed states; the last has version `after + states.len()`.
    pub states: Vec<Vec<u8>>,
    /// All devices of the last one.
    pub devices: Vec<ListedDevice>,
    /// The new credentials, and the version of those that stay beside them.
    pub credentials: Option<(Vec<u8>, u64)>,
    /// Keys for devices.
    pub grants: Vec<StoredGrant>,
    /// What to log.
    pub event: Event,
}

/// A device, with what its account says about every device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceRow {
    /// Its signing key.
    pub signing_key: [u8; 32],
    /// Whether it is refused.
    pub blocked: bool,
    /// Generation of its sessions.
    pub sessions: u64,
    /// Generation of the account's sessions.
    pub account_sessions: u64,
}

/// A line of the security log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// The account.
    pub account: AccountId,
    /// Hours since 1970.
    pub hour: u32,
    /// What happened.
    pub what: SecurityEventKind,
    /// The device, if one has to do with it.
    pub device: Option<DeviceId>,
}

/// A mailbox to be opened.
#[derive(Clone)]
pub struct NewEnrolment {
    /// From the QR code.
    pub enrolment: EnrolmentId,
    /// Whose trusted device opens it.
    pub account: AccountId,
    /// From the trusted device.
    pub ephemeral_key: [u8; 32],
    /// Now, in seconds since 1970.
    pub now_s: u64,
    /// When it is void.
    pub expires_s: u64,
}

/// What lies in a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnrolmentRow {
    /// From the trusted device.
    pub ephemeral_key: [u8; 32],
    /// From the new device.
    pub request: Option<Vec<u8>>,
    /// From the trusted device.
    pub states: Option<Vec<u8>>,
}

/// A space to be created.
#[derive(Clone)]
pub struct NewSpace {
    /// The space.
    pub space: SpaceId,
    /// What opens it.
    pub access: SpaceAccess,
    /// Bytes that it may store.
    pub quota_bytes: u64,
    /// Records that it may store.
    pub quota_records: u64,
}

/// A space's own row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpaceRow {
    /// The space.
    pub space: SpaceId,
    /// What opens it.
    pub access: SpaceAccess,
    /// Where it is.
    pub tip: Tip,
    /// Bytes of its live records.
    pub bytes: u64,
    /// Its live records.
    pub records: u64,
    /// Bytes of commits that are kept whole.
    pub commit_bytes: u64,
    /// Bytes that it may store.
    pub quota_bytes: u64,
    /// Records that it may store.
    pub quota_records: u64,
    /// The oldest commit that is kept whole, or the one to come.
    pub first_seq: u64,
    /// Day on which that one came.
    pub first_day: u32,
}

impl SpaceRow {
    /// Whether this opens it. The one check of who may use a space.
    #[must_use]
    pub fn opens_with(&self, access: &SpaceAccess) -> bool {
        self.access == *access && *access != SpaceAccess::NOBODY
    }

    /// What counts against the quota: records, commits, and 32 bytes a commit for ever.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.bytes + self.commit_bytes + 32 * self.tip.seq
    }
}

/// A commit to be taken, checked by itself.
pub struct Push {
    /// The space.
    pub space: SpaceId,
    /// What the caller opens it with.
    pub access: SpaceAccess,
    /// Number of the commit.
    pub seq: u64,
    /// Head before it.
    pub prev: Head,
    /// Head after it.
    pub head: Head,
    /// Its hash.
    pub hash: CommitHash,
    /// Its bytes.
    pub commit: Vec<u8>,
    /// Today, counted from 1970-01-01.
    pub day: u32,
    /// The slots that it changes, each once.
    pub changes: Vec<Change>,
}

/// A slot that a push changes.
pub struct Change {
    /// The slot.
    pub slot: SlotId,
    /// Epoch of the record.
    pub epoch: u64,
    /// The sealed record; nothing deletes.
    pub record: Option<Vec<u8>>,
}

/// Where a pull goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The newest commit that was sent.
    pub commit: u64,
    /// Last change of the newest slot that was sent.
    pub slot_seq: u64,
    /// That slot.
    pub slot: [u8; 16],
    /// Slots that were deleted up to here need not be told.
    pub live_until: u64,
}

impl Position {
    /// The beginning of a pull.
    #[must_use]
    pub fn start(after: u64, snapshot: bool) -> Option<Self> {
        (!snapshot).then_some(Self { commit: after, slot_seq: after, slot: [0xff; 16], live_until: after })
    }
}

/// A page that is asked for.
#[derive(Clone)]
pub struct PullFrom {
    /// The space.
    pub space: SpaceId,
    /// What the caller opens it with.
    pub access: SpaceAccess,
    /// The commit that the device knows.
    pub after: u64,
    /// Where it goes on; nothing for the first page of a snapshot.
    pub position: Option<Position>,
    /// Bytes of records at most, if more than one record is in the page.
    pub bytes_max: u64,
}

/// A page of a pull.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Where the space is.
    pub tip: Tip,
    /// Hashes of commits that are no longer kept.
    pub pruned: Vec<CommitHash>,
    /// Commits.
    pub commits: Vec<Vec<u8>>,
    /// Slots.
    pub slots: Vec<PageSlot>,
    /// Where the next page goes on.
    pub next: Option<Position>,
}

/// A slot in a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageSlot {
    /// The slot.
    pub slot: SlotId,
    /// Its last change.
    pub seq: u64,
    /// Epoch of its record.
    pub epoch: u64,
    /// Its record; nothing if it was deleted.
    pub record: Option<Vec<u8>>,
}

/// Totals for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accounts.
    pub accounts: u64,
    /// Accounts that are dead and not swept.
    pub dying: u64,
    /// Spaces.
    pub spaces: u64,
    /// Commits, since the beginning.
    pub commits: u64,
    /// Live records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}
