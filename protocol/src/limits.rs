//! Every limit, once. The server enforces them, and so does the client: a hostile stream exhausts nothing.

/// Depth to which a body may be nested.
pub const NESTING_MAX: usize = 16;
/// The longest body of a request that is not a push.
pub const REQUEST_LEN_MAX: usize = 256 * 1024;

/// The longest sealed record: 256 KiB of padded plaintext and 73 bytes of sealing.
pub const RECORD_LEN_MAX: usize = 256 * 1024 + 73;
/// The shortest sealed record: everything is padded to 1 KiB at least.
pub const RECORD_LEN_MIN: usize = 1024 + 73;
/// The longest commit.
pub const COMMIT_LEN_MAX: usize = alcove_crypto::space::commit::COMMIT_LEN_MAX;
/// Slots that one push may change.
pub const PUSH_SLOTS_MAX: usize = 1_000;
/// Bytes of records in one push.
pub const PUSH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest body of a push, in JSON too.
pub const PUSH_REQUEST_LEN_MAX: usize = 6 * 1024 * 1024;
/// Bytes of records in one page of a pull, if more than one record is in it.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Slots in one page of a pull.
pub const PAGE_SLOTS_MAX: usize = 1_000;
/// Commits in one page of a pull.
pub const PAGE_COMMITS_MAX: usize = 1_000;
/// Hashes of pruned commits in one page of a pull.
pub const PAGE_HASHES_MAX: usize = 10_000;
/// The longest body of an answer that a client reads.
pub const ANSWER_LEN_MAX: usize = 16 * 1024 * 1024;

/// The longest body of a [`Restore`](crate::account::Restore).
pub const RESTORE_LEN_MAX: usize = 2 * 1024 * 1024;
/// The longest origin that a client may have dialled.
pub const AUDIENCE_LEN_MAX: usize = 512;

/// The longest login name, in bytes of its normal form.
pub const LOGIN_NAME_LEN_MAX: usize = 256;
/// The longest signed account state.
pub const ACCOUNT_STATE_LEN_MAX: usize = 32 * 1024;
/// Account states in one answer.
pub const ACCOUNT_STATES_MAX: usize = 256;
/// The longest credential set.
pub const CREDENTIAL_SET_LEN_MAX: usize = alcove_crypto::account::credentials::CREDENTIAL_SET_LEN_MAX;
/// Devices of an account, revoked ones included.
pub const DEVICES_MAX: usize = alcove_crypto::account::state::DEVICES_MAX;
/// The longest grant.
pub const GRANT_LEN_MAX: usize = 128;

/// How long an access token is good for, in seconds.
pub const ACCESS_TOKEN_LIFETIME_S: u32 = 10 * 60;
/// How long a challenge is good for, in seconds.
pub const CHALLENGE_LIFETIME_S: u32 = 60;
/// How long the two requests of a login may be apart, in seconds.
pub const LOGIN_LIFETIME_S: u32 = 120;
/// How long an enrolment may take, in seconds.
pub const ENROLMENT_LIFETIME_S: u32 = 10 * 60;
/// How long commits and the ids of deleted slots are kept, in days.
pub const HISTORY_DAYS: u32 = 90;

/// Bytes that an account may store, unless the operator says otherwise.
pub const QUOTA_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
/// Records that an account may store, unless the operator says otherwise.
pub const QUOTA_RECORDS_DEFAULT: u64 = 500_000;

// Limits fit into each other, or this does not compile.
const _: () = {
    assert!(PUSH_BYTES_MAX >= RECORD_LEN_MAX && PAGE_BYTES_MAX >= RECORD_LEN_MAX);
    // base64 makes four characters of three bytes; a slot takes some 120 more in JSON.
    let json = PUSH_BYTES_MAX.div_ceil(3) * 4 + PUSH_SLOTS_MAX * 120 + COMMIT_LEN_MAX * 2;
    assert!(PUSH_REQUEST_LEN_MAX >= json);
    assert!(ANSWER_LEN_MAX >= PAGE_BYTES_MAX + PAGE_COMMITS_MAX * COMMIT_LEN_MAX + PAGE_HASHES_MAX * 34);
    assert!(ANSWER_LEN_MAX >= ACCOUNT_STATES_MAX * ACCOUNT_STATE_LEN_MAX + CREDENTIAL_SET_LEN_MAX);
};
