//! The account state: what is true of an account, signed by its identity key.
//!
//! SPEC.md section 5.2.
//!
//! ```text
//! body   = version ‖ [ account, state version, previous hash, identity, minimum protocol, private space,
//!                      [ device, … ], inbox, epoch, root commitment, credential-set hash ]
//! device = [ signing key, receiving key, day added, [ day revoked ]? ]
//! signed = version ‖ [ body, identity signature, [ handover signature ]? ]
//! hash   = SHA-256(label ‖ 0x00 ‖ body)
//! ```
//!
//! Each state names the hash of the one before. [`VerifiedState`] exists only for a state whose signature and
//! place have been checked; everything that needs an account's word takes one.

use thiserror::Error;

use super::keys::{DeviceKeys, ReceivingKey, account_id, read_verifying_key};
use crate::cbor::{DecodeError, Decoder};
use crate::hash;
use crate::ids::{AccountId, AccountStateHash, CredentialSetHash, DeviceId, KeyCommitment, SpaceId};
use crate::labels;
use crate::signing::{BadSignature, Signature, VerifyingKey};

/// Devices that an account state may list, revoked ones included.
pub const DEVICES_MAX: usize = 128;
/// Epochs that an account can go through: each is a revocation or a "compromised".
pub const EPOCHS_MAX: usize = 1024;

/// A device as the account state lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its public keys.
    pub keys: DeviceKeys,
    /// Day on which it was added, counted from 1970-01-01.
    pub added_day: u32,
    /// Day on which it was revoked, if it was.
    pub revoked_day: Option<u32>,
}

/// What an account says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// The account.
    pub account: AccountId,
    /// 1 for the first state, then one more each time.
    pub version: u64,
    /// Hash of the state before; zeros for the first.
    pub previous: AccountStateHash,
    /// The key that signs this state.
    pub identity: VerifyingKey,
    /// No device may speak a protocol version below this one.
    pub minimum_protocol: u64,
    /// The account's private space.
    pub private_space: SpaceId,
    /// Every device, live or revoked.
    pub devices: Vec<Device>,
    /// Where members of shared spaces send keys.
    pub inbox: ReceivingKey,
    /// Epoch of the root key.
    pub epoch: u64,
    /// Commitment to the root key of that epoch.
    pub root_commitment: KeyCommitment,
    /// Hash of the credential set that belongs to this state.
    pub credentials: CredentialSetHash,
}

/// A state that has been read, but not yet believed.
#[derive(Clone, Debug)]
pub struct SignedState {
    state: AccountState,
    hash: AccountStateHash,
    body: Vec<u8>,
    signature: Signature,
    handover: Option<Signature>,
    bytes: Vec<u8>,
}

/// A state whose signatures and place in the chain have been verified.
#[derive(Clone, Debug)]
pub struct VerifiedState(SignedState);

/// Why an account state is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// Not an account state at all.
    #[error("malformed account state: {0}")]
    Malformed(#[from] DecodeError),
    /// The identity key did not sign it.
    #[error("the identity key has not signed this account state")]
    BadSignature,
    /// The identity changed without the consent of the one before.
    #[error("the identity changed and the earlier one has not signed it over")]
    IdentityChanged,
    /// Another account's state.
    #[error("the state of another account")]
    WrongAccount,
    /// It does not follow the state that is known: another branch, or not the next version.
    #[error("the state does not follow the one that is known")]
    NotSuccessor,
    /// It follows, but says something that no device of ours would: see SPEC.md section 5.2 for the rules.
    #[error("the state breaks a rule of succession: {0:?}")]
    Rule(SuccessionRule),
}

/// The rules that a state must keep towards the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuccessionRule {
    /// The account id belongs to the first identity key.
    FirstIdentity,
    /// The private space stays.
    PrivateSpace,
    /// The minimum protocol version never goes down.
    MinimumProtocol,
    /// The epoch never goes down, and its key changes exactly when it goes up.
    Epoch,
    /// A live device does not vanish and keeps its keys; a revoked one stays revoked; none is listed twice.
    Devices,
    /// Whoever loses a device or an identity gets a new epoch and a new inbox.
    NewEpochDue,
}

impl AccountState {
    /// The device with this id, if it is listed and not revoked.
    #[must_use]
    pub fn live_device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.revoked_day.is_none() && device.keys.id() == *id)
    }

    fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let mut d = Decoder::versioned(body, 11)?;
        let state = Self {
            account: d.fixed()?.into(),
            version: d.uint()?,
            previous: d.fixed()?.into(),
            identity: read_verifying_key(&mut d)?,
            minimum_protocol: d.uint()?,
            private_space: d.fixed()?.into(),
            devices: (0..d.array(DEVICES_MAX)?).map(|_| Device::read(&mut d)).collect::<Result<_, _>>()?,
            inbox: ReceivingKey(d.fixed()?),
            epoch: d.uint()?,
            root_commitment: d.fixed()?.into(),
            credentials: d.fixed()?.into(),
        };
        d.finish()?;
        Ok(state)
    }

    /// What a state must keep by itself, whatever came before.
    fn check_alone(&self) -> Result<(), StateError> {
        let mut ids: Vec<_> = self.devices.iter().map(|device| device.keys.id()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) || self.devices.len() > DEVICES_MAX {
            return Err(StateError::Rule(SuccessionRule::Devices));
        }
        if self.version == 1 {
            if self.account != account_id(&self.identity) {
                return Err(StateError::Rule(SuccessionRule::FirstIdentity));
            }
            if self.previous.as_bytes() != &[0; 32] {
                return Err(StateError::NotSuccessor);
            }
        }
        if self.version == 0 || self.epoch == 0 || self.epoch > EPOCHS_MAX as u64 {
            return Err(StateError::Rule(SuccessionRule::Epoch));
        }
        Ok(())
    }

    fn check_after(&self, before: &Self) -> Result<(), SuccessionRule> {
        if self.private_space != before.private_space {
            return Err(SuccessionRule::PrivateSpace);
        }
        if self.minimum_protocol < before.minimum_protocol {
            return Err(SuccessionRule::MinimumProtocol);
        }
        let new_epoch = self.epoch > before.epoch;
        let new_key = self.root_commitment != before.root_commitment;
        if self.epoch < before.epoch || new_epoch != new_key {
            return Err(SuccessionRule::Epoch);
        }
        let mut loses_device = false;
        for old in &before.devices {
            let new = self.devices.iter().find(|new| new.keys == old.keys);
            let kept = match new {
                Some(new) => {
                    loses_device |= old.revoked_day.is_none() && new.revoked_day.is_some();
                    new.added_day == old.added_day
                        && (old.revoked_day.is_none() || new.revoked_day == old.revoked_day)
                }
                None => old.revoked_day.is_some(),
            };
            if !kept {
                return Err(SuccessionRule::Devices);
            }
        }
        let renewed = new_epoch && self.inbox != before.inbox;
        if (loses_device || self.identity != before.identity) && !renewed {
            return Err(SuccessionRule::NewEpochDue);
        }
        Ok(())
    }
}

impl Device {
    fn read(d: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        d.array_of(4)?;
        let keys = DeviceKeys::read(d)?;
        let added_day = read_day(d)?;
        let revoked_day = (d.array(1)? == 1).then(|| read_day(d)).transpose()?;
        Ok(Self { keys, added_day, revoked_day })
    }
}

fn read_day(d: &mut Decoder<'_>) -> Result<u32, DecodeError> {
    u32::try_from(d.uint()?).map_err(|_| DecodeError::TooLarge)
}

impl SignedState {
    /// Reads a signed state. Nothing in it is to be believed until it is verified.
    ///
    /// # Errors
    /// When the bytes are not in the one form that a signed state has.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        let mut d = Decoder::versioned(bytes, 3)?;
        let body = d.bytes()?.to_vec();
        let signature = d.fixed()?;
        let handover = (d.array(1)? == 1).then(|| d.fixed()).transpose()?;
        d.finish()?;
        let state = AccountState::read(&body)?;
        state.check_alone()?;
        let hash = AccountStateHash::new(hash::labelled(labels::ACCOUNT_STATE_HASH, &[&body]));
        Ok(Self { state, hash, body, signature, handover, bytes: bytes.to_vec() })
    }

    /// Believes the first state of an account: its id proves the identity key.
    ///
    /// # Errors
    /// When it is not a first state, or not signed.
    pub fn verify_first(self) -> Result<VerifiedState, StateError> {
        if self.state.version != 1 || self.handover.is_some() {
            return Err(StateError::NotSuccessor);
        }
        self.verify_signature()
    }

    /// Believes a state because the identity key is known: from a bundle that only the password or the
    /// recovery code opens, or from a member whose safety number was compared.
    ///
    /// # Errors
    /// When another identity is named, or the signature fails.
    pub fn verify_under(self, identity: &VerifyingKey) -> Result<VerifiedState, StateError> {
        if self.state.identity == *identity {
            self.verify_signature()
        } else {
            Err(StateError::IdentityChanged)
        }
    }

    /// Believes a state because it follows one that is believed.
    ///
    /// # Errors
    /// When it is not the next one, not signed as it must be, or breaks a rule of succession.
    pub fn verify_after(self, before: &VerifiedState) -> Result<VerifiedState, StateError> {
        let old = before.state();
        if self.state.account != old.account {
            return Err(StateError::WrongAccount);
        }
        if self.state.version.checked_sub(1) != Some(old.version) || self.state.previous != before.hash() {
            return Err(StateError::NotSuccessor);
        }
        let same_identity = self.state.identity == old.identity;
        match &self.handover {
            None if same_identity => {}
            Some(handover) if !same_identity => old
                .identity
                .verify(labels::ACCOUNT_HANDOVER_SIGNATURE, &self.body, handover)
                .map_err(|BadSignature| StateError::IdentityChanged)?,
            _ => return Err(StateError::IdentityChanged),
        }
        self.state.check_after(old).map_err(StateError::Rule)?;
        self.verify_signature()
    }

    /// Believes an older state because one that is believed names its hash: how a fresh device learns the past.
    ///
    /// # Errors
    /// When it is not the one that `after` names.
    pub fn verify_before(self, after: &VerifiedState) -> Result<VerifiedState, StateError> {
        if self.state.account != after.state().account {
            return Err(StateError::WrongAccount);
        }
        if self.hash != after.state().previous
            || self.state.version.checked_add(1) != Some(after.state().version)
        {
            return Err(StateError::NotSuccessor);
        }
        self.verify_signature()
    }

    fn verify_signature(self) -> Result<VerifiedState, StateError> {
        self.state
            .identity
            .verify(labels::ACCOUNT_STATE_SIGNATURE, &self.body, &self.signature)
            .map_err(|BadSignature| StateError::BadSignature)?;
        Ok(VerifiedState(self))
    }

    /// What it claims: enough to choose how to verify it, and for nothing else.
    #[must_use]
    pub fn claims(&self) -> &AccountState {
        &self.state
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> AccountStateHash {
        self.hash
    }
}

impl VerifiedState {
    /// What the account says.
    #[must_use]
    pub fn state(&self) -> &AccountState {
        &self.0.state
    }

    /// The hash by which the next state and commits name it.
    #[must_use]
    pub fn hash(&self) -> AccountStateHash {
        self.0.hash
    }

    /// The signed bytes, as received.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// A draft of the state that follows: the same, one version on.
    #[must_use]
    pub fn draft_next(&self) -> AccountState {
        let state = self.state();
        AccountState { version: state.version + 1, previous: self.hash(), ..state.clone() }
    }
}

#[cfg(feature = "client")]
mod sign {
    use super::super::keys::IdentitySecret;
    use super::{AccountState, Device, SignedState, StateError, VerifiedState};
    use crate::cbor::{Item, encode_versioned};
    use crate::labels;

    impl AccountState {
        /// Signs the first state of an account.
        ///
        /// # Errors
        /// When it is not fit to be a first state.
        pub fn sign_first(&self, identity: &IdentitySecret) -> Result<VerifiedState, StateError> {
            self.sign(identity, None)?.verify_first()
        }

        /// Signs the state that follows `before`. A new identity needs the consent of the one before it: pass
        /// that as `outgoing`.
        ///
        /// # Errors
        /// When it may not follow `before`.
        pub fn sign_after(
            &self,
            before: &VerifiedState,
            identity: &IdentitySecret,
            outgoing: Option<&IdentitySecret>,
        ) -> Result<VerifiedState, StateError> {
            self.sign(identity, outgoing)?.verify_after(before)
        }

        fn body(&self) -> Vec<u8> {
            let devices = self.devices.iter().map(Device::item).collect::<Vec<_>>();
            encode_versioned(&[
                (&self.account).into(),
                self.version.into(),
                (&self.previous).into(),
                self.identity.as_bytes().into(),
                self.minimum_protocol.into(),
                (&self.private_space).into(),
                devices.into(),
                (&self.inbox.0).into(),
                self.epoch.into(),
                (&self.root_commitment).into(),
                (&self.credentials).into(),
            ])
        }

        fn sign(
            &self,
            identity: &IdentitySecret,
            outgoing: Option<&IdentitySecret>,
        ) -> Result<SignedState, StateError> {
            SignedState::parse(&self.sign_unchecked(identity, outgoing))
        }

        pub(crate) fn sign_unchecked(
            &self,
            identity: &IdentitySecret,
            outgoing: Option<&IdentitySecret>,
        ) -> Vec<u8> {
            let body = self.body();
            let signature = identity.0.sign(labels::ACCOUNT_STATE_SIGNATURE, &body);
            let handover = outgoing.map(|old| old.0.sign(labels::ACCOUNT_HANDOVER_SIGNATURE, &body));
            let handover = handover.iter().map(Item::from).collect::<Vec<_>>();
            encode_versioned(&[body.as_slice().into(), (&signature).into(), handover.into()])
        }
    }

    impl Device {
        fn item(&self) -> Item<'_> {
            let [signing, receiving] = self.keys.items();
            let revoked = self.revoked_day.iter().map(|day| Item::Uint(u64::from(*day))).collect::<Vec<_>>();
            vec![signing, receiving, u64::from(self.added_day).into(), revoked.into()].into()
        }
    }
}

#[cfg(all(test, feature = "client"))]
mod tests;
