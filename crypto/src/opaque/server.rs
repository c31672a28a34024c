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
    Suite, framed, framed_secret, parameters, take_key, unframed, unframed_with_setup,
};
use crate::cbor::strip_version;
use crate::hash::{labelled, truncated};
use crate::ids::SetupId;
use crate::labels;

/// OPRF seed, secret key, dummy key.
const SETUP_LEN: usize = 64 + 32 + 32;
/// Session key and the MAC that the client must send.
const LOGIN_STATE_LEN: usize = 64 + 64;

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
        Self::from_unframed(unframed(bytes, SETUP_LEN)?)
    }

    fn from_unframed(bytes: &[u8]) -> Result<Self, OpaqueError> {
        OpaqueServerSetup::deserialize(bytes).map(Self).map_err(|_| OpaqueError::Malformed)
    }

    /// The whole setup, to be kept secret and never lost.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        framed_secret(&mut self.0.serialize())
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

    /// Reads what [`ServerSetups::to_bytes`] gave, or [`ServerSetup::to_bytes`] before there was an earlier one.
    ///
    /// # Errors
    /// When the bytes are not at least one whole setup and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let (setups, rest) = strip_version(bytes)?.as_chunks::<SETUP_LEN>();
        let (current, earlier) = setups.split_first().ok_or(OpaqueError::Malformed)?;
        if !rest.is_empty() {
            return Err(OpaqueError::Malformed);
        }
        let current = ServerSetup::from_unframed(current)?;
        let earlier =
            earlier.iter().map(|setup| ServerSetup::from_unframed(setup)).collect::<Result<_, _>>()?;
        Ok(Self { current, earlier })
    }

    /// All of them, the current one first, to be kept secret and never lost.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(1 + SETUP_LEN * (1 + self.earlier.len())));
        out.push(crate::VERSION);
        for setup in std::iter::once(&self.current).chain(&self.earlier) {
            out.extend_from_slice(&setup.to_bytes()[1..]);
        }
        out
    }

    /// The setup for registrations and for unknown names.
    #[must_use]
    pub fn current(&self) -> &ServerSetup {
        &self.current
    }

    /// The oldest setup: it stays when others come, so it tells one server's secrets from another's.
    #[must_use]
    pub fn oldest(&self) -> &ServerSetup {
        self.earlier.last().unwrap_or(&self.current)
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
        let mut finished = self.0.finish(finish, parameters()).map_err(|_| OpaqueError::NotAuthenticated)?;
        Ok(SessionKey(take_key(&mut finished.session_key)))
    }

    /// The state between two requests, which may reach different nodes. Secret, and good for one login.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        framed_secret(&mut self.0.serialize())
    }

    /// Reads what [`ServerLogin::to_bytes`] gave.
    ///
    /// # Errors
    /// When the bytes are not such a state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpaqueError> {
        let inner = OpaqueServerLogin::deserialize(unframed(bytes, LOGIN_STATE_LEN)?)
            .map_err(|_| OpaqueError::Malformed)?;
        Ok(Self(inner))
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
