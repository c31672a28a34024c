//! OPAQUE (RFC 9807): the server signs people in without ever learning a password.
//!
//! SPEC.md section 2.7. The protocol itself is opaque-ke's, which is audited; this module fixes the suite, frames the
//! messages, and lets only bytes in and out, because opaque-ke is built on an older generation of the same
//! primitives.
//!
//! ```text
//! every message         = version(1) ‖ the message of RFC 9807
//! registration response = version(1) ‖ setup id(16) ‖ RegistrationResponse
//! record                = version(1) ‖ setup id(16) ‖ RegistrationRecord
//! ```

use std::marker::PhantomData;

use opaque_ke::ksf::Ksf;
use opaque_ke::{CipherSuite, Identifiers, Ristretto255, ServerLoginParameters, TripleDh};
use rand_core::CryptoRng;
use sha2_010::Sha512;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::cbor::{DecodeError, strip_version};
use crate::ids::SetupId;
use crate::labels;
use crate::secret::Secret;

#[cfg(feature = "client")]
mod client;
mod ksf;
mod server;

#[cfg(feature = "client")]
pub use client::{ExportKey, LoggedIn, LoginStart, Registered, RegistrationStart};
pub(crate) use ksf::Stretch;
#[cfg(feature = "client")]
pub(crate) use ksf::stretch;
pub use ksf::{ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, OutOfMemory};
#[cfg(all(test, feature = "client"))]
pub(crate) use server::setup_id;
pub use server::{OpaqueRecord, ServerLogin, ServerSetup, ServerSetups};

/// Length of a [`SessionKey`] and of the export key.
pub const KEY_LEN: usize = 64;

// Lengths of RFC 9807's messages in this suite. opaque-ke reads what it needs and ignores what follows.
const REGISTRATION_REQUEST_LEN: usize = 32;
#[cfg(feature = "client")]
const REGISTRATION_RESPONSE_LEN: usize = 64;
const REGISTRATION_RECORD_LEN: usize = 192;
const KE1_LEN: usize = 96;
#[cfg(feature = "client")]
const KE2_LEN: usize = 320;
const KE3_LEN: usize = 64;

/// The suite that version 1 fixes. Tests exchange the stretching, as the vectors of the RFC do.
struct Suite<K = Stretch>(PhantomData<K>);

impl<K: Ksf + 'static> CipherSuite for Suite<K> {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, Sha512>;
    type Ksf = K;
}

/// A key that client and server share after a login. Equal on both sides, and only then.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionKey(Secret<KEY_LEN>);

impl SessionKey {
    /// The key itself, from which a session may be derived.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }
}

/// Why a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpaqueError {
    /// The message is of a version that this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// The message does not have the form or the values that it must have.
    #[error("malformed OPAQUE message")]
    Malformed,
    /// The record was made with a server setup that is not at hand, or the setup is not the one it says.
    #[error("the record belongs to another server setup")]
    UnknownSetup,
    /// The device has not the memory that stretching a password takes. Nothing is wrong with the password.
    #[error("stretching a password takes 64 MiB of memory, which cannot be had now")]
    OutOfMemory,
    /// The other side has not authenticated. For the client: the password is wrong, or the name unknown, or the server not
    /// the one of the registration. These cannot be told apart, by design.
    #[error("wrong login name or password")]
    NotAuthenticated,
}

impl From<DecodeError> for OpaqueError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::UnknownVersion(version) => Self::UnknownVersion(version),
            _ => Self::Malformed,
        }
    }
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    // Never grown, because parts can be secret: growing frees the shorter copy unwiped.
    let mut out = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    out.push(crate::VERSION);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// Frames a secret and wipes where it came from.
fn framed_secret(secret: &mut [u8]) -> Zeroizing<Vec<u8>> {
    let framed = Zeroizing::new(framed(&[secret]));
    secret.zeroize();
    framed
}

/// Takes the version off a message that must then have exactly this length.
fn unframed(bytes: &[u8], len: usize) -> Result<&[u8], OpaqueError> {
    let message = strip_version(bytes)?;
    if message.len() == len { Ok(message) } else { Err(OpaqueError::Malformed) }
}

/// The same, behind a setup id.
fn unframed_with_setup(bytes: &[u8], len: usize) -> Result<(SetupId, &[u8]), OpaqueError> {
    let (id, message) =
        unframed(bytes, SetupId::LEN + len)?.split_first_chunk().ok_or(OpaqueError::Malformed)?;
    Ok((SetupId::new(*id), message))
}

fn parameters() -> ServerLoginParameters<'static, 'static> {
    ServerLoginParameters {
        context: Some(labels::OPAQUE_CONTEXT.as_bytes()),
        identifiers: Identifiers::default(),
    }
}

/// Takes a key out of one of opaque-ke's results, which wipes nothing itself. By reference: its arrays are `Copy`.
fn take_key(bytes: &mut [u8]) -> Secret<KEY_LEN> {
    let key = Secret::filled(|out| out.copy_from_slice(bytes));
    bytes.zeroize();
    key
}

/// Lets a generator of today serve a library of yesterday.
struct OldRng<'r, R>(&'r mut R);

impl<R: CryptoRng> rand_08::RngCore for OldRng<'_, R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_08::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl<R: CryptoRng> rand_08::CryptoRng for OldRng<'_, R> {}

#[cfg(all(test, feature = "client"))]
mod rfc9807;
#[cfg(all(test, feature = "client"))]
mod tests;
