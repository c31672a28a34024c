//! Every domain string of Alcove, in one place.
//!
//! A label stands first in everything that is hashed, signed or derived, so a value made for one
//! purpose can never be taken for another. No label is a prefix of another and none is used twice;
//! the test below and the table in SPEC.md section 3 both say so.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// All of them, for the tests that compare this file with SPEC.md.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

labels! {
    /// Context of the OPAQUE handshake; the Argon2id parameters stand in it, so that nobody can change them unseen.
    OPAQUE_CONTEXT = "alcove/1/opaque/argon2id-m65536-t3-p4";
    /// Id of an OPAQUE server setup: hash of its public key.
    OPAQUE_SETUP = "alcove/1/opaque-setup";

    /// Key of the password bundle, from OPAQUE's export key.
    PASSWORD_KEK = "alcove/1/password-kek";
    /// Key of the recovery bundle, from the recovery code.
    RECOVERY_KEK = "alcove/1/recovery-kek";
    /// Seed of the recovery sign-in key, from the recovery code.
    RECOVERY_SIGN_IN_SEED = "alcove/1/recovery-seed";
    /// Checksum of a written recovery code.
    RECOVERY_CHECKSUM = "alcove/1/recovery-checksum";
    /// Sealed: the password bundle.
    PASSWORD_BUNDLE = "alcove/1/password-bundle";
    /// Sealed: the recovery bundle.
    RECOVERY_BUNDLE = "alcove/1/recovery-bundle";

    /// Account id: hash of the first identity key.
    ACCOUNT_ID = "alcove/1/account-id";
    /// Device id: hash of the device's two public keys.
    DEVICE_ID = "alcove/1/device-id";
    /// Hash of an account state, by which the next one names it.
    ACCOUNT_STATE_HASH = "alcove/1/account-state-hash";
    /// Signature of the identity key over an account state.
    ACCOUNT_STATE_SIGNATURE = "alcove/1/account-state-signature";
    /// Signature of the identity key that is given up over the state that replaces it.
    ACCOUNT_HANDOVER_SIGNATURE = "alcove/1/account-handover-signature";
    /// Hash of a credential set.
    CREDENTIAL_SET_HASH = "alcove/1/credential-set-hash";

    /// Commitment to a root key.
    ROOT_COMMITMENT = "alcove/1/root-commitment";
    /// Key of the keyring, from a root key.
    KEYRING_KEY = "alcove/1/keyring-key";
    /// Sealed: the keyring of an account.
    KEYRING = "alcove/1/account-keyring";
    /// Key of the private space in one epoch, from a root key.
    PRIVATE_SPACE_KEY = "alcove/1/private-space-key";
    /// Commitment to the key of a shared space.
    SHARED_SPACE_COMMITMENT = "alcove/1/shared-space-commitment";
    /// Sealed: the earlier keys of a shared space.
    SHARED_KEYRING = "alcove/1/shared-keyring";
    /// HPKE info: a root key for a device.
    ROOT_GRANT = "alcove/1/root-grant";
    /// HPKE info: a shared space's key for a member's inbox.
    SPACE_GRANT = "alcove/1/space-grant";

    /// Signature by which a device signs in.
    DEVICE_SIGN_IN = "alcove/1/device-sign-in";
    /// Signature by which the holder of the recovery code signs in.
    RECOVERY_SIGN_IN = "alcove/1/recovery-sign-in";
    /// Signature of the identity key under a request that only the password's owner may make.
    IDENTITY_REQUEST = "alcove/1/identity-request";

    /// Hash of the ephemeral key in an enrolment QR code.
    ENROLMENT_KEY_HASH = "alcove/1/enrolment-key-hash";
    /// HPKE info: what the new device sends to the trusted one.
    ENROLMENT_REQUEST = "alcove/1/enrolment-request";
    /// Proof that the new device has seen the QR code.
    ENROLMENT_PROOF = "alcove/1/enrolment-proof";
    /// One side's half of a safety number.
    SAFETY_NUMBER = "alcove/1/safety-number";

    /// Slot of a singleton record.
    SINGLETON_SLOT = "alcove/1/singleton-slot";
    /// Sealed: a record.
    RECORD = "alcove/1/record";
    /// Signature of the author of a record in a shared space.
    SHARED_RECORD_SIGNATURE = "alcove/1/shared-record-signature";

    /// Head of an empty space.
    SPACE_START = "alcove/1/space-start";
    /// Head after a commit.
    SPACE_HEAD = "alcove/1/space-head";
    /// Signature of a device over the header of a commit.
    COMMIT_SIGNATURE = "alcove/1/commit-signature";
    /// Sealed: the header of a commit.
    COMMIT_HEADER = "alcove/1/commit-header";
    /// Hash of the control of a shared space.
    CONTROL_HASH = "alcove/1/control-hash";
    /// Sealed: the control of a shared space.
    CONTROL = "alcove/1/sealed-control";

    /// Sealed in chunks: an attachment.
    ATTACHMENT = "alcove/1/attachment";
    /// Sealed: a value in the device's local store.
    LOCAL_VALUE = "alcove/1/local-value";
    /// Key of the local store from a passphrase, by Argon2id with the parameters that stand here.
    LOCAL_PASSPHRASE = "alcove/1/local-passphrase/argon2id-m65536-t3-p4";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn labels_are_unique_and_none_is_a_prefix_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert!(!a.starts_with(b) && !b.starts_with(a), "{a} and {b}");
            }
        }
    }

    #[test]
    fn spec_lists_every_label_and_no_other() {
        let spec = include_str!("../SPEC.md");
        let listed: Vec<&str> = spec
            .lines()
            .filter_map(|line| line.strip_prefix("| `alcove/1/"))
            .map(|rest| rest.split('`').next().unwrap_or_default())
            .collect();
        let ours: Vec<&str> = ALL.iter().map(|l| &l["alcove/1/".len()..]).collect();
        assert_eq!(listed, ours, "SPEC.md section 3 must list the labels in the order of labels.rs");
    }
}
