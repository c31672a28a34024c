//! Signatures over a server's fresh challenge: how a device, a recovery code or an identity speaks to a server.
//!
//! SPEC.md section 5.6. Three labels, three shapes: a signature given for one purpose is none for another.
//! `audience` is the origin that the client dialled (`https://sync.example.org`), so that another server cannot
//! pass a challenge on and sign in with the answer.

use crate::cbor::{Item, encode};
use crate::ids::{AccountId, DeviceId};
use crate::labels;
use crate::signing::{BadSignature, Signature, VerifyingKey};

/// A server's fresh random challenge, and who the client thinks it is talking to.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// Random, used once.
    pub nonce: &'a [u8; 32],
    /// The origin that the client dialled.
    pub audience: &'a str,
}

/// What only the owner of the password may ask for, beyond publishing an account state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityAction {
    /// Delete the account and everything in it.
    DeleteAccount,
    /// Refuse this device from now on: the first step of its revocation.
    BlockDevice(DeviceId),
}

impl IdentityAction {
    fn items(&self) -> [Item<'_>; 2] {
        match self {
            Self::DeleteAccount => ["delete-account".into(), Item::Bytes(&[])],
            Self::BlockDevice(device) => ["block-device".into(), device.into()],
        }
    }
}

/// Checks the sign-in of a device.
///
/// # Errors
/// When the device has not signed exactly this.
pub fn verify_device_sign_in(
    key: &VerifyingKey,
    account: &AccountId,
    device: &DeviceId,
    challenge: Challenge<'_>,
    signature: &Signature,
) -> Result<(), BadSignature> {
    key.verify(labels::DEVICE_SIGN_IN, &message(&[account.into(), device.into()], challenge), signature)
}

/// Checks the sign-in of whoever holds the recovery code.
///
/// # Errors
/// When the recovery key has not signed exactly this.
pub fn verify_recovery_sign_in(
    key: &VerifyingKey,
    challenge: Challenge<'_>,
    signature: &Signature,
) -> Result<(), BadSignature> {
    key.verify(labels::RECOVERY_SIGN_IN, &message(&[key.as_bytes().into()], challenge), signature)
}

/// Checks a request that the identity key must sign.
///
/// # Errors
/// When the identity has not signed exactly this.
pub fn verify_identity_request(
    identity: &VerifyingKey,
    account: &AccountId,
    action: &IdentityAction,
    challenge: Challenge<'_>,
    signature: &Signature,
) -> Result<(), BadSignature> {
    let [verb, subject] = action.items();
    identity.verify(
        labels::IDENTITY_REQUEST,
        &message(&[account.into(), verb, subject], challenge),
        signature,
    )
}

fn message(who: &[Item<'_>], challenge: Challenge<'_>) -> Vec<u8> {
    let mut items = vec![u64::from(crate::VERSION).into()];
    items.extend_from_slice(who);
    items.push(challenge.nonce.into());
    items.push(challenge.audience.into());
    encode(&items)
}

#[cfg(feature = "client")]
mod sign {
    use super::super::keys::{DeviceSecret, IdentitySecret};
    use super::super::recovery::RecoverySignInSecret;
    use super::{Challenge, IdentityAction, message};
    use crate::ids::AccountId;
    use crate::labels;
    use crate::signing::Signature;

    impl DeviceSecret {
        /// Signs in as this device.
        #[must_use]
        pub fn sign_in(&self, account: &AccountId, challenge: Challenge<'_>) -> Signature {
            let device = self.id();
            self.signing
                .sign(labels::DEVICE_SIGN_IN, &message(&[account.into(), (&device).into()], challenge))
        }
    }

    impl RecoverySignInSecret {
        /// Signs in with the recovery code.
        #[must_use]
        pub fn sign_in(&self, challenge: Challenge<'_>) -> Signature {
            let public = self.public();
            self.0.sign(labels::RECOVERY_SIGN_IN, &message(&[public.as_bytes().into()], challenge))
        }
    }

    impl IdentitySecret {
        /// Signs a request that only the owner of the password may make.
        #[must_use]
        pub fn sign_request(
            &self,
            account: &AccountId,
            action: &IdentityAction,
            challenge: Challenge<'_>,
        ) -> Signature {
            let [verb, subject] = action.items();
            self.0.sign(labels::IDENTITY_REQUEST, &message(&[account.into(), verb, subject], challenge))
        }
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::keys::{DeviceSecret, IdentitySecret};
    use super::super::recovery::RecoveryCode;
    use super::*;

    #[test]
    fn a_signature_is_good_for_one_purpose_challenge_and_audience() {
        let rng = &mut StdRng::seed_from_u64(1);
        let device = DeviceSecret::make(rng);
        let (key, id, account) = (device.public().signing, device.id(), AccountId::new([1; 16]));
        let here = Challenge { nonce: &[7; 32], audience: "https://a.example" };
        let good = device.sign_in(&account, here);
        let verify = |account: &AccountId, id: &DeviceId, challenge: Challenge<'_>, signature: &Signature| {
            verify_device_sign_in(&key, account, id, challenge, signature)
        };
        assert_eq!(verify(&account, &id, here, &good), Ok(()));

        let elsewhere = Challenge { audience: "https://b.example", ..here };
        let later = Challenge { nonce: &[8; 32], ..here };
        assert_eq!(verify(&account, &id, elsewhere, &good), Err(BadSignature));
        assert_eq!(verify(&account, &id, later, &good), Err(BadSignature));
        assert_eq!(verify(&AccountId::new([2; 16]), &id, here, &good), Err(BadSignature));
        assert_eq!(verify(&account, &DeviceId::new([2; 16]), here, &good), Err(BadSignature));
        assert_eq!(verify_recovery_sign_in(&key, here, &good), Err(BadSignature));
        for byte in 0..good.len() {
            let mut bad = good;
            bad[byte] ^= 1;
            assert_eq!(verify(&account, &id, here, &bad), Err(BadSignature), "byte {byte}");
        }
    }

    #[test]
    fn an_identity_request_names_its_action_and_subject() {
        let rng = &mut StdRng::seed_from_u64(1);
        let identity = IdentitySecret::make(rng);
        let account = super::super::keys::account_id(&identity.public());
        let here = Challenge { nonce: &[7; 32], audience: "" };
        let block = IdentityAction::BlockDevice(DeviceId::new([1; 16]));
        let signature = identity.sign_request(&account, &block, here);
        let verify = |action: &IdentityAction| {
            verify_identity_request(&identity.public(), &account, action, here, &signature)
        };
        assert_eq!(verify(&block), Ok(()));
        assert_eq!(verify(&IdentityAction::BlockDevice(DeviceId::new([2; 16]))), Err(BadSignature));
        assert_eq!(verify(&IdentityAction::DeleteAccount), Err(BadSignature));
    }

    #[test]
    fn a_recovery_code_signs_in() {
        let code = RecoveryCode::make(&mut StdRng::seed_from_u64(1));
        let secret = code.sign_in_secret();
        let here = Challenge { nonce: &[7; 32], audience: "" };
        let signature = secret.sign_in(here);
        assert_eq!(verify_recovery_sign_in(&secret.public(), here, &signature), Ok(()));
        let later = Challenge { nonce: &[8; 32], ..here };
        assert_eq!(verify_recovery_sign_in(&secret.public(), later, &signature), Err(BadSignature));
    }
}
