//! The vectors of RFC 9807, appendix C: real logins and the fake answer for unknown names.
//!
//! They use no key stretching and other identifiers than we do; the protocol is the same.

use opaque_ke::ksf::Identity;
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialRequest, Identifiers, ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup,
};
use serde_json::Value;

use super::Suite;
use crate::world::unhex;

type Plain = Suite<Identity>;

/// Gives the bytes that a vector prescribes, in the order in which the library asks for them.
struct Replay(Vec<u8>);

impl rand_08::RngCore for Replay {
    fn next_u32(&mut self) -> u32 {
        unreachable!("the library draws bytes only")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("the library draws bytes only")
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.copy_from_slice(&self.0.drain(..dest.len()).collect::<Vec<_>>());
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_08::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl rand_08::CryptoRng for Replay {}

fn file() -> Value {
    serde_json::from_str(include_str!("../../vectors/published/rfc9807/opaque.json")).unwrap()
}

/// Fields of one vector.
struct Vector<'v>(&'v Value);

impl Vector<'_> {
    fn input(&self, name: &str) -> Vec<u8> {
        self.optional(name).unwrap_or_else(|| panic!("no input {name}"))
    }

    fn optional(&self, name: &str) -> Option<Vec<u8>> {
        self.0["inputs"][name].as_str().map(unhex)
    }

    fn output(&self, name: &str) -> Vec<u8> {
        unhex(self.0["outputs"][name].as_str().unwrap_or_else(|| panic!("no output {name}")))
    }

    /// A scalar is drawn from 64 bytes and reduced: one that is already reduced comes out as it is.
    fn scalar(&self, name: &str) -> Vec<u8> {
        [self.input(name), vec![0; 32]].concat()
    }

    fn setup(&self, dummy_key: &[u8]) -> ServerSetup<Plain> {
        let bytes = [self.input("oprf_seed"), self.input("server_private_key"), dummy_key.to_vec()].concat();
        ServerSetup::deserialize(&bytes).unwrap()
    }

    fn context(&self) -> Vec<u8> {
        unhex(self.0["config"]["context"].as_str().unwrap())
    }
}

#[test]
fn real_logins() {
    let file = file();
    let vectors = file["real"].as_array().unwrap();
    assert_eq!(vectors.len(), 2);
    for value in vectors {
        let v = Vector(value);
        let (client, server) = (v.optional("client_identity"), v.optional("server_identity"));
        let identifiers = Identifiers { client: client.as_deref(), server: server.as_deref() };
        let context = v.context();
        let (password, name) = (v.input("password"), v.input("credential_identifier"));
        let setup = v.setup(&v.input("server_public_key"));

        let start =
            ClientRegistration::<Plain>::start(&mut Replay(v.scalar("blind_registration")), &password)
                .unwrap();
        assert_eq!(start.message.serialize().to_vec(), v.output("registration_request"));
        let response = ServerRegistration::start(&setup, start.message, &name).unwrap().message;
        assert_eq!(response.serialize().to_vec(), v.output("registration_response"));
        let parameters = ClientRegistrationFinishParameters::new(identifiers, None);
        let rng = &mut Replay(v.input("envelope_nonce"));
        let registered = start.state.finish(rng, &password, response, parameters).unwrap();
        assert_eq!(registered.message.serialize().to_vec(), v.output("registration_upload"));
        assert_eq!(registered.export_key.to_vec(), v.output("export_key"));

        let drawn =
            [v.scalar("blind_login"), v.input("client_keyshare_seed"), v.input("client_nonce")].concat();
        let start = ClientLogin::<Plain>::start(&mut Replay(drawn), &password).unwrap();
        assert_eq!(start.message.serialize().to_vec(), v.output("ke1"));
        let record = ServerRegistration::finish(registered.message);
        let drawn =
            [vec![0; 64], v.input("masking_nonce"), v.input("server_keyshare_seed"), v.input("server_nonce")];
        let parameters = || ServerLoginParameters { context: Some(&context), identifiers };
        let rng = &mut Replay(drawn.concat());
        let answer =
            ServerLogin::start(rng, &setup, Some(record), start.message, &name, parameters()).unwrap();
        assert_eq!(answer.message.serialize().to_vec(), v.output("ke2"));
        let finish = ClientLoginFinishParameters::new(Some(&context), identifiers, None);
        let finished = start.state.finish(&mut Replay(vec![]), &password, answer.message, finish).unwrap();
        assert_eq!(finished.message.serialize().to_vec(), v.output("ke3"));
        assert_eq!(finished.export_key.to_vec(), v.output("export_key"));
        assert_eq!(finished.session_key.to_vec(), v.output("session_key"));
        let session = answer.state.finish(finished.message, parameters()).unwrap();
        assert_eq!(session.session_key.to_vec(), v.output("session_key"));
    }
}

#[test]
fn fake_answers() {
    let file = file();
    let vectors = file["fake"].as_array().unwrap();
    assert_eq!(vectors.len(), 1);
    for value in vectors {
        let v = Vector(value);
        let (client, server) = (v.optional("client_identity"), v.optional("server_identity"));
        let identifiers = Identifiers { client: client.as_deref(), server: server.as_deref() };
        let context = v.context();
        let setup = v.setup(&v.input("client_public_key"));
        let drawn = [
            v.input("masking_key"),
            v.input("masking_nonce"),
            v.input("server_keyshare_seed"),
            v.input("server_nonce"),
        ];
        let request = CredentialRequest::<Plain>::deserialize(&v.input("ke1")).unwrap();
        let parameters = ServerLoginParameters { context: Some(&context), identifiers };
        let name = v.input("credential_identifier");
        let answer =
            ServerLogin::start(&mut Replay(drawn.concat()), &setup, None, request, &name, parameters)
                .unwrap();
        assert_eq!(answer.message.serialize().to_vec(), v.output("ke2"));
    }
}
