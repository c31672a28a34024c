-- Every table belongs to one partition, whose id leads its primary key and every index: an account, a space, a hash of a
-- login name, a recovery key, an invitation, an enrolment. No transaction needs two of them, so the same schema can be spread
-- over many machines. What each column is for, and for how long: docs/what-the-server-knows.md.

CREATE TABLE server (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE accounts (
    account       BLOB    NOT NULL PRIMARY KEY,
    name_hash     BLOB    NOT NULL,
    version       INTEGER NOT NULL, -- newest version in account_states: what is compared and swapped
    sessions      INTEGER NOT NULL, -- goes up when everybody is logged out: older tokens are void
    created_day   INTEGER NOT NULL,
    quota_bytes   INTEGER NOT NULL,
    quota_records INTEGER NOT NULL
) STRICT;

-- An account that was deleted: never again under this id.
CREATE TABLE tombstones (
    account BLOB    NOT NULL PRIMARY KEY,
    day     INTEGER NOT NULL,
    swept   INTEGER NOT NULL -- 1 when nothing of the account is left but this row
) STRICT;

CREATE TABLE account_states (
    account BLOB    NOT NULL REFERENCES accounts (account),
    version INTEGER NOT NULL,
    signed  BLOB    NOT NULL,
    PRIMARY KEY (account, version)
) STRICT;

-- One row; two while a change of credentials waits for its confirmation.
CREATE TABLE credentials (
    account        BLOB    NOT NULL REFERENCES accounts (account),
    version        INTEGER NOT NULL, -- of the state that named this set first
    credential_set BLOB    NOT NULL,
    PRIMARY KEY (account, version)
) STRICT;

CREATE TABLE devices (
    account     BLOB    NOT NULL REFERENCES accounts (account),
    device      BLOB    NOT NULL,
    signing_key BLOB    NOT NULL,
    blocked     INTEGER NOT NULL, -- 1: revoked, or blocked until a state revokes it
    sessions    INTEGER NOT NULL, -- goes up when the device signs out: older tokens are void
    seen_day    INTEGER NOT NULL, -- of its last sign-in, so that the log has one line a day
    PRIMARY KEY (account, device)
) STRICT;

CREATE TABLE grants (
    account BLOB    NOT NULL REFERENCES accounts (account),
    device  BLOB    NOT NULL,
    epoch   INTEGER NOT NULL,
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (account, device, epoch)
) STRICT;

-- The security log that its owner reads.
CREATE TABLE events (
    account BLOB    NOT NULL REFERENCES accounts (account),
    hour    INTEGER NOT NULL,
    what    TEXT    NOT NULL,
    device  BLOB    NOT NULL, -- empty where there is none
    PRIMARY KEY (account, hour, what, device)
) STRICT;

-- Nonces that were signed, until they would be refused for their age.
CREATE TABLE challenges (
    account   BLOB    NOT NULL REFERENCES accounts (account),
    nonce     BLOB    NOT NULL,
    expires_s INTEGER NOT NULL,
    PRIMARY KEY (account, nonce)
) STRICT;

CREATE TABLE account_spaces (
    account BLOB NOT NULL REFERENCES accounts (account),
    space   BLOB NOT NULL,
    PRIMARY KEY (account, space)
) STRICT;

CREATE TABLE names (
    name_hash  BLOB    NOT NULL PRIMARY KEY,
    account    BLOB    NOT NULL,
    reserved_s INTEGER NOT NULL -- after an hour without an account it may be taken by somebody else
) STRICT;

-- When the next guess under a name is free (GCRA), whether the name is known or not.
CREATE TABLE guesses (
    name_hash BLOB    NOT NULL PRIMARY KEY,
    free_ms   INTEGER NOT NULL
) STRICT;

-- Logins whose last message has not come; each can be finished once.
CREATE TABLE logins (
    name_hash BLOB    NOT NULL,
    login     BLOB    NOT NULL,
    expires_s INTEGER NOT NULL,
    PRIMARY KEY (name_hash, login)
) STRICT;

CREATE TABLE recovery_keys (
    recovery_key BLOB NOT NULL PRIMARY KEY,
    account      BLOB NOT NULL
) STRICT;

CREATE TABLE invites (
    invite      BLOB    NOT NULL PRIMARY KEY, -- hash of the code
    uses_max    INTEGER NOT NULL,
    expires_day INTEGER NOT NULL
) STRICT;

CREATE TABLE invite_uses (
    invite  BLOB NOT NULL REFERENCES invites (invite),
    account BLOB NOT NULL,
    PRIMARY KEY (invite, account)
) STRICT;

CREATE TABLE enrolments (
    enrolment     BLOB    NOT NULL PRIMARY KEY,
    account       BLOB    NOT NULL,
    ephemeral_key BLOB    NOT NULL,
    request       BLOB,
    states        BLOB,
    expires_s     INTEGER NOT NULL
) STRICT;

CREATE TABLE spaces (
    space         BLOB    NOT NULL PRIMARY KEY,
    access        BLOB    NOT NULL, -- hash of what opens it; a row of zeros is being swept
    seq           INTEGER NOT NULL,
    head          BLOB    NOT NULL,
    bytes         INTEGER NOT NULL, -- of live records
    records       INTEGER NOT NULL, -- live ones
    commit_bytes  INTEGER NOT NULL, -- of commits that are kept whole
    quota_bytes   INTEGER NOT NULL,
    quota_records INTEGER NOT NULL,
    first_seq     INTEGER NOT NULL, -- of the oldest commit that is kept whole, or the one to come
    first_day     INTEGER NOT NULL  -- on which that one came
) STRICT;

CREATE TABLE commits (
    space BLOB    NOT NULL REFERENCES spaces (space),
    seq   INTEGER NOT NULL,
    hash  BLOB    NOT NULL,
    day   INTEGER NOT NULL,
    body  BLOB    NOT NULL,
    PRIMARY KEY (space, seq)
) STRICT;

-- Hashes of commits that are no longer kept, 256 a row: 32 bytes a commit, for ever.
CREATE TABLE history (
    space  BLOB    NOT NULL REFERENCES spaces (space),
    run    INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (space, run)
) STRICT;

-- No foreign key: whoever writes here holds the row of the space.
CREATE TABLE slots (
    space  BLOB    NOT NULL,
    slot   BLOB    NOT NULL,
    seq    INTEGER NOT NULL, -- of its last change
    epoch  INTEGER NOT NULL,
    record BLOB,             -- none: deleted
    PRIMARY KEY (space, slot)
) STRICT;
CREATE INDEX slots_by_change ON slots (space, seq, slot);
CREATE INDEX slots_gone ON slots (space, seq) WHERE record IS NULL;
