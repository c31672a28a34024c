//! The mailbox through which a trusted and a new device meet. The server reads nothing of it.

use serde::{Deserialize, Serialize};

use crate::{Bytes, Wire};
use alcove_crypto::ids::EnrolmentId;

/// `POST /v1/enrolments`, by the trusted device: opens a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenEnrolment {
    /// From the QR code.
    pub id: Wire<EnrolmentId>,
    /// The ephemeral key whose hash is in the QR code.
    pub ephemeral_key: Wire<[u8; 32]>,
}

/// The answer to `GET /v1/enrolments/{id}`, for both devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Enrolment {
    /// From the trusted device.
    pub ephemeral_key: Wire<[u8; 32]>,
    /// From the new device, once it has asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Bytes>,
    /// From the trusted device, once it has enrolled the new one: the signed states from the scanned one on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<Bytes>,
}

/// `PUT /v1/enrolments/{id}/request`, by the new device: asks, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AskEnrolment {
    /// The sealed request.
    pub request: Bytes,
}

/// `PUT /v1/enrolments/{id}/answer`, by the trusted device: answers, and so closes the mailbox for requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswerEnrolment {
    /// The signed states from the scanned one on.
    pub states: Vec<Bytes>,
}
