//! The asymmetric keys of an account: identity, device, inbox.
//!
//! SPEC.md section 5.1. Public halves are always here; secret halves exist only on a user's device.

#[cfg(feature = "client")]
use crate::cbor::Item;
use crate::cbor::{DecodeError, Decoder};
use crate::hash;
use crate::ids::{AccountId, DeviceId};
use crate::labels;
use crate::signing::VerifyingKey;

/// An X25519 public key: what keys are sealed to. Low-order points are refused when sealing and opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceivingKey(pub [u8; 32]);

/// The public halves of a device's two keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceKeys {
    /// Signs commits and challenges.
    pub signing: VerifyingKey,
    /// Receives root keys.
    pub receiving: ReceivingKey,
}

impl DeviceKeys {
    /// The id of the device: a hash of both keys, so that nobody can give a device another's.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        let hash = hash::labelled(labels::DEVICE_ID, &[self.signing.as_bytes(), &self.receiving.0]);
        DeviceId::new(hash::truncated(hash))
    }

    #[cfg(feature = "client")]
    pub(crate) fn items(&self) -> [Item<'_>; 2] {
        [self.signing.as_bytes().into(), (&self.receiving.0).into()]
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { signing: read_verifying_key(decoder)?, receiving: ReceivingKey(decoder.fixed()?) })
    }
}

/// The id of an account: a hash of its first identity key, so that nobody can found one under an id that is not theirs.
#[must_use]
pub fn account_id(first_identity: &VerifyingKey) -> AccountId {
    AccountId::new(hash::truncated(hash::labelled(labels::ACCOUNT_ID, &[first_identity.as_bytes()])))
}

pub(crate) fn read_verifying_key(decoder: &mut Decoder<'_>) -> Result<VerifyingKey, DecodeError> {
    VerifyingKey::from_bytes(&decoder.fixed()?).map_err(|_| DecodeError::Shape)
}

#[cfg(feature = "client")]
mod secret {
    use rand_core::CryptoRng;
    use x25519_dalek::{PublicKey, StaticSecret};
    use zeroize::Zeroizing;

    use super::{DeviceKeys, ReceivingKey};
    use crate::ids::DeviceId;
    use crate::secret::{Secret, stored_key};
    use crate::signing::{SigningKey, VerifyingKey};

    /// The identity key. It is opened only while the user has typed the password or the recovery code.
    #[derive(Debug)]
    pub struct IdentitySecret(pub(crate) SigningKey);

    impl IdentitySecret {
        /// A new identity.
        #[must_use]
        pub fn make(rng: &mut impl CryptoRng) -> Self {
            Self(SigningKey::make(rng))
        }

        /// Its public half.
        #[must_use]
        pub fn public(&self) -> VerifyingKey {
            self.0.public()
        }
    }

    stored_key! {
        /// The secret half of a key that receives keys.
        ReceivingSecret
    }

    impl ReceivingSecret {
        /// Its public half.
        #[must_use]
        pub fn public(&self) -> ReceivingKey {
            ReceivingKey(PublicKey::from(&StaticSecret::from(*self.0.expose())).to_bytes())
        }
    }

    /// Both secret keys of a device: made on it, and they never leave it.
    #[derive(Debug)]
    pub struct DeviceSecret {
        pub(crate) signing: SigningKey,
        pub(crate) receiving: ReceivingSecret,
    }

    impl DeviceSecret {
        /// New keys for a new device.
        #[must_use]
        pub fn make(rng: &mut impl CryptoRng) -> Self {
            Self { signing: SigningKey::make(rng), receiving: ReceivingSecret::make(rng) }
        }

        /// From the bytes that [`DeviceSecret::expose`] gave.
        #[must_use]
        pub fn from_bytes(bytes: &[u8; 64]) -> Self {
            let (signing, receiving) = bytes.split_at(32);
            Self {
                signing: SigningKey::from_seed(&Secret::filled(|out| out.copy_from_slice(signing))),
                receiving: ReceivingSecret(Secret::filled(|out| out.copy_from_slice(receiving))),
            }
        }

        /// Both secrets, for the key store of the platform.
        #[must_use]
        pub fn expose(&self) -> Zeroizing<[u8; 64]> {
            let mut bytes = Zeroizing::new([0; 64]);
            bytes[..32].copy_from_slice(&*self.signing.seed());
            bytes[32..].copy_from_slice(self.receiving.expose());
            bytes
        }

        /// The public halves.
        #[must_use]
        pub fn public(&self) -> DeviceKeys {
            DeviceKeys { signing: self.signing.public(), receiving: self.receiving.public() }
        }

        /// The device's id.
        #[must_use]
        pub fn id(&self) -> DeviceId {
            self.public().id()
        }
    }
}
#[cfg(feature = "client")]
pub use secret::{DeviceSecret, IdentitySecret, ReceivingSecret};

#[cfg(all(test, feature = "client"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signing::BadSignature;
    use crate::world::CounterRng;

    #[test]
    fn nothing_secret_is_printed() {
        let rng = &mut CounterRng::new(1);
        let code = crate::account::recovery::RecoveryCode::make(rng);
        let secrets: [&dyn std::fmt::Debug; 11] = [
            &IdentitySecret::make(rng),
            &DeviceSecret::make(rng),
            &ReceivingSecret::make(rng),
            &crate::account::root::RootKey::make(rng),
            &crate::account::root::UnverifiedRootKey::new(1, [7; 32]),
            &crate::account::root::Keyring::new(crate::account::root::NameKey::make(rng)),
            &code.kek(),
            &code.sign_in_secret(),
            &crate::space::keys::SpaceKey::make(1, rng),
            &crate::attachment::AttachmentKey::make(rng),
            &crate::local::LocalKey::make(rng),
        ];
        let printed = secrets.map(|secret| format!("{secret:?}")).join("\n");
        insta::assert_snapshot!(format!("{printed}\n{code:?}"));
    }

    #[test]
    fn secrets_come_back_from_the_key_store() {
        let device = DeviceSecret::make(&mut CounterRng::new(1));
        assert_eq!(DeviceSecret::from_bytes(&device.expose()).id(), device.id());
        let inbox = ReceivingSecret::make(&mut CounterRng::new(1));
        assert_eq!(ReceivingSecret::from_bytes(*inbox.expose()).public(), inbox.public());
    }

    proptest! {
        #[test]
        fn a_signature_is_over_one_label_and_message(seed: u64, message: Vec<u8>, other: Vec<u8>) {
            let key = IdentitySecret::make(&mut CounterRng::new(seed));
            let signature = key.0.sign("label", &message);
            prop_assert_eq!(key.public().verify("label", &message, &signature), Ok(()));
            prop_assert_eq!(key.public().verify("labem", &message, &signature), Err(BadSignature));
            if other != message {
                prop_assert_eq!(key.public().verify("label", &other, &signature), Err(BadSignature));
            }
        }

        #[test]
        fn what_is_sent_to_a_receiver_opens(seed: u64, info: Vec<u8>, plaintext: Vec<u8>) {
            let rng = &mut CounterRng::new(seed);
            let receiver = ReceivingSecret::make(rng);
            let message = crate::hpke::seal_to(&receiver.public(), &info, &plaintext, rng).unwrap();
            let opened = crate::hpke::open_from(&receiver, &info, &message).unwrap();
            prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
        }
    }
}
