//! Ed25519, always behind a label, always strict.
//!
//! SPEC.md section 2.5. A signature covers `label ‖ 0x00 ‖ exact bytes`. Verification is cofactorless and refuses
//! what implementations disagree about: a key or `R` of small order, a key that is not in canonical form,
//! an `S` that is not reduced. So every platform reaches the same verdict.

use ed25519_dalek::{Signature as DalekSignature, VerifyingKey as DalekKey};
use thiserror::Error;

/// Length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// A signature, not yet verified.
pub type Signature = [u8; SIGNATURE_LEN];

/// A public key for signatures, known to be a point that is safe to verify with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(DalekKey);

/// The bytes are no public key: not on the curve, not canonical, or of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a usable public key")]
pub struct BadPublicKey;

/// The signature is not by this key over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl VerifyingKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// When they are not the canonical encoding of a point, or the point has small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadPublicKey> {
        let key = DalekKey::from_bytes(bytes).map_err(|_| BadPublicKey)?;
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if canonical && !key.is_weak() { Ok(Self(key)) } else { Err(BadPublicKey) }
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Checks a signature over `label ‖ 0x00 ‖ bytes`.
    ///
    /// # Errors
    /// When it does not verify, for whatever reason.
    pub fn verify(&self, label: &str, bytes: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        self.verify_raw(&labelled(label, bytes), signature)
    }

    /// Checks a signature over exactly `message`; the published vectors need it, and nothing else.
    pub(crate) fn verify_raw(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        self.0.verify_strict(message, &DalekSignature::from_bytes(signature)).map_err(|_| BadSignature)
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyingKey(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

fn labelled(label: &str, bytes: &[u8]) -> Vec<u8> {
    [label.as_bytes(), &[0], bytes].concat()
}

#[cfg(feature = "client")]
mod secret {
    use ed25519_dalek::Signer;
    use rand_core::CryptoRng;
    use zeroize::Zeroizing;

    use super::{Signature, VerifyingKey, labelled};
    use crate::secret::Secret;

    /// A secret key for signatures; its owner's type says what it may sign.
    pub(crate) struct SigningKey(ed25519_dalek::SigningKey);

    impl SigningKey {
        pub(crate) fn make(rng: &mut impl CryptoRng) -> Self {
            Self::from_seed(&Secret::make(rng))
        }

        pub(crate) fn from_seed(seed: &Secret) -> Self {
            Self(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
        }

        pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
            Zeroizing::new(self.0.to_bytes())
        }

        pub(crate) fn public(&self) -> VerifyingKey {
            VerifyingKey(self.0.verifying_key())
        }

        pub(crate) fn sign(&self, label: &str, bytes: &[u8]) -> Signature {
            self.0.sign(&labelled(label, bytes)).to_bytes()
        }

        #[cfg(test)]
        pub(crate) fn sign_raw(&self, message: &[u8]) -> Signature {
            self.0.sign(message).to_bytes()
        }
    }

    impl std::fmt::Debug for SigningKey {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("[secret]")
        }
    }
}
#[cfg(feature = "client")]
pub(crate) use secret::SigningKey;
