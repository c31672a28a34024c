//! Typed calls of a server's endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alcove_crypto::account::challenge;
use alcove_crypto::signing::Signature;
use alcove_protocol::endpoint::{self, Endpoint};
use alcove_protocol::identity::{Challenge, ChallengeProof, ChallengeRequest};
use alcove_protocol::limits::ANSWER_LEN_MAX;
use alcove_protocol::{Encoding, ErrorBody, ErrorCode, Wire};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Origin, Request, Transport};
use crate::error::{Error, Result};

/// A server, and what went there and came back.
pub(crate) struct Api {
    transport: Arc<dyn Transport>,
    pub(crate) origin: Origin,
    traffic: AtomicU64,
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No answer, or none of an Alcove server's.
    Offline(String),
    /// The server said no.
    Refused { code: ErrorCode, body: Box<ErrorBody>, after: Option<Duration> },
}

impl Api {
    pub(crate) fn new(transport: Arc<dyn Transport>, origin: Origin) -> Self {
        Self { transport, origin, traffic: AtomicU64::new(0) }
    }

    /// Bytes of bodies that went and came.
    pub(crate) fn traffic(&self) -> u64 {
        self.traffic.load(Ordering::Relaxed)
    }

    /// A POST or PUT without an id in its path.
    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<A, Failure> {
        self.call(endpoint, None, token, Some(Encoding::Cbor.encode(body))).await
    }

    /// A POST or PUT with an id in its path.
    pub(crate) async fn post_to<A: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        id: &[u8; 16],
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<A, Failure> {
        let path = path_with(endpoint, id);
        self.call(endpoint, Some(path), token, Some(Encoding::Cbor.encode(body))).await
    }

    /// A GET.
    pub(crate) async fn get<A: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        token: Option<&str>,
    ) -> Result<A, Failure> {
        self.call(endpoint, None, token, None).await
    }

    /// A GET with a query.
    pub(crate) async fn get_query<A: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        query: &str,
        token: Option<&str>,
    ) -> Result<A, Failure> {
        self.call(endpoint, Some(format!("{}?{query}", endpoint.path)), token, None).await
    }

    /// A GET with an id in its path.
    pub(crate) async fn get_from<A: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        id: &[u8; 16],
    ) -> Result<A, Failure> {
        self.call(endpoint, Some(path_with(endpoint, id)), None, None).await
    }

    /// A GET whose answer is more than one value.
    pub(crate) async fn get_bytes(
        &self,
        endpoint: Endpoint,
        token: Option<&str>,
    ) -> Result<Vec<u8>, Failure> {
        self.exchange(endpoint, None, token, None).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        path: Option<String>,
        token: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<A, Failure> {
        let answer = self.exchange(endpoint, path, token, body).await?;
        Encoding::Cbor.decode(&answer, ANSWER_LEN_MAX).map_err(|_| strange())
    }

    /// The body of a success.
    async fn exchange(
        &self,
        endpoint: Endpoint,
        path: Option<String>,
        token: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Failure> {
        let sent = body.as_ref().map_or(0, Vec::len);
        let request = Request {
            method: endpoint.method,
            path: path.unwrap_or_else(|| endpoint.path.to_owned()),
            token: token.map(str::to_owned),
            body,
        };
        let answer = self.transport.send(&self.origin, request).await;
        let answer = answer.map_err(|error| Failure::Offline(error.to_string()))?;
        self.traffic.fetch_add((sent + answer.body.len()) as u64, Ordering::Relaxed);
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let body: ErrorBody = match Encoding::Cbor.decode(&answer.body, ANSWER_LEN_MAX) {
            Ok(body) => body,
            // A proxy that speaks for a server which is away.
            Err(_) if answer.status >= 500 || answer.status == 429 => ErrorBody {
                error: format!("HTTP {}", answer.status),
                code: ErrorCode::Unavailable,
                retry_after_s: None,
                tip: None,
                state_version: None,
            },
            Err(_) => return Err(strange()),
        };
        let after = body.retry_after_s.or(answer.retry_after_s).map(|s| Duration::from_secs(s.into()));
        Err(Failure::Refused { code: body.code.clone(), body: Box::new(body), after })
    }

    /// A fresh challenge, signed for the origin that was dialled.
    pub(crate) async fn prove(
        &self,
        sign: impl FnOnce(challenge::Challenge<'_>) -> Signature,
    ) -> Result<ChallengeProof, Failure> {
        let fresh: Challenge = self.post(endpoint::CHALLENGE, None, &ChallengeRequest {}).await?;
        let audience = self.origin.to_string();
        let signature = sign(challenge::Challenge { nonce: &fresh.nonce.0, audience: &audience });
        Ok(ChallengeProof { nonce: fresh.nonce, audience, signature: Wire(signature) })
    }
}

fn strange() -> Failure {
    Failure::Offline("the answer is not one of an Alcove server's".into())
}

fn path_with(endpoint: Endpoint, id: &[u8; 16]) -> String {
    let fill = |part: &str| {
        if part.starts_with('{') { URL_SAFE_NO_PAD.encode(id) } else { part.to_owned() }
    };
    let parts = endpoint.path.split('/').map(fill);
    parts.collect::<Vec<_>>().join("/")
}

impl Failure {
    /// The code, if the server said one.
    pub(crate) fn code(&self) -> Option<&ErrorCode> {
        match self {
            Self::Offline(_) => None,
            Self::Refused { code, .. } => Some(code),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let (code, body, after) = match failure {
            Failure::Offline(why) => return Self::Offline(why),
            Failure::Refused { code, body, after } => (code, body, after),
        };
        match code {
            ErrorCode::WrongCredentials => Self::WrongPassword,
            ErrorCode::NameTaken => Self::NameTaken,
            ErrorCode::RegistrationClosed => Self::RegistrationClosed { invite: false },
            ErrorCode::InviteNeeded => Self::RegistrationClosed { invite: true },
            ErrorCode::DeviceRevoked => Self::SignInAgain("it was revoked"),
            ErrorCode::AccountDeleted => Self::AccountDeleted,
            ErrorCode::QuotaExceeded => Self::QuotaExceeded,
            ErrorCode::UpgradeRequired => Self::UpgradeRequired("the server no longer speaks this version"),
            code if code.is_retryable() => Self::TryLater { after },
            _ => Self::Refused(body.error),
        }
    }
}
