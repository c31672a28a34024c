//! The client's side of OPAQUE: consuming steps, so that none can be left out or repeated.
//!
//! SPEC.md section 2.7. The export key exists only in what [`LoginStart::finish`] returns, and that only after the server's
//! MAC has been verified.

use opaque_ke::errors::{InternalError, ProtocolError};
use opaque_ke::ksf::Ksf;
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, Identifiers, RegistrationResponse,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::server::setup_id;
use super::{
    KE2_LEN, KEY_LEN, OldRng, OpaqueError, REGISTRATION_RESPONSE_LEN, SessionKey, Suite, framed, take_key,
    unframed, unframed_with_setup,
};
use crate::labels;
use crate::secret::Secret;

/// What the password and the server's secret together give the client, and nobody else.
#[derive(Debug, PartialEq, Eq)]
pub struct ExportKey(Secret<KEY_LEN>);

impl ExportKey {
    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(Secret::new(bytes))
    }
}

/// A client that has asked to register.
pub struct RegistrationStart {
    password: Zeroizing<Vec<u8>>,
    state: ClientRegistration<Suite>,
}

/// A registration that is complete on the client.
pub struct Registered {
    /// The record for the credential set.
    pub record: Vec<u8>,
    /// Seals the password bundle.
    pub export_key: ExportKey,
}

/// A client that has sent the first message of a login.
pub struct LoginStart {
    password: Zeroizing<Vec<u8>>,
    state: ClientLogin<Suite>,
}

/// A login in which the server has authenticated.
#[derive(Debug)]
pub struct LoggedIn {
    /// The last message, for the server.
    pub finish: Vec<u8>,
    /// Opens the password bundle.
    pub export_key: ExportKey,
    /// Shared with the server.
    pub session_key: SessionKey,
}

impl RegistrationStart {
    /// Starts: gives the request for the server.
    ///
    /// # Errors
    /// When the password cannot be mapped to the group, which happens to no password in practice.
    pub fn new(password: &[u8], rng: &mut impl CryptoRng) -> Result<(Vec<u8>, Self), OpaqueError> {
        let started =
            ClientRegistration::start(&mut OldRng(rng), password).map_err(|_| OpaqueError::Malformed)?;
        let request = framed(&[&started.message.serialize()]);
        Ok((request, Self { password: Zeroizing::new(password.to_vec()), state: started.state }))
    }

    /// Ends with the server's response. Argon2id runs here.
    ///
    /// # Errors
    /// When the response is malformed or its setup id is not that of its key.
    pub fn finish(self, response: &[u8], rng: &mut impl CryptoRng) -> Result<Registered, OpaqueError> {
        finish_registration(self.state, &self.password, response, rng)
    }
}

impl LoginStart {
    /// Starts: gives the first message for the server.
    ///
    /// # Errors
    /// When the password cannot be mapped to the group, which happens to no password in practice.
    pub fn new(password: &[u8], rng: &mut impl CryptoRng) -> Result<(Vec<u8>, Self), OpaqueError> {
        let started = ClientLogin::start(&mut OldRng(rng), password).map_err(|_| OpaqueError::Malformed)?;
        let request = framed(&[&started.message.serialize()]);
        Ok((request, Self { password: Zeroizing::new(password.to_vec()), state: started.state }))
    }

    /// Ends with the server's response. Argon2id runs here, at the cost that this version fixes.
    ///
    /// # Errors
    /// [`OpaqueError::NotAuthenticated`] when the password is wrong, or the name unknown, or the server an impostor.
    pub fn finish(self, response: &[u8], rng: &mut impl CryptoRng) -> Result<LoggedIn, OpaqueError> {
        finish_login(self.state, &self.password, response, rng)
    }
}

/// Over any stretching, so that the tests can alter every byte of every message without a thousand runs of Argon2id.
pub(super) fn finish_registration<K: Ksf + 'static>(
    state: ClientRegistration<Suite<K>>,
    password: &[u8],
    response: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Registered, OpaqueError> {
    let (setup, response) = unframed_with_setup(response, REGISTRATION_RESPONSE_LEN)?;
    let response = RegistrationResponse::deserialize(response).map_err(|_| OpaqueError::Malformed)?;
    let parameters = ClientRegistrationFinishParameters::new(Identifiers::default(), None);
    let mut finished = state
        .finish(&mut OldRng(rng), password, response, parameters)
        .map_err(|error| failed(error, OpaqueError::Malformed))?;
    let export_key = ExportKey(take_key(&mut finished.export_key));
    if setup != setup_id(&finished.server_s_pk.serialize()) {
        return Err(OpaqueError::UnknownSetup);
    }
    let record = framed(&[setup.as_bytes(), &finished.message.serialize()]);
    Ok(Registered { record, export_key })
}

/// Over any stretching, like [`finish_registration`].
pub(super) fn finish_login<K: Ksf + 'static>(
    state: ClientLogin<Suite<K>>,
    password: &[u8],
    response: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<LoggedIn, OpaqueError> {
    let response =
        CredentialResponse::deserialize(unframed(response, KE2_LEN)?).map_err(|_| OpaqueError::Malformed)?;
    let parameters = ClientLoginFinishParameters::new(
        Some(labels::OPAQUE_CONTEXT.as_bytes()),
        Identifiers::default(),
        None,
    );
    let mut finished = state
        .finish(&mut OldRng(rng), password, response, parameters)
        .map_err(|error| failed(error, OpaqueError::NotAuthenticated))?;
    Ok(LoggedIn {
        finish: framed(&[&finished.message.serialize()]),
        export_key: ExportKey(take_key(&mut finished.export_key)),
        session_key: SessionKey(take_key(&mut finished.session_key)),
    })
}

/// Stretching fails only for want of memory, before anything that a server sent is judged.
fn failed(error: ProtocolError, otherwise: OpaqueError) -> OpaqueError {
    match error {
        ProtocolError::LibraryError(InternalError::KsfError) => OpaqueError::OutOfMemory,
        _ => otherwise,
    }
}

/// The record holds a masking key.
impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registered([secret])")
    }
}

impl std::fmt::Debug for RegistrationStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegistrationStart([secret])")
    }
}

impl std::fmt::Debug for LoginStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginStart([secret])")
    }
}
