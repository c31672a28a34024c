//! Every answer that is not a success.

use std::borrow::Cow;

use alcove_protocol::spaces::Tip;
use alcove_protocol::{DecodeError, Encoding, ErrorBody, ErrorCode};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::limiter::RetryAfter;
use crate::store::{Refusal, StoreError};
use crate::tokens::NoRandomness;

/// Seconds after which it is worth asking again when the database is away, or the disk full.
const UNAVAILABLE_RETRY_S: u32 = 2;
const FULL_RETRY_S: u32 = 60;

/// Why a request was refused.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: Cow<'static, str>,
    retry_after_s: Option<u32>,
    tip: Option<Tip>,
    state_version: Option<u64>,
}

impl ApiError {
    /// With a code and a sentence.
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_s: None, tip: None, state_version: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Malformed, message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "This request needs a token that is good now.")
    }

    pub(crate) fn wrong_credentials() -> Self {
        Self::new(ErrorCode::WrongCredentials, "Wrong name, password, code or signature.")
    }

    pub(crate) fn stale_challenge() -> Self {
        Self::new(ErrorCode::StaleChallenge, "The challenge is not ours, too old, or was used before.")
    }

    pub(crate) fn deleted() -> Self {
        Self::new(ErrorCode::AccountDeleted, "This account has been deleted.")
    }

    pub(crate) fn revoked() -> Self {
        Self::new(ErrorCode::DeviceRevoked, "This device has been revoked.")
    }

    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(ErrorCode::NotFound, what)
    }

    pub(crate) fn state_moved(version: u64) -> Self {
        let moved = Self::new(ErrorCode::StateMoved, "The account state has moved on: fetch it first.");
        Self { state_version: Some(version), ..moved }
    }

    pub(crate) fn rate_limited(wait: RetryAfter) -> Self {
        Self::new(ErrorCode::RateLimited, "Too many requests.").after(wait.seconds())
    }

    pub(crate) fn login_limited(wait: RetryAfter) -> Self {
        Self::new(ErrorCode::LoginLimited, "Too many attempts to log in.").after(wait.seconds())
    }

    pub(crate) fn unavailable(message: &'static str) -> Self {
        Self::new(ErrorCode::Unavailable, message).after(UNAVAILABLE_RETRY_S)
    }

    pub(crate) fn after(self, retry_after_s: u32) -> Self {
        Self { retry_after_s: Some(retry_after_s.max(1)), ..self }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &ErrorCode {
        &self.code
    }

    /// The answer in an encoding.
    pub(crate) fn respond(&self, encoding: Encoding) -> Response {
        let body = ErrorBody {
            error: self.message.clone().into_owned(),
            code: self.code.clone(),
            retry_after_s: self.retry_after_s,
            tip: self.tip,
            state_version: self.state_version,
        };
        let mut response = Response::new(encoding.encode(&body).into());
        *response.status_mut() =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.code == ErrorCode::Unauthorized {
            headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Unavailable(why) => {
                tracing::warn!(why, "the database cannot answer");
                Self::unavailable("The server's database cannot answer now.")
            }
            StoreError::Full => {
                tracing::error!("the disk is full");
                Self::unavailable("The server has no room left.").after(FULL_RETRY_S)
            }
            error => {
                tracing::error!(%error, "the store failed");
                Self::new(ErrorCode::Internal, "A fault of the server; its log knows more.")
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found("There is no such thing."),
            Refusal::Exists => Self::new(ErrorCode::Exists, "It exists already, and is not the same."),
            Refusal::NameTaken => Self::new(ErrorCode::NameTaken, "The login name is taken."),
            Refusal::BadInvite => Self::new(ErrorCode::InviteNeeded, "A good invitation is needed."),
            Refusal::Deleted => Self::deleted(),
            Refusal::HeadMoved(tip) => {
                let moved =
                    Self::new(ErrorCode::HeadMoved, "The space has moved on: pull, merge, push again.");
                Self { tip: Some(tip), ..moved }
            }
            Refusal::StateMoved(version) => Self::state_moved(version),
            Refusal::QuotaExceeded => Self::new(ErrorCode::QuotaExceeded, "The account's storage is full."),
            Refusal::Stale => Self::stale_challenge(),
            Refusal::Guesses { retry_after_s } => {
                Self::new(ErrorCode::LoginLimited, "Too many attempts under this name.").after(retry_after_s)
            }
        }
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge { .. } => Self::new(ErrorCode::TooLarge, error.to_string()),
            _ => Self::malformed("The body is not what this request takes."),
        }
    }
}

impl From<NoRandomness> for ApiError {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "a fault");
        Self::new(ErrorCode::Internal, "A fault of the server; its log knows more.")
    }
}
