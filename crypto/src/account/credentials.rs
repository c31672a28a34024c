//! The credential set: everything that the server keeps so that a password or a recovery code opens the account.
//!
//! SPEC.md section 5.4.
//!
//! ```text
//! set  = version ‖ [ OPAQUE record, password bundle, recovery bundle, recovery sign-in key, keyring ]
//! hash = SHA-256(label ‖ 0x00 ‖ set)
//! ```
//!
//! The account state names the hash, so a server cannot pair an old bundle with a new state. The server keeps
//! the parts but can open none.

use super::keys::read_verifying_key;
use crate::cbor::{DecodeError, Decoder, encode_versioned};
use crate::hash;
use crate::ids::CredentialSetHash;
use crate::labels;
use crate::signing::VerifyingKey;

/// The longest a credential set may be.
pub const CREDENTIAL_SET_LEN_MAX: usize = 64 * 1024;

/// The parts of a credential set; changed together or not at all.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialSet {
    /// The OPAQUE registration record.
    pub opaque_record: Vec<u8>,
    /// Sealed under the password.
    pub password_bundle: Vec<u8>,
    /// Sealed under the recovery code.
    pub recovery_bundle: Vec<u8>,
    /// Finds the account and verifies the sign-in of whoever has the recovery code.
    pub recovery_sign_in: VerifyingKey,
    /// Name key and earlier root keys, sealed under the newest root key.
    pub keyring: Vec<u8>,
}

impl CredentialSet {
    /// As it is stored and hashed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode_versioned(&[
            self.opaque_record.as_slice().into(),
            self.password_bundle.as_slice().into(),
            self.recovery_bundle.as_slice().into(),
            self.recovery_sign_in.as_bytes().into(),
            self.keyring.as_slice().into(),
        ])
    }

    /// Reads a set. Nothing in it is to be used before its hash matched a verified account state.
    ///
    /// # Errors
    /// When the bytes are not in the one form that a credential set has.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CREDENTIAL_SET_LEN_MAX {
            return Err(DecodeError::TooLarge);
        }
        let mut d = Decoder::versioned(bytes, 5)?;
        let set = Self {
            opaque_record: d.bytes()?.to_vec(),
            password_bundle: d.bytes()?.to_vec(),
            recovery_bundle: d.bytes()?.to_vec(),
            recovery_sign_in: read_verifying_key(&mut d)?,
            keyring: d.bytes()?.to_vec(),
        };
        d.finish()?;
        Ok(set)
    }

    /// The hash that an account state names.
    #[must_use]
    pub fn hash(&self) -> CredentialSetHash {
        CredentialSetHash::new(hash::labelled(labels::CREDENTIAL_SET_HASH, &[&self.to_bytes()]))
    }
}

/// The OPAQUE record holds a masking key, and nothing here is for logs.
impl std::fmt::Debug for CredentialSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CredentialSet({})", self.hash())
    }
}
