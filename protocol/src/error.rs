//! Every error that a server answers with: a code for programs, a sentence for people.

use serde::{Deserialize, Serialize};

use crate::spaces::Tip;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal;)*) => {
        /// What went wrong, for a program to act on.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code of a newer server.
            Unknown(String),
        }

        impl ErrorCode {
            /// All codes that this version knows.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it stands in the body.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(&self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Unknown(_) => 500,
                }
            }
        }

        impl From<String> for ErrorCode {
            fn from(code: String) -> Self {
                match code.as_str() {
                    $($code => Self::$name,)*
                    _ => Self::Unknown(code),
                }
            }
        }
    };
}

codes! {
    /// The body is not what this request takes.
    Malformed = "malformed", 400;
    /// The request needs a signature or an access token that it does not carry, or that is no longer good.
    Unauthorized = "unauthorized", 401;
    /// Wrong name or password, or a signature that does not verify.
    WrongCredentials = "wrong_credentials", 401;
    /// The challenge was used before or is too old.
    StaleChallenge = "stale_challenge", 401;
    /// The device has been revoked.
    DeviceRevoked = "device_revoked", 403;
    /// The account may not do this.
    Forbidden = "forbidden", 403;
    /// New accounts are not taken.
    RegistrationClosed = "registration_closed", 403;
    /// An invitation is needed, or this one is not good.
    InviteNeeded = "invite_needed", 403;
    /// No such path, space, or thing.
    NotFound = "not_found", 404;
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405;
    /// No encoding that both sides speak.
    NotAcceptable = "not_acceptable", 406;
    /// The login name is taken.
    NameTaken = "name_taken", 409;
    /// The space has moved on: pull, merge, push again.
    HeadMoved = "head_moved", 409;
    /// The account state has moved on: fetch it first.
    StateMoved = "state_moved", 409;
    /// It exists already, and is not the same.
    Exists = "exists", 409;
    /// The account has been deleted.
    AccountDeleted = "account_deleted", 410;
    /// The body is larger than this request may be.
    TooLarge = "too_large", 413;
    /// The content type is neither CBOR nor JSON.
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// Well-formed, but it breaks a rule: a state that does not follow, a commit that is not the next.
    Invalid = "invalid", 422;
    /// This version of the protocol is no longer, or not yet, spoken.
    UpgradeRequired = "upgrade_required", 426;
    /// Too many requests; `retry_after_s` says when.
    RateLimited = "rate_limited", 429;
    /// Too many attempts to log in under this name or from this address. Enrolled devices are not affected.
    LoginLimited = "login_limited", 429;
    /// The account's storage is full.
    QuotaExceeded = "quota_exceeded", 507;
    /// A fault of the server; its log knows more under the request id.
    Internal = "internal", 500;
    /// The server cannot answer now.
    Unavailable = "unavailable", 503;
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// A sentence for people.
    pub error: String,
    /// A code for programs.
    pub code: ErrorCode,
    /// Seconds after which it is worth trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// With `head_moved`: where the space is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Tip>,
    /// With `state_moved`: the newest version of the account state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_version: Option<u64>,
}

impl ErrorCode {
    /// Whether the same request may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::LoginLimited | Self::Internal | Self::Unavailable | Self::Unknown(_)
        )
    }
}

impl From<ErrorCode> for String {
    fn from(code: ErrorCode) -> Self {
        code.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for (i, code) in ErrorCode::ALL.iter().enumerate() {
            assert!(ErrorCode::ALL[i + 1..].iter().all(|other| other.as_str() != code.as_str()));
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code:?}");
            assert!((400..600).contains(&code.status()));
            assert_eq!(ErrorCode::from(code.as_str().to_owned()), *code);
        }
    }

    #[test]
    fn a_newer_servers_code_is_kept() {
        let body: ErrorBody = serde_json::from_str(r#"{"error":"?","code":"on_fire","more":1}"#).unwrap();
        assert_eq!(body.code, ErrorCode::Unknown("on_fire".into()));
        assert!(body.code.is_retryable());
    }
}
