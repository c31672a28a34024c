//! Spaces: create, list, push, pull.

use alcove_crypto::ids::{CommitHash, Head, RecordHash, SlotId, SpaceId};
use serde::{Deserialize, Serialize};

use crate::{Bytes, Wire};

/// `POST /v1/spaces`: creates the private space that the account's state names. Creating it again is no error. Answers
/// [`SpaceSummary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateSpace {
    /// Its id, which the client has drawn.
    pub space: Wire<SpaceId>,
}

/// Where a space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Tip {
    /// Number of the newest commit; 0 before the first.
    pub seq: u64,
    /// Head after it.
    pub head: Wire<Head>,
}

/// The answer to `GET /v1/spaces`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Spaces {
    /// All spaces of the account.
    pub spaces: Vec<SpaceSummary>,
}

/// A space, in the list and after its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SpaceSummary {
    /// The space.
    pub space: Wire<SpaceId>,
    /// Where it is.
    pub tip: Tip,
    /// Bytes of its live records.
    pub bytes: u64,
    /// Its live records.
    pub records: u64,
}

/// `POST /v1/spaces/{space}/push`: one commit. The commit names the head before it, which must be the space's
/// head; a commit that stands there already is acknowledged again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PushRequest {
    /// The commit.
    pub commit: Bytes,
    /// The slots that it changes, each once.
    pub changes: Vec<SlotChange>,
}

/// A slot that a push changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlotChange {
    /// The slot.
    pub slot: Wire<SlotId>,
    /// The epoch in which the record was sealed.
    pub epoch: u64,
    /// The sealed record; nothing deletes the slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Bytes>,
}

/// The answer to a push that was taken, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Pushed {
    /// Where the space is after the commit.
    pub tip: Tip,
}

/// `POST /v1/spaces/{space}/pull`: a page of what changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// The commit that the device knows.
    pub after: u64,
    /// All live slots instead of those that changed.
    #[serde(default)]
    pub snapshot: bool,
    /// From the page before; nothing for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Bytes>,
    /// How many bytes of records the page should have at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u32>,
}

/// A page of a pull. Pages come in the order of the slots' last changes; a slot that changes meanwhile comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PullPage {
    /// Where the space is now.
    pub tip: Tip,
    /// Hashes of commits that are no longer kept, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pruned: Vec<Wire<CommitHash>>,
    /// Commits, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<Bytes>,
    /// Slots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<PulledSlot>,
    /// Asks for the next page; nothing after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Bytes>,
}

/// A slot in a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PulledSlot {
    /// The slot.
    pub slot: Wire<SlotId>,
    /// The commit that changed it last.
    pub seq: u64,
    /// Its record; nothing if it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<PulledRecord>,
}

/// A record in a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PulledRecord {
    /// The epoch in which it was sealed.
    pub epoch: u64,
    /// Hash of its bytes.
    pub hash: Wire<RecordHash>,
    /// The sealed record.
    pub bytes: Bytes,
}
