//! Grants: the key of an epoch, by HPKE, for one receiver.
//!
//! SPEC.md section 5.3. HPKE's base mode does not say who sent a key, so a grant is worth nothing by itself: a root
//! key is returned only if it matches the commitment in a verified account state, a space key only if it matches
//! the commitment in the space's control.

use rand_core::CryptoRng;
use thiserror::Error;

use super::keys::{DeviceSecret, ReceivingSecret};
use super::root::{NotCommitted, RootKey, UnverifiedRootKey};
use super::state::VerifiedState;
use crate::hash::context;
use crate::hpke::{self, HpkeError};
use crate::ids::{AccountId, DeviceId};
use crate::labels;
use crate::space::control::Control;
use crate::space::keys::SpaceKey;

/// Why a grant was not made, or not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The message itself.
    #[error(transparent)]
    Message(#[from] HpkeError),
    /// The receiver is not a live device of the account.
    #[error("the device is not a live device of the account")]
    NoSuchDevice,
    /// The receiver is not a member of the space.
    #[error("the account is not a member of the space")]
    NoSuchMember,
    /// The member's identity is not the one that the control lists.
    #[error("the member's identity is not the one that was verified")]
    IdentityChanged,
    /// The key is not the one that was committed to.
    #[error("the granted key is not the one that was committed to")]
    NotCommitted,
}

/// Grants the root key that `state` commits to, to one of the devices that it lists.
///
/// # Errors
/// When the device is not live in that state, or the key is not the state's.
pub fn grant_root(
    root: &RootKey,
    state: &VerifiedState,
    device: &DeviceId,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, GrantError> {
    let account = &state.state().account;
    if root.commitment(account) != state.state().root_commitment {
        return Err(GrantError::NotCommitted);
    }
    let receiver = state.state().live_device(device).ok_or(GrantError::NoSuchDevice)?.keys.receiving;
    let info = context(labels::ROOT_GRANT, &[account.into(), root.epoch().into(), device.into()]);
    Ok(hpke::seal_to(&receiver, &info, root.expose(), rng)?)
}

/// Opens a grant of the root key that `state` commits to.
///
/// # Errors
/// When it is not for this device, or the key is not the committed one.
pub fn open_root_grant(
    grant: &[u8],
    device: &DeviceSecret,
    state: &VerifiedState,
) -> Result<RootKey, GrantError> {
    let (account, epoch, id) = (&state.state().account, state.state().epoch, device.id());
    let info = context(labels::ROOT_GRANT, &[account.into(), epoch.into(), (&id).into()]);
    let key = open_key(&device.receiving, &info, grant)?;
    UnverifiedRootKey::new(epoch, key).confirm(state).map_err(|NotCommitted| GrantError::NotCommitted)
}

/// Grants the key of a shared space to a member: to the inbox in its verified account state, under the identity that the
/// control in force lists. Nothing else can be granted to.
///
/// # Errors
/// When the account is no member, has another identity, or the key is not the one in force.
pub fn grant_space_key(
    key: &SpaceKey,
    control: &Control,
    member: &VerifiedState,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, GrantError> {
    let (account, space) = (&member.state().account, &control.space);
    let listed = control.member(account).ok_or(GrantError::NoSuchMember)?;
    if listed.identity != member.state().identity {
        return Err(GrantError::IdentityChanged);
    }
    check_space_key(key, control)?;
    let info = context(labels::SPACE_GRANT, &[space.into(), key.epoch.into(), account.into()]);
    Ok(hpke::seal_to(&member.state().inbox, &info, key.expose(), rng)?)
}

/// Opens a grant of the key that the control of a shared space puts in force.
///
/// # Errors
/// When it is not for this inbox, or the key is not the committed one.
pub fn open_space_grant(
    grant: &[u8],
    inbox: &ReceivingSecret,
    member: &AccountId,
    control: &Control,
) -> Result<SpaceKey, GrantError> {
    let epoch = control.epoch;
    let info = context(labels::SPACE_GRANT, &[(&control.space).into(), epoch.into(), member.into()]);
    let key = SpaceKey::new(epoch, open_key(inbox, &info, grant)?);
    check_space_key(&key, control).map(|()| key)
}

fn check_space_key(key: &SpaceKey, control: &Control) -> Result<(), GrantError> {
    let right = key.epoch == control.epoch && key.commitment(&control.space) == control.commitment;
    if right { Ok(()) } else { Err(GrantError::NotCommitted) }
}

fn open_key(secret: &ReceivingSecret, info: &[u8], grant: &[u8]) -> Result<[u8; 32], GrantError> {
    hpke::open_from(secret, info, grant)?.as_slice().try_into().map_err(|_| GrantError::NotCommitted)
}

#[cfg(test)]
mod tests;
