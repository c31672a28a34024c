//! What a server says about itself, to anybody.

use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ServerInfo {
    /// Versions of the protocol that it speaks. A client chooses among those it was built with; it believes no others.
    pub protocols: Vec<u64>,
    /// Whether it takes new accounts.
    pub registration: Registration,
    /// Version of the software.
    pub version: String,
}

/// The answer where success is all there is to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Done {}

/// Whether a server takes new accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// From anybody.
    Open,
    /// From nobody.
    Closed,
    /// From whoever has an invitation.
    Invite,
}
