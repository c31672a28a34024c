//! Account states, credential sets, grants, and the end of an account.

use alcove_crypto::ids::{AccountId, DeviceId};
use serde::{Deserialize, Serialize};

use crate::identity::ChallengeProof;
use crate::spaces::{PullPage, SpaceSummary};
use crate::{Bytes, LoginName, Wire};

/// The answer to `GET /v1/account`: who am I, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Account {
    /// The account.
    pub account: Wire<AccountId>,
    /// Newest version of its state.
    pub state_version: u64,
    /// Version of the state that named credentials which wait for their confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_pending: Option<u64>,
    /// Day on which this server got the account, counted from 1970-01-01.
    pub created_day: u32,
    /// Bytes that the account may store.
    pub quota_bytes: u64,
    /// Records that the account may store.
    pub quota_records: u64,
}

/// A line of the answer to `GET /v1/account/download`: CBOR items one after another, or JSON a line each. The first names
/// the account, the last is [`End`](DownloadItem::End); without it the download was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DownloadItem {
    /// The account itself.
    Account(Account),
    /// A signed account state.
    State(Bytes),
    /// A credential set.
    CredentialSet(Bytes),
    /// A key for a device.
    Grant(Grant),
    /// A line of the security log.
    Event(SecurityEvent),
    /// A space; its content follows.
    Space(SpaceSummary),
    /// A page of the space named before.
    Page(PullPage),
    /// Everything has been sent.
    End,
}

/// The answer to `GET /v1/account/states?after=N`: signed states with a version above N, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct States {
    /// Signed account states.
    pub states: Vec<Bytes>,
    /// The newest version; more follow if the last one here is older.
    pub newest: u64,
}

/// `POST /v1/account/publish`, in a password session: the state that follows, by compare-and-swap on its version.
///
/// With a credential set this is the first of two phases: old and new credentials both log in until
/// [`ConfirmCredentials`], which needs a login with the new ones. A cut anywhere leaves one that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The signed state.
    pub state: Bytes,
    /// The credential set, if the state names another than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_set: Option<Bytes>,
    /// The new root key for each device, in a new epoch or for a new device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
}

/// A key for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The receiver.
    pub device: Wire<DeviceId>,
    /// The epoch whose key it is.
    pub epoch: u64,
    /// The sealed key.
    pub grant: Bytes,
}

/// The answer to [`Publish`], [`Restore`], [`ConfirmCredentials`] and
/// [`RegisterFinish`](crate::identity::RegisterFinish).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Published {
    /// The version that is now the newest.
    pub version: u64,
    /// Whether the credentials wait for [`ConfirmCredentials`].
    pub credentials_pending: bool,
}

/// `POST /v1/account/credentials/confirm`, in a session that began with the new password: drops the old credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmCredentials {
    /// Version of the state that named them.
    pub version: u64,
}

/// `POST /v1/account/restore`: gives a server that was restored from a backup what it lost. Every state follows the one
/// before it; the first is one that the server has, follows one, or is the first of an account that vanished. The states
/// prove themselves; the device signs in after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The account.
    pub account: Wire<AccountId>,
    /// Signed states, in order.
    pub states: Vec<Bytes>,
    /// The credential set that the last one names, if the server may lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_set: Option<Bytes>,
    /// The login name, if the account itself vanished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<LoginName>,
}

/// The answer to `GET /v1/account/credentials`: the credential set of the newest state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Credentials {
    /// The set.
    pub credential_set: Bytes,
}

/// The answer to `GET /v1/account/grants`: keys for the device that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Grants {
    /// In order of their epochs.
    pub grants: Vec<Grant>,
}

/// `POST /v1/account/block-device`: the first step of a revocation; the server refuses the device from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BlockDevice {
    /// The account.
    pub account: Wire<AccountId>,
    /// The device.
    pub device: Wire<DeviceId>,
    /// The challenge and the signature of the identity key.
    pub proof: ChallengeProof,
}

/// `POST /v1/account/delete`: the account is dead at once, and swept after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteAccount {
    /// The account.
    pub account: Wire<AccountId>,
    /// The challenge and the signature of the identity key.
    pub proof: ChallengeProof,
}

/// The answer to [`DeleteAccount`], and to asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Deleted {
    /// Whether the sweep is done: nothing of the account is left but its tombstone.
    pub swept: bool,
}

/// The answer to `GET /v1/account/log`: what happened to the account, for its owner to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecurityLog {
    /// Newest first.
    pub events: Vec<SecurityEvent>,
}

/// One line of the security log. It names no address and no time finer than the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SecurityEvent {
    /// Hours since 1970.
    pub hour: u32,
    /// What happened.
    pub what: SecurityEventKind,
    /// The device that did it or that it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Wire<DeviceId>>,
}

/// What can happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SecurityEventKind {
    /// A login with the password.
    PasswordLogin,
    /// A login that failed.
    PasswordLoginFailed,
    /// A login with the recovery code.
    RecoveryLogin,
    /// A device signed in for the first time in a day.
    DeviceSignIn,
    /// An account state was published.
    StatePublished,
    /// Credentials were changed.
    CredentialsChanged,
    /// A device was blocked.
    DeviceBlocked,
    /// The account was given back to a server that had lost it.
    Restored,
}
