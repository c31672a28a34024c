-- Every table belongs to one partition, whose id leads its primary key and every index: an account, a space, a hash of a
-- login name, a recovery key, an invitation, an enrolment. No transaction needs two of them, so the same schema can be spread
-- over many machines. What each column is for, and for how long: docs/what-the-server-knows.md.

CREATE TABLE server (
    key   TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE accounts (
    account       BYTEA   NOT NULL PRIMARY KEY,
    name_hash     BYTEA   NOT NULL,
    version       BIGINT  NOT NULL, -- newest version in account_states: what is compared and swapped
    sessions      BIGINT  NOT NULL, -- goes up when everybody is logged out: older tokens are void
    created_day   BIGINT  NOT NULL,
    quota_bytes   BIGINT  NOT NULL,
    quota_records BIGINT  NOT NULL
);

-- An account that was deleted: never again under this id.
CREATE TABLE tombstones (
    account BYTEA   NOT NULL PRIMARY KEY,
    day     BIGINT  NOT NULL,
    swept   BIGINT  NOT NULL -- 1 when nothing of the account is left but this row
);

CREATE TABLE account_states (
    account BYTEA   NOT NULL REFERENCES accounts (account),
    version BIGINT  NOT NULL,
    signed  BYTEA   NOT NULL,
    PRIMARY KEY (account, version)
);

-- One row; two while a change of credentials waits for its confirmation.
CREATE TABLE credentials (
    account        BYTEA   NOT NULL REFERENCES accounts (account),
    version        BIGINT  NOT NULL, -- of the state that named this set first
    credential_set BYTEA   NOT NULL,
    PRIMARY KEY (account, version)
);

CREATE TABLE devices (
    account     BYTEA   NOT NULL REFERENCES accounts (account),
    device      BYTEA   NOT NULL,
    signing_key BYTEA   NOT NULL,
    blocked     BIGINT  NOT NULL, -- 1: revoked, or blocked until a state revokes it
    sessions    BIGINT  NOT NULL, -- goes up when the device signs out: older tokens are void
    seen_day    BIGINT  NOT NULL, -- of its last sign-in, so that the log has one line a day
    PRIMARY KEY (account, device)
);

CREATE TABLE grants (
    account BYTEA   NOT NULL REFERENCES accounts (account),
    device  BYTEA   NOT NULL,
    epoch   BIGINT  NOT NULL,
    sealed  BYTEA   NOT NULL,
    PRIMARY KEY (account, device, epoch)
);

-- The security log that its owner reads.
CREATE TABLE events (
    account BYTEA   NOT NULL REFERENCES accounts (account),
    hour    BIGINT  NOT NULL,
    what    TEXT    NOT NULL,
    device  BYTEA   NOT NULL, -- empty where there is none
    PRIMARY KEY (account, hour, what, device)
);

-- Nonces that were signed, until they would be refused for their age.
CREATE TABLE challenges (
    account   BYTEA   NOT NULL REFERENCES accounts (account),
    nonce     BYTEA   NOT NULL,
    expires_s BIGINT  NOT NULL,
    PRIMARY KEY (account, nonce)
);

CREATE TABLE account_spaces (
    account BYTEA NOT NULL REFERENCES accounts (account),
    space   BYTEA NOT NULL,
    PRIMARY KEY (account, space)
);

CREATE TABLE names (
    name_hash  BYTEA   NOT NULL PRIMARY KEY,
    account    BYTEA   NOT NULL,
    reserved_s BIGINT  NOT NULL -- after an hour without an account it may be taken by somebody else
);

-- When the next guess under a name is free (GCRA), whether the name is known or not.
CREATE TABLE guesses (
    name_hash BYTEA   NOT NULL PRIMARY KEY,
    free_ms   BIGINT  NOT NULL
);

-- Logins whose last message has not come; each can be finished once.
CREATE TABLE logins (
    name_hash BYTEA   NOT NULL,
    login     BYTEA   NOT NULL,
    expires_s BIGINT  NOT NULL,
    PRIMARY KEY (name_hash, login)
);

CREATE TABLE recovery_keys (
    recovery_key BYTEA NOT NULL PRIMARY KEY,
    account      BYTEA NOT NULL
);

CREATE TABLE invites (
    invite      BYTEA   NOT NULL PRIMARY KEY, -- hash of the code
    uses_max    BIGINT  NOT NULL,
    expires_day BIGINT  NOT NULL
);

CREATE TABLE invite_uses (
    invite  BYTEA NOT NULL REFERENCES invites (invite),
    account BYTEA NOT NULL,
    PRIMARY KEY (invite, account)
);

CREATE TABLE enrolments (
    enrolment     BYTEA   NOT NULL PRIMARY KEY,
    account       BYTEA   NOT NULL,
    ephemeral_key BYTEA   NOT NULL,
    request       BYTEA,
    states        BYTEA,
    expires_s     BIGINT  NOT NULL
);

CREATE TABLE spaces (
    space         BYTEA   NOT NULL PRIMARY KEY,
    access        BYTEA   NOT NULL, -- hash of what opens it; a row of zeros is being swept
    seq           BIGINT  NOT NULL,
    head          BYTEA   NOT NULL,
    bytes         BIGINT  NOT NULL, -- of live records
    records       BIGINT  NOT NULL, -- live ones
    commit_bytes  BIGINT  NOT NULL, -- of commits that are kept whole
    quota_bytes   BIGINT  NOT NULL,
    quota_records BIGINT  NOT NULL,
    first_seq     BIGINT  NOT NULL, -- of the oldest commit that is kept whole, or the one to come
    first_day     BIGINT  NOT NULL  -- on which that one came
);

CREATE TABLE commits (
    space BYTEA   NOT NULL REFERENCES spaces (space),
    seq   BIGINT  NOT NULL,
    hash  BYTEA   NOT NULL,
    day   BIGINT  NOT NULL,
    body  BYTEA   NOT NULL,
    PRIMARY KEY (space, seq)
);

-- Hashes of commits that are no longer kept, 256 a row: 32 bytes a commit, for ever.
CREATE TABLE history (
    space  BYTEA   NOT NULL REFERENCES spaces (space),
    run    BIGINT  NOT NULL,
    hashes BYTEA   NOT NULL,
    PRIMARY KEY (space, run)
);

-- No foreign key: whoever writes here holds the row of the space.
CREATE TABLE slots (
    space  BYTEA   NOT NULL,
    slot   BYTEA   NOT NULL,
    seq    BIGINT  NOT NULL, -- of its last change
    epoch  BIGINT  NOT NULL,
    record BYTEA,            -- none: deleted
    PRIMARY KEY (space, slot)
);
-- Ciphertext does not compress: do not try.
ALTER TABLE slots ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE INDEX slots_by_change ON slots (space, seq, slot);
CREATE INDEX slots_gone ON slots (space, seq) WHERE record IS NULL;
