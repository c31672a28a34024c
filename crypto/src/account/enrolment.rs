//! Enrolment of a device by QR code: the trusted device shows it, the new one scans.
//!
//! SPEC.md section 5.7.
//!
//! ```text
//! QR      = version ‖ [ enrolment id, hash of ephemeral key, secret(16), account, state version, state hash,
//!                       private space, seq, head ]
//! request = HPKE to the ephemeral key: [ signing key, receiving key, proof ]
//! proof   = HKDF-Expand(Extract(secret), [ label, version, enrolment id, ephemeral key, state hash, both keys ])
//! ```
//!
//! The server carries the ephemeral key and the request. It cannot replace the one (its hash is in the QR code) nor
//! forge the other (it never sees the secret). The answer is an ordinary account state that lists the new device
//! and an ordinary grant: the new device accepts only the direct successor of the state whose hash it scanned, so
//! it starts with no gap in freshness.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::keys::{DeviceKeys, DeviceSecret, ReceivingKey, ReceivingSecret};
use super::state::{SignedState, StateError, VerifiedState};
use crate::cbor::{DecodeError, Decoder, encode, encode_versioned};
use crate::hash::{context, derive, extract, labelled};
use crate::hpke::{self, HpkeError};
use crate::ids::{AccountId, AccountStateHash, DeviceId, EnrolmentId, Head, SpaceId};
use crate::labels;
use crate::secret::Secret;
use crate::space::header::Place;

/// What the QR code says.
#[derive(Debug)]
pub struct Invitation {
    /// This attempt.
    pub id: EnrolmentId,
    /// The account that the new device is invited to.
    pub account: AccountId,
    /// Version of its state when the code was shown.
    pub state_version: u64,
    /// Hash of that state.
    pub state_hash: AccountStateHash,
    /// The private space and how far the trusted device knows it.
    pub space: SpaceId,
    /// Newest commit that the trusted device knows.
    pub seq: u64,
    /// The head there.
    pub head: Head,
    key_hash: [u8; 32],
    secret: Secret<16>,
}

/// The trusted device, while it shows the code. It takes one request and is gone: one try a session.
#[derive(Debug)]
pub struct Inviting {
    invitation: Invitation,
    ephemeral: ReceivingSecret,
}

/// The new device, after it sent its request.
#[derive(Debug)]
pub struct Joining {
    invitation: Invitation,
    device: DeviceSecret,
}

/// Why an enrolment failed. It is over then; a new code must be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// Not a code, or not a request.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The ephemeral key is not the one whose hash was scanned.
    #[error("the server passed on another key than the one in the code")]
    WrongKey,
    /// The request does not open or does not prove that its sender scanned the code.
    #[error("the request is not from a device that scanned the code")]
    NotScanned,
    /// The trusted device's key is not usable.
    #[error(transparent)]
    Message(#[from] HpkeError),
    /// The state is not the one that was scanned, or not its direct successor.
    #[error(transparent)]
    State(#[from] StateError),
    /// The account's new state does not list this device, or lists another beside it.
    #[error("the account's new state does not add this device and only this one")]
    NotEnrolled,
}

impl Inviting {
    /// Starts on the trusted device, which knows the account at `state` and the private space at `seq` and `head`.
    #[must_use]
    pub fn start(state: &VerifiedState, seq: u64, head: Head, rng: &mut impl CryptoRng) -> Self {
        let ephemeral = ReceivingSecret::make(rng);
        let invitation = Invitation {
            id: EnrolmentId::make(rng),
            account: state.state().account,
            state_version: state.state().version,
            state_hash: state.hash(),
            space: state.state().private_space,
            seq,
            head,
            key_hash: key_hash(&ephemeral.public()),
            secret: Secret::make(rng),
        };
        Self { invitation, ephemeral }
    }

    #[cfg(test)]
    pub(crate) fn for_vectors(invitation: Invitation, ephemeral: ReceivingSecret) -> Self {
        Self { invitation, ephemeral }
    }

    #[cfg(test)]
    pub(crate) fn ephemeral_for_vectors(&self) -> &ReceivingSecret {
        &self.ephemeral
    }

    /// The bytes of the QR code. Whoever reads them can ask to be enrolled once.
    #[must_use]
    pub fn code(&self) -> Zeroizing<Vec<u8>> {
        self.invitation.encode()
    }

    /// What the server passes on to the new device beside the code.
    #[must_use]
    pub fn ephemeral_key(&self) -> ReceivingKey {
        self.ephemeral.public()
    }

    /// Takes the one request. Its keys are then shown to the user, who names the device, types the
    /// password, and signs a state that lists it.
    ///
    /// # Errors
    /// When the sender has not scanned this code. There is no second try.
    pub fn accept(self, request: &[u8]) -> Result<DeviceKeys, EnrolmentError> {
        let info = self.invitation.request_info();
        let plaintext =
            hpke::open_from(&self.ephemeral, &info, request).map_err(|_| EnrolmentError::NotScanned)?;
        let mut d = Decoder::new(&plaintext, 3)?;
        let keys = DeviceKeys::read(&mut d)?;
        let claimed: [u8; 32] = d.fixed()?;
        d.finish()?;
        let proof = self.invitation.proof(&self.ephemeral.public(), &keys);
        if bool::from(proof.expose().ct_eq(&claimed)) { Ok(keys) } else { Err(EnrolmentError::NotScanned) }
    }
}

impl Invitation {
    /// Reads a scanned code.
    ///
    /// # Errors
    /// When it is not such a code.
    pub fn parse(code: &[u8]) -> Result<Self, EnrolmentError> {
        let mut d = Decoder::versioned(code, 9)?;
        let invitation = Self {
            id: d.fixed()?.into(),
            key_hash: d.fixed()?,
            secret: Secret::new(d.fixed()?),
            account: d.fixed()?.into(),
            state_version: d.uint()?,
            state_hash: d.fixed()?.into(),
            space: d.fixed()?.into(),
            seq: d.uint()?,
            head: d.fixed()?.into(),
        };
        d.finish()?;
        Ok(invitation)
    }

    /// Answers the invitation on the new device: gives the request to send.
    ///
    /// # Errors
    /// When the server passed on another key than the one that was shown.
    pub fn join(
        self,
        device: DeviceSecret,
        ephemeral: &ReceivingKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Joining), EnrolmentError> {
        if key_hash(ephemeral) != self.key_hash {
            return Err(EnrolmentError::WrongKey);
        }
        let keys = device.public();
        let proof = self.proof(ephemeral, &keys);
        let [signing, receiving] = keys.items();
        let plaintext = Zeroizing::new(encode(&[signing, receiving, proof.expose().into()]));
        let request = hpke::seal_to(ephemeral, &self.request_info(), &plaintext, rng)?;
        Ok((request, Joining { invitation: self, device }))
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(encode_versioned(&[
            (&self.id).into(),
            (&self.key_hash).into(),
            self.secret.expose().into(),
            (&self.account).into(),
            self.state_version.into(),
            (&self.state_hash).into(),
            (&self.space).into(),
            self.seq.into(),
            (&self.head).into(),
        ]))
    }

    fn request_info(&self) -> Vec<u8> {
        context(
            labels::ENROLMENT_REQUEST,
            &[(&self.id).into(), (&self.account).into(), (&self.state_hash).into()],
        )
    }

    fn proof(&self, ephemeral: &ReceivingKey, keys: &DeviceKeys) -> Secret {
        let [signing, receiving] = keys.items();
        let context = context(
            labels::ENROLMENT_PROOF,
            &[(&self.id).into(), (&ephemeral.0).into(), (&self.state_hash).into(), signing, receiving],
        );
        derive(&extract(self.secret.expose()), &context)
    }
}

impl Joining {
    #[cfg(test)]
    pub(crate) fn for_vectors(invitation: Invitation, device: DeviceSecret) -> Self {
        Self { invitation, device }
    }

    /// The id of the new device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device.id()
    }

    /// Ends on the new device. `scanned` is the state whose hash was in the code, `enrolled` the one after it. The place is
    /// what the first pull of the private space must [expect](crate::space::pull::Pull::expect).
    ///
    /// # Errors
    /// When either is not what the code promised. Nothing of the account is believed then.
    pub fn finish(
        self,
        scanned: SignedState,
        enrolled: SignedState,
    ) -> Result<(DeviceSecret, VerifiedState, Place), EnrolmentError> {
        let claims = scanned.claims();
        if scanned.hash() != self.invitation.state_hash || claims.account != self.invitation.account {
            return Err(StateError::NotSuccessor.into());
        }
        let identity = claims.identity;
        let scanned = scanned.verify_under(&identity)?;
        let enrolled = enrolled.verify_after(&scanned)?;
        let known = |id| scanned.state().devices.iter().any(|device| device.keys.id() == id);
        let mut added =
            enrolled.state().devices.iter().map(|device| device.keys.id()).filter(|id| !known(*id));
        let ours = self.device.id();
        if added.next() != Some(ours)
            || added.next().is_some()
            || enrolled.state().live_device(&ours).is_none()
        {
            return Err(EnrolmentError::NotEnrolled);
        }
        if enrolled.state().private_space != self.invitation.space {
            return Err(StateError::NotSuccessor.into());
        }
        Ok((self.device, enrolled, Place { seq: self.invitation.seq, head: self.invitation.head }))
    }
}

fn key_hash(key: &ReceivingKey) -> [u8; 32] {
    labelled(labels::ENROLMENT_KEY_HASH, &[&key.0])
}

#[cfg(test)]
mod tests;
