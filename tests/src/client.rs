//! A client of the server for tests: typed calls, people who sign up and log in, devices that push and pull.

use alcove_protocol::endpoint::Endpoint;
use alcove_protocol::identity::{Challenge, ChallengeProof, ChallengeRequest};
use alcove_protocol::{Encoding, ErrorBody, ErrorCode, Wire, endpoint};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use device::{Device, Pulled};
pub use person::{LoggedIn, Person};

use crate::http::{Answered, Http};

mod device;
mod person;

/// A request that was not a success.
#[derive(Debug)]
pub struct Refused {
    /// Status; none if there was no answer.
    pub status: Option<StatusCode>,
    /// What the server says.
    pub body: Option<ErrorBody>,
    /// `Retry-After`.
    pub retry_after: Option<String>,
}

impl Refused {
    /// The code.
    ///
    /// # Panics
    /// When there was no answer with a code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.body.as_ref().map_or_else(|| panic!("no code: {self:?}"), |body| body.code.clone())
    }
}

/// Typed calls.
pub struct Api {
    http: Http,
    /// What is signed as the audience.
    pub origin: String,
    /// In what bodies are written.
    pub encoding: Encoding,
}

impl Api {
    /// Of one node, or of several in turn.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        Self { http: Http::new(origins), origin: origins[0].clone(), encoding: Encoding::Cbor }
    }

    /// The same in JSON.
    #[must_use]
    pub fn json(origins: &[String]) -> Self {
        Self { encoding: Encoding::Json, ..Self::new(origins) }
    }

    /// Calls an endpoint.
    ///
    /// # Errors
    /// When the answer is no success.
    ///
    /// # Panics
    /// When a success has no body of its type.
    pub async fn call<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        endpoint: Endpoint,
        id: Option<&[u8; 16]>,
        token: Option<&str>,
        body: &Q,
    ) -> Result<A, Refused> {
        let answered = self.call_raw(endpoint, id, token, body).await?;
        Ok(self.encoding.decode(&answered.body, usize::MAX).expect("a body of this type"))
    }

    /// Calls an endpoint and leaves the body as it is.
    ///
    /// # Errors
    /// When the answer is no success.
    ///
    /// # Panics
    /// When it cannot be a request.
    pub async fn call_raw<Q: Serialize>(
        &mut self,
        endpoint: Endpoint,
        id: Option<&[u8; 16]>,
        token: Option<&str>,
        body: &Q,
    ) -> Result<Answered, Refused> {
        let body = if endpoint.method == "GET" { vec![] } else { self.encoding.encode(body) };
        let path = path(endpoint, id);
        self.send(endpoint.method, &path, token, body).await
    }

    /// Sends a body as it is.
    ///
    /// # Errors
    /// When the answer is no success.
    ///
    /// # Panics
    /// When it cannot be a request.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Answered, Refused> {
        let media_type = self.encoding.media_type();
        let mut request = Request::builder().method(method).uri(path).header("accept", media_type);
        if method != "GET" {
            request = request.header("content-type", media_type);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let answered = self.http.send(request).await;
        let answered = answered.map_err(|_| Refused { status: None, body: None, retry_after: None })?;
        if answered.status.is_success() {
            return Ok(answered);
        }
        let header = answered.headers.get("retry-after");
        Err(Refused {
            status: Some(answered.status),
            body: self.encoding.decode(&answered.body, usize::MAX).ok(),
            retry_after: header.and_then(|value| value.to_str().ok()).map(str::to_owned),
        })
    }

    /// A challenge, signed.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn prove(
        &mut self,
        sign: impl FnOnce(alcove_crypto::account::challenge::Challenge<'_>) -> [u8; 64],
    ) -> Result<ChallengeProof, Refused> {
        let challenge: Challenge = self.call(endpoint::CHALLENGE, None, None, &ChallengeRequest {}).await?;
        let (nonce, audience) = (challenge.nonce.0, self.origin.clone());
        let signature =
            sign(alcove_crypto::account::challenge::Challenge { nonce: &nonce, audience: &audience });
        Ok(ChallengeProof { nonce: challenge.nonce, audience, signature: Wire(signature) })
    }
}

/// The path of an endpoint with its id.
#[must_use]
pub fn path(endpoint: Endpoint, id: Option<&[u8; 16]>) -> String {
    let parts = endpoint.path.split('/').map(|part| match id {
        Some(id) if part.starts_with('{') => URL_SAFE_NO_PAD.encode(id),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}
