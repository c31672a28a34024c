//! Method and path of every endpoint.

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// HTTP method.
    pub method: &'static str,
    /// Path; `{…}` stands for an id in base64url.
    pub path: &'static str,
    /// What the request must carry.
    pub access: Access,
}

/// What a request must carry to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Anybody,
    /// The token of a password session.
    Password,
    /// An access token of a device.
    Device,
    /// Either of these two.
    Session,
    /// A signature in its body.
    Signature,
}

macro_rules! endpoints {
    ($($name:ident = $method:literal $path:literal $access:ident, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $name: Endpoint = Endpoint { method: $method, path: $path, access: Access::$access };
        )*
        /// All endpoints.
        pub const ALL: &[Endpoint] = &[$($name),*];
    };
}

endpoints! {
    SERVER_INFO = "GET" "/v1/server" Anybody, "Answers [`ServerInfo`](crate::server::ServerInfo).";
    REGISTER_START = "POST" "/v1/register/start" Anybody, "Takes [`RegisterStart`](crate::identity::RegisterStart).";
    REGISTER_FINISH = "POST" "/v1/register/finish" Anybody, "Takes [`RegisterFinish`](crate::identity::RegisterFinish).";
    LOGIN_START = "POST" "/v1/login/start" Anybody, "Takes [`LoginStart`](crate::identity::LoginStart).";
    LOGIN_FINISH = "POST" "/v1/login/finish" Anybody, "Takes [`LoginFinish`](crate::identity::LoginFinish).";
    CHALLENGE = "POST" "/v1/challenge" Anybody, "Takes [`ChallengeRequest`](crate::identity::ChallengeRequest).";
    RECOVERY = "POST" "/v1/recovery" Signature, "Takes [`RecoveryLogin`](crate::identity::RecoveryLogin).";
    SIGN_IN = "POST" "/v1/sign-in" Signature, "Takes [`SignIn`](crate::identity::SignIn).";
    SIGN_OUT = "POST" "/v1/sign-out" Device, "Takes [`SignOut`](crate::identity::SignOut).";
    ACCOUNT = "GET" "/v1/account" Session, "Answers [`Account`](crate::account::Account).";
    STATES = "GET" "/v1/account/states" Session, "Answers [`States`](crate::account::States).";
    CREDENTIALS = "GET" "/v1/account/credentials" Device, "Answers [`Credentials`](crate::account::Credentials).";
    GRANTS = "GET" "/v1/account/grants" Device, "Answers [`Grants`](crate::account::Grants).";
    PUBLISH = "POST" "/v1/account/publish" Password, "Takes [`Publish`](crate::account::Publish).";
    CREDENTIALS_START = "POST" "/v1/account/credentials/start" Password, "Takes [`CredentialsStart`](crate::identity::CredentialsStart).";
    CREDENTIALS_CONFIRM = "POST" "/v1/account/credentials/confirm" Password, "Takes [`ConfirmCredentials`](crate::account::ConfirmCredentials).";
    RESTORE = "POST" "/v1/account/restore" Signature, "Takes [`Restore`](crate::account::Restore).";
    BLOCK_DEVICE = "POST" "/v1/account/block-device" Signature, "Takes [`BlockDevice`](crate::account::BlockDevice).";
    DELETE_ACCOUNT = "POST" "/v1/account/delete" Signature, "Takes [`DeleteAccount`](crate::account::DeleteAccount).";
    SECURITY_LOG = "GET" "/v1/account/log" Session, "Answers [`SecurityLog`](crate::account::SecurityLog).";
    DOWNLOAD = "GET" "/v1/account/download" Device, "Answers all that the server holds on the account, as [`DownloadItem`](crate::account::DownloadItem)s.";
    ENROLMENT_OPEN = "POST" "/v1/enrolments" Device, "Takes [`OpenEnrolment`](crate::enrolment::OpenEnrolment).";
    ENROLMENT = "GET" "/v1/enrolments/{enrolment}" Anybody, "Answers [`Enrolment`](crate::enrolment::Enrolment).";
    ENROLMENT_ASK = "PUT" "/v1/enrolments/{enrolment}/request" Anybody, "Takes [`AskEnrolment`](crate::enrolment::AskEnrolment).";
    ENROLMENT_ANSWER = "PUT" "/v1/enrolments/{enrolment}/answer" Device, "Takes [`AnswerEnrolment`](crate::enrolment::AnswerEnrolment).";
    SPACES = "GET" "/v1/spaces" Device, "Answers [`Spaces`](crate::spaces::Spaces).";
    SPACE_CREATE = "POST" "/v1/spaces" Device, "Takes [`CreateSpace`](crate::spaces::CreateSpace).";
    PUSH = "POST" "/v1/spaces/{space}/push" Device, "Takes [`PushRequest`](crate::spaces::PushRequest).";
    PULL = "POST" "/v1/spaces/{space}/pull" Device, "Takes [`PullRequest`](crate::spaces::PullRequest).";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_distinct() {
        for (i, one) in ALL.iter().enumerate() {
            assert!(ALL[i + 1..].iter().all(|other| (other.method, other.path) != (one.method, one.path)));
            assert!(one.path.starts_with("/v1/"));
        }
    }

    /// Attack 27: a server that answered for data before the login would answer anybody.
    #[test]
    fn nothing_of_an_account_or_space_is_for_anybody() {
        let private =
            ALL.iter().filter(|e| e.path.starts_with("/v1/account") || e.path.starts_with("/v1/spaces"));
        assert!(private.clone().count() > 10);
        assert!(private.into_iter().all(|endpoint| endpoint.access != Access::Anybody));
    }
}
