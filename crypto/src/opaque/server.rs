//! The server's side of OPAQUE.
//!
//! SPEC.md section 2.7. A setup is kept and restored whole: OPRF seed, key pair, and the dummy key that answers for
//! names that do not exist. Losing any of it locks everybody out, so its serialization is one value.

use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload,
    ServerLogin as OpaqueServerLogin, ServerRegistration, ServerSetup as OpaqueServerSetup,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    KE1_LEN, KE3_LEN, OldRng, OpaqueError, REGISTRATION_RECORD_LEN, REGISTRATION_REQUEST_LEN, SessionKey,
    Suite, framed, parameters, take_key, unframed, unframed_with_setup,
};
use crate::cbor::strip_version;
use crate::hash::{labelled, truncated};
use crate::ids::SetupId;
use crate::labels;

/// All that a server needs to sign people in. Secret; kept apart from the database.
pub struct ServerSetup(OpaqueServerSetup<Suite>);

/// The setup for new registrations, and earlier ones for the records that were made with them.
#[derive(Debug)]
pub struct ServerSetups {
    current: ServerSetup,
    earlier: Vec<ServerSetup>,
}

/// What the server keeps for one account: useless for finding the password without the setup.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueRecord {
    setup: SetupId,
    upload: ServerRegistration<Suite>,
}

/// The server between the two messages of a login.
pub struct ServerLogin(OpaqueServerLogin<Suite>);

impl ServerSetup {
    /// A new setup, for a new server.
    #[must_use]
    pub fn make(rng: &mut impl CryptoRng) -> Self {
        Self(OpaqueServerSetup::new(&mut OldRng(rng)))
    }

    /// Reads what [`ServerSetup::to_bytes`] gave.
    ///
    /// # Errors
    /// When the bytes are not a whole setup.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let inner =
            OpaqueServerSetup::deserialize(strip_version(bytes)?).map_err(|_| OpaqueError::Malformed)?;
        let setup = Self(inner);
        // opaque-ke ignores what follows a setup; a secret file that is not exactly ours must not pass.
        if setup.to_bytes().as_slice() == bytes { Ok(setup) } else { Err(OpaqueError::Malformed) }
    }

    /// The whole setup, to be kept secret and never lost.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let inner = Zeroizing::new(self.0.serialize().to_vec());
        Zeroizing::new(framed(&[&inner]))
    }

    /// The id by which records name this setup.
    #[must_use]
    pub fn id(&self) -> SetupId {
        setup_id(&self.0.keypair().public().serialize())
    }

    /// Answers a registration. `name` is the keyed hash of the login name.
    ///
    /// # Errors
    /// When the request is malformed.
    pub fn register(&self, request: &[u8], name: &[u8]) -> Result<Vec<u8>, OpaqueError> {
        let request = RegistrationRequest::deserialize(unframed(request, REGISTRATION_REQUEST_LEN)?)
            .map_err(|_| OpaqueError::Malformed)?;
        let response =
            ServerRegistration::start(&self.0, request, name).map_err(|_| OpaqueError::Malformed)?.message;
        Ok(framed(&[self.id().as_bytes(), &response.serialize()]))
    }

    /// Answers the first message of a login. Without a record the name is unknown, and the answer cannot be told
    /// from one for a known name.
    ///
    /// # Errors
    /// When the request is malformed, or the record is of another setup.
    pub fn log_in(
        &self,
        request: &[u8],
        record: Option<&OpaqueRecord>,
        name: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, ServerLogin), OpaqueError> {
        if record.is_some_and(|record| record.setup != self.id()) {
            return Err(OpaqueError::UnknownSetup);
        }
        let request = CredentialRequest::deserialize(unframed(request, KE1_LEN)?)
            .map_err(|_| OpaqueError::Malformed)?;
        let upload = record.map(|record| record.upload.clone());
        let started =
            OpaqueServerLogin::start(&mut OldRng(rng), &self.0, upload, request, name, parameters())
                .map_err(|_| OpaqueError::Malformed)?;
        Ok((framed(&[&started.message.serialize()]), ServerLogin(started.state)))
    }
}

impl ServerSetups {
    /// The setup in use, and those before it.
    #[must_use]
    pub fn new(current: ServerSetup, earlier: Vec<ServerSetup>) -> Self {
        Self { current, earlier }
    }

    /// The setup for registrations and for unknown names.
    #[must_use]
    pub fn current(&self) -> &ServerSetup {
        &self.current
    }

    /// The setup with which a record was made.
    #[must_use]
    pub fn of(&self, record: &OpaqueRecord) -> Option<&ServerSetup> {
        std::iter::once(&self.current).chain(&self.earlier).find(|setup| setup.id() == record.setup)
    }
}

impl OpaqueRecord {
    /// Reads the record that a client made when it registered.
    ///
    /// # Errors
    /// When the bytes are not a record.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let (setup, upload) = unframed_with_setup(bytes, REGISTRATION_RECORD_LEN)?;
        let upload = RegistrationUpload::deserialize(upload).map_err(|_| OpaqueError::Malformed)?;
        Ok(Self { setup, upload: ServerRegistration::finish(upload) })
    }

    /// The setup with which it was made.
    #[must_use]
    pub fn setup(&self) -> SetupId {
        self.setup
    }
}

impl ServerLogin {
    /// Ends the login: the client has shown that it knows the password.
    ///
    /// # Errors
    /// [`OpaqueError::NotAuthenticated`] when it has not.
    pub fn finish(self, finish: &[u8]) -> Result<SessionKey, OpaqueError> {
        let finish = CredentialFinalization::deserialize(unframed(finish, KE3_LEN)?)
            .map_err(|_| OpaqueError::Malformed)?;
        let finished = self.0.finish(finish, parameters()).map_err(|_| OpaqueError::NotAuthenticated)?;
        Ok(SessionKey(take_key(finished.session_key)))
    }

    /// The state between two requests, which may reach different nodes. Secret, and good for one login.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let inner = Zeroizing::new(self.0.serialize().to_vec());
        Zeroizing::new(framed(&[&inner]))
    }

    /// Reads what [`ServerLogin::to_bytes`] gave.
    ///
    /// # Errors
    /// When the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let inner =
            OpaqueServerLogin::deserialize(strip_version(bytes)?).map_err(|_| OpaqueError::Malformed)?;
        let state = Self(inner);
        if state.to_bytes().as_slice() == bytes { Ok(state) } else { Err(OpaqueError::Malformed) }
    }
}

pub(crate) fn setup_id(server_public_key: &[u8]) -> SetupId {
    SetupId::new(truncated(labelled(labels::OPAQUE_SETUP, &[server_public_key])))
}

impl std::fmt::Debug for ServerSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerSetup({:?}, [secret])", self.id())
    }
}

impl std::fmt::Debug for OpaqueRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpaqueRecord({:?}, [secret])", self.setup)
    }
}

impl std::fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerLogin([secret])")
    }
}
