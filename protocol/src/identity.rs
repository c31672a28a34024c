//! Registration, login, recovery, and how a device signs in.
//!
//! Two kinds of session exist, and both end within minutes. A **password session** comes of a login by OPAQUE or by the
//! recovery code: it may read the credential set and publish account states. An **access token** comes of a device's
//! signature over a fresh challenge: it may push and pull. Nothing that lives longer is ever handed out.

use alcove_crypto::ids::{AccountId, DeviceId};
use serde::{Deserialize, Serialize};

use crate::{Bytes, LoginName, Wire};

/// `POST /v1/register/start`: the first message of a registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegisterStart {
    /// The name to register.
    pub name: LoginName,
    /// OPAQUE registration request.
    pub request: Bytes,
    /// An invitation, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// The answer to [`RegisterStart`] and to [`CredentialsStart`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RegisterStarted {
    /// OPAQUE registration response.
    pub response: Bytes,
}

/// `POST /v1/register/finish`: founds the account. Repeating it with the same state is no error. The device then signs in
/// as it always does: nobody gets a token for a state that somebody else has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegisterFinish {
    /// The name to register.
    pub name: LoginName,
    /// The first signed account state, which lists this device.
    pub state: Bytes,
    /// The credential set whose hash the state names.
    pub credential_set: Bytes,
    /// An invitation, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// `POST /v1/account/credentials/start`, in a password session: the OPAQUE part of a change of password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CredentialsStart {
    /// OPAQUE registration request under the new password.
    pub request: Bytes,
}

/// `POST /v1/login/start`: the first message of a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginStart {
    /// The name to log in under.
    pub name: LoginName,
    /// OPAQUE KE1.
    pub request: Bytes,
    /// Under the credentials of before, while a change of them waits for its confirmation: what a client tries when the
    /// newest are refused. The answer never tells whether there are any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

/// The answer to [`LoginStart`], for known and unknown names alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LoginStarted {
    /// Names this attempt in [`LoginFinish`].
    pub login: Bytes,
    /// OPAQUE KE2.
    pub response: Bytes,
}

/// `POST /v1/login/finish`: the last message of a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoginFinish {
    /// From [`LoginStarted`].
    pub login: Bytes,
    /// OPAQUE KE3.
    pub finish: Bytes,
}

/// `POST /v1/recovery`: logs in with the recovery code, over a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecoveryLogin {
    /// Public recovery sign-in key: finds the account.
    pub recovery_key: Wire<[u8; 32]>,
    /// The challenge and its signature.
    pub proof: ChallengeProof,
}

/// The answer to [`LoginFinish`] and [`RecoveryLogin`]: all that a fresh device needs, every part to be verified.
///
/// While a change of credentials waits for its confirmation, old and new ones log in, each to the set that it opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PasswordSession {
    /// The account.
    pub account: Wire<AccountId>,
    /// Its token, for the `Authorization` header.
    pub token: String,
    /// How long it is good for.
    pub expires_in_s: u32,
    /// The credential set by which this login was made.
    pub credential_set: Bytes,
    /// The newest signed account state that names this set.
    pub state: Bytes,
    /// Version of the newest state of all; what lies between is to be fetched and must follow.
    pub newest_version: u64,
}

/// `POST /v1/challenge`: asks for a challenge. The body is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {}

/// The answer to [`ChallengeRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Challenge {
    /// To be signed once.
    pub nonce: Wire<[u8; 32]>,
    /// How long it is good for.
    pub expires_in_s: u32,
}

/// A signature over a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ChallengeProof {
    /// The challenge.
    pub nonce: Wire<[u8; 32]>,
    /// The origin that the client dialled.
    pub audience: String,
    /// The signature, by SPEC.md section 5.6.
    pub signature: Wire<[u8; 64]>,
}

/// `POST /v1/sign-in`: a device signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account.
    pub account: Wire<AccountId>,
    /// The device.
    pub device: Wire<DeviceId>,
    /// The challenge and the device's signature.
    pub proof: ChallengeProof,
}

/// The answer to [`SignIn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AccessToken {
    /// For the `Authorization` header.
    pub token: String,
    /// How long it is good for.
    pub expires_in_s: u32,
}

/// `POST /v1/sign-out`: ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignOut {
    /// Of all devices of the account, not only this one.
    pub everywhere: bool,
}
