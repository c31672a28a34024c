//! Goal: the bytes on the wire change only when somebody means to change them. Every body stands in `golden/` in both
//! encodings; `UPDATE_GOLDEN=1` writes them again.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use alcove_crypto::ids::{AccountId, CommitHash, DeviceId, EnrolmentId, Head, RecordHash, SlotId, SpaceId};
use alcove_protocol::account::{
    Account, BlockDevice, ConfirmCredentials, Credentials, DeleteAccount, Deleted, DownloadItem, Grant,
    Grants, Publish, Published, Restore, SecurityEvent, SecurityEventKind, SecurityLog, States,
};
use alcove_protocol::enrolment::{AnswerEnrolment, AskEnrolment, Enrolment, OpenEnrolment};
use alcove_protocol::identity::{
    AccessToken, Challenge, ChallengeProof, ChallengeRequest, CredentialsStart, LoginFinish, LoginStart,
    LoginStarted, PasswordSession, RecoveryLogin, RegisterFinish, RegisterStart, RegisterStarted, SignIn,
    SignOut,
};
use alcove_protocol::server::{Done, Registration, ServerInfo};
use alcove_protocol::spaces::{
    CreateSpace, PullPage, PullRequest, PulledRecord, PulledSlot, PushRequest, Pushed, SlotChange,
    SpaceSummary, Spaces, Tip,
};
use alcove_protocol::{Bytes, Encoding, ErrorBody, ErrorCode, LoginName, Wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Compares each body with its files, or writes them.
#[derive(Default)]
struct Golden {
    seen: BTreeSet<String>,
}

impl Golden {
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, body: &T) {
        let json: serde_json::Value = serde_json::from_slice(&Encoding::Json.encode(body)).unwrap();
        let json = format!("{}\n", serde_json::to_string_pretty(&json).unwrap()).into_bytes();
        for (encoding, extension, bytes) in
            [(Encoding::Json, "json", json), (Encoding::Cbor, "cbor", Encoding::Cbor.encode(body))]
        {
            let file = format!("{name}.{extension}");
            let path = folder().join(&file);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, &bytes).unwrap();
            }
            let frozen = std::fs::read(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(frozen == bytes, "{file} is not what the code writes");
            assert_eq!(&encoding.decode::<T>(&frozen, usize::MAX).unwrap(), body, "{file}");
            self.seen.insert(file);
        }
    }
}

fn bytes(len: u8) -> Bytes {
    (1..=len).collect::<Vec<_>>().into()
}

fn proof() -> ChallengeProof {
    ChallengeProof {
        nonce: Wire([1; 32]),
        audience: "https://sync.example.org".into(),
        signature: Wire([2; 64]),
    }
}

const ACCOUNT: Wire<AccountId> = Wire(AccountId::new([3; 16]));
const DEVICE: Wire<DeviceId> = Wire(DeviceId::new([4; 16]));
const SPACE: Wire<SpaceId> = Wire(SpaceId::new([5; 16]));
const SLOT: Wire<SlotId> = Wire(SlotId::new([6; 16]));
const TIP: Tip = Tip { seq: 7, head: Wire(Head::new([7; 32])) };

#[test]
fn every_body_is_what_it_was() {
    let mut golden = Golden::default();
    identity(&mut golden);
    account(&mut golden);
    spaces(&mut golden);
    let files: BTreeSet<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, golden.seen, "files that no body belongs to");
}

fn identity(golden: &mut Golden) {
    let name = LoginName::parse("anna").unwrap();
    let invite = Some("invitation".to_owned());
    golden.check(
        "register-start",
        &RegisterStart { name: name.clone(), request: bytes(33), invite: invite.clone() },
    );
    golden.check("register-started", &RegisterStarted { response: bytes(81) });
    let finish = RegisterFinish { name: name.clone(), state: bytes(9), credential_set: bytes(8), invite };
    golden.check("register-finish", &finish);
    golden.check("credentials-start", &CredentialsStart { request: bytes(33) });
    let login = LoginStart { name, request: bytes(97), earlier: false };
    golden.check("login-start", &login);
    golden.check("login-start-earlier", &LoginStart { earlier: true, ..login });
    golden.check("login-started", &LoginStarted { login: bytes(16), response: bytes(200) });
    golden.check("login-finish", &LoginFinish { login: bytes(16), finish: bytes(65) });
    golden.check("recovery-login", &RecoveryLogin { recovery_key: Wire([9; 32]), proof: proof() });
    golden.check(
        "password-session",
        &PasswordSession {
            account: ACCOUNT,
            token: "token".into(),
            expires_in_s: 600,
            credential_set: bytes(8),
            state: bytes(9),
            newest_version: 3,
        },
    );
    golden.check("challenge-request", &ChallengeRequest {});
    golden.check("challenge", &Challenge { nonce: Wire([1; 32]), expires_in_s: 60 });
    let sign_in = SignIn { account: ACCOUNT, device: DEVICE, proof: proof() };
    golden.check("sign-in", &sign_in);
    golden.check("access-token", &AccessToken { token: "token".into(), expires_in_s: 600 });
    golden.check("sign-out", &SignOut { everywhere: true });
    golden.check(
        "server-info",
        &ServerInfo { protocols: vec![1], registration: Registration::Invite, version: "0.1.0".into() },
    );
    let error = ErrorBody {
        error: "Not now.".into(),
        code: ErrorCode::RateLimited,
        retry_after_s: Some(5),
        tip: None,
        state_version: None,
    };
    golden.check("error", &error);
    let moved = ErrorBody { code: ErrorCode::HeadMoved, retry_after_s: None, tip: Some(TIP), ..error };
    golden.check("error-head-moved", &moved);
}

fn account(golden: &mut Golden) {
    let grant = Grant { device: DEVICE, epoch: 2, grant: bytes(81) };
    golden.check("states", &States { states: vec![bytes(9), bytes(10)], newest: 2 });
    let publish = Publish { state: bytes(9), credential_set: None, grants: vec![] };
    golden.check("publish", &publish);
    let full = Publish { credential_set: Some(bytes(8)), grants: vec![grant.clone()], ..publish };
    golden.check("publish-credentials", &full);
    golden.check("published", &Published { version: 2, credentials_pending: true });
    golden.check("confirm-credentials", &ConfirmCredentials { version: 2 });
    golden.check(
        "restore",
        &Restore {
            account: ACCOUNT,
            states: vec![bytes(9)],
            credential_set: Some(bytes(8)),
            name: Some(LoginName::parse("anna").unwrap()),
        },
    );
    let about = Account {
        account: ACCOUNT,
        state_version: 4,
        credentials_pending: Some(4),
        created_day: 20_000,
        quota_bytes: 1 << 30,
        quota_records: 500_000,
    };
    golden.check("account", &about);
    golden.check("download-account", &DownloadItem::Account(about));
    golden.check("download-state", &DownloadItem::State(bytes(9)));
    golden.check("download-end", &DownloadItem::End);
    golden.check("done", &Done {});
    golden.check("credentials", &Credentials { credential_set: bytes(8) });
    golden.check("grants", &Grants { grants: vec![grant] });
    golden.check("block-device", &BlockDevice { account: ACCOUNT, device: DEVICE, proof: proof() });
    golden.check("delete-account", &DeleteAccount { account: ACCOUNT, proof: proof() });
    golden.check("deleted", &Deleted { swept: false });
    let event = |what, device| SecurityEvent { hour: 498_000, what, device };
    let events = vec![
        event(SecurityEventKind::DeviceBlocked, Some(DEVICE)),
        event(SecurityEventKind::PasswordLogin, None),
    ];
    golden.check("security-log", &SecurityLog { events });
    let id = Wire(EnrolmentId::new([8; 16]));
    golden.check("open-enrolment", &OpenEnrolment { id, ephemeral_key: Wire([9; 32]) });
    golden.check(
        "enrolment",
        &Enrolment { ephemeral_key: Wire([9; 32]), request: Some(bytes(9)), states: vec![bytes(9)] },
    );
    golden.check("ask-enrolment", &AskEnrolment { request: bytes(9) });
    golden.check("answer-enrolment", &AnswerEnrolment { states: vec![bytes(9), bytes(10)] });
}

fn spaces(golden: &mut Golden) {
    golden.check("create-space", &CreateSpace { space: SPACE });
    let summary = SpaceSummary { space: SPACE, tip: TIP, bytes: 4_388, records: 4 };
    golden.check("spaces", &Spaces { spaces: vec![summary] });
    let written = SlotChange { slot: SLOT, epoch: 1, record: Some(bytes(20)) };
    let deleted = SlotChange { record: None, ..written.clone() };
    golden.check("push", &PushRequest { commit: bytes(12), changes: vec![written, deleted] });
    golden.check("pushed", &Pushed { tip: TIP });
    let first = PullRequest { after: 3, snapshot: false, cursor: None, bytes_max: None };
    golden.check("pull-first", &first);
    golden.check(
        "pull-next",
        &PullRequest { snapshot: true, cursor: Some(bytes(5)), bytes_max: Some(65_536), ..first },
    );
    let record = PulledRecord { epoch: 1, hash: Wire(RecordHash::new([8; 32])), bytes: bytes(20) };
    golden.check(
        "pull-page",
        &PullPage {
            tip: TIP,
            pruned: vec![Wire(CommitHash::new([9; 32]))],
            commits: vec![bytes(12)],
            slots: vec![
                PulledSlot { slot: SLOT, seq: 6, record: Some(record) },
                PulledSlot { slot: SLOT, seq: 7, record: None },
            ],
            cursor: Some(bytes(5)),
        },
    );
}

/// A request with a field that this version does not know asks for something that would not be done.
#[test]
fn requests_with_unknown_fields_are_refused() {
    let refused = |json: &str| Encoding::Json.decode::<PullRequest>(json.as_bytes(), 1000).is_err();
    assert!(!refused(r#"{"after":3}"#));
    assert!(refused(r#"{"after":3,"skip_verification":true}"#));
    assert!(refused("{}"));
    let wrong_length = r#"{"space":"BQUF"}"#;
    assert!(Encoding::Json.decode::<CreateSpace>(wrong_length.as_bytes(), 1000).is_err());
    let padded = r#"{"space":"BQUFBQUFBQUFBQUFBQUFBQ=="}"#;
    assert!(Encoding::Json.decode::<CreateSpace>(padded.as_bytes(), 1000).is_err());
}

/// Answers may grow: an older client ignores what it does not know.
#[test]
fn answers_with_unknown_fields_are_read() {
    let json = r#"{"swept":true,"more":1}"#;
    assert_eq!(Encoding::Json.decode::<Deleted>(json.as_bytes(), 1000), Ok(Deleted { swept: true }));
}
