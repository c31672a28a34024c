//! Bundles: the identity secret and the root key, sealed under the password or the recovery code.
//!
//! SPEC.md section 5.4.
//!
//! ```text
//! password bundle = sealed [ identity seed, epoch, root key, recovery KEK ]
//! recovery bundle = sealed [ identity seed, epoch, root key ]
//! ```
//!
//! Opening one proves that its maker knew the password or the code, and so gives the identity key on which
//! everything else is checked. [`Opened::unlock`] does those checks; before it there is no usable root key.

use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use super::credentials::CredentialSet;
use super::keys::IdentitySecret;
use super::recovery::RecoveryKek;
use super::root::{NotCommitted, RootKey, UnverifiedRootKey};
use super::state::{SignedState, StateError, VerifiedState};
use crate::cbor::{Decoder, encode};
use crate::hash::{context, derive, extract};
use crate::ids::AccountId;
use crate::labels;
use crate::opaque::ExportKey;
use crate::sealed::{self, OpenError};
use crate::secret::{Secret, secret_key};
use crate::signing::SigningKey;

secret_key! {
    /// Seals the password bundle; comes out of a finished OPAQUE handshake.
    PasswordKek
}

impl PasswordKek {
    /// From OPAQUE's export key.
    #[must_use]
    pub fn derive(export_key: &ExportKey, account: &AccountId) -> Self {
        Self(derive(&extract(export_key.expose()), &context(labels::PASSWORD_KEK, &[account.into()])))
    }
}

/// What a bundle held, before the account's state has been checked.
#[derive(Debug)]
pub struct Opened {
    identity: IdentitySecret,
    root: UnverifiedRootKey,
    recovery_kek: RecoveryKek,
}

/// An account with everything checked and open: only while the user has just typed the password or the code.
#[derive(Debug)]
pub struct Unlocked {
    /// Signs account states. Drop it as soon as that is done.
    pub identity: IdentitySecret,
    /// The root key, which matched its commitment.
    pub root: RootKey,
    /// Renews the recovery bundle.
    pub recovery_kek: RecoveryKek,
    /// The newest state that the server showed, signed by the identity.
    pub state: VerifiedState,
}

/// Why an account could not be unlocked although its bundle opened: the server served parts that do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// The account state does not verify under the identity in the bundle.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state is of another account.
    #[error("the state of another account")]
    WrongAccount,
    /// The state names another credential set.
    #[error("the account state names another credential set")]
    Credentials,
    /// The root key is not the one that the state commits to.
    #[error(transparent)]
    Root(#[from] NotCommitted),
}

/// Seals the password bundle.
#[must_use]
pub fn seal_password_bundle(
    kek: &PasswordKek,
    account: &AccountId,
    identity: &IdentitySecret,
    root: &RootKey,
    recovery_kek: &RecoveryKek,
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let plaintext = Zeroizing::new(encode(&[
        (&*identity.0.seed()).into(),
        root.epoch().into(),
        root.expose().into(),
        recovery_kek.0.expose().into(),
    ]));
    sealed::seal(&kek.0, &context(labels::PASSWORD_BUNDLE, &[account.into()]), &plaintext, rng)
}

/// Opens the password bundle.
///
/// # Errors
/// When it was not sealed under this password for this account.
pub fn open_password_bundle(
    kek: &PasswordKek,
    account: &AccountId,
    bundle: &[u8],
) -> Result<Opened, OpenError> {
    let plaintext = sealed::open(&kek.0, &context(labels::PASSWORD_BUNDLE, &[account.into()]), bundle)?;
    let mut d = Decoder::new(&plaintext, 4)?;
    let (identity, root) = read_identity_and_root(&mut d)?;
    let recovery_kek = RecoveryKek(Secret::new(d.fixed()?));
    d.finish()?;
    Ok(Opened { identity, root, recovery_kek })
}

/// Seals the recovery bundle.
#[must_use]
pub fn seal_recovery_bundle(
    kek: &RecoveryKek,
    account: &AccountId,
    identity: &IdentitySecret,
    root: &RootKey,
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let plaintext =
        Zeroizing::new(encode(&[(&*identity.0.seed()).into(), root.epoch().into(), root.expose().into()]));
    sealed::seal(&kek.0, &context(labels::RECOVERY_BUNDLE, &[account.into()]), &plaintext, rng)
}

/// Opens the recovery bundle.
///
/// # Errors
/// When it was not sealed under this code for this account.
pub fn open_recovery_bundle(
    kek: RecoveryKek,
    account: &AccountId,
    bundle: &[u8],
) -> Result<Opened, OpenError> {
    let plaintext = sealed::open(&kek.0, &context(labels::RECOVERY_BUNDLE, &[account.into()]), bundle)?;
    let mut d = Decoder::new(&plaintext, 3)?;
    let (identity, root) = read_identity_and_root(&mut d)?;
    d.finish()?;
    Ok(Opened { identity, root, recovery_kek: kek })
}

impl Opened {
    /// Checks all that the server sent beside the bundle: the state is signed by this identity, it names this
    /// credential set, and it commits to this root key.
    ///
    /// # Errors
    /// Says which part does not fit. Nothing of the account is usable then.
    pub fn unlock(
        self,
        account: &AccountId,
        state: SignedState,
        credentials: &CredentialSet,
    ) -> Result<Unlocked, UnlockError> {
        let state = state.verify_under(&self.identity.public())?;
        if state.state().account != *account {
            return Err(UnlockError::WrongAccount);
        }
        if state.state().credentials != credentials.hash() {
            return Err(UnlockError::Credentials);
        }
        let root = self.root.confirm(&state)?;
        Ok(Unlocked { identity: self.identity, root, recovery_kek: self.recovery_kek, state })
    }
}

fn read_identity_and_root(d: &mut Decoder<'_>) -> Result<(IdentitySecret, UnverifiedRootKey), OpenError> {
    let identity = IdentitySecret(SigningKey::from_seed(&Secret::new(d.fixed()?)));
    Ok((identity, UnverifiedRootKey::new(d.uint()?, d.fixed()?)))
}

#[cfg(test)]
mod tests;
