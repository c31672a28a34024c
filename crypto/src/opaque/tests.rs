use opaque_ke::ksf::{Identity, Ksf};
use opaque_ke::{ClientLogin, ClientRegistration};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::client::{finish_login, finish_registration};
use super::*;

const NAME: &[u8] = b"keyed hash of a login name";

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// A server and the record of somebody who registered there with this password.
fn registered(password: &[u8]) -> (ServerSetup, OpaqueRecord, ExportKey) {
    let rng = &mut rng();
    let setup = ServerSetup::make(rng);
    let (request, start) = RegistrationStart::new(password, rng).unwrap();
    let response = setup.register(&request, NAME).unwrap();
    let Registered { record, export_key } = start.finish(&response, rng).unwrap();
    (setup, OpaqueRecord::parse(&record).unwrap(), export_key)
}

#[test]
fn the_right_password_logs_in() {
    for password in [&b"correct horse"[..], b"", &[b'x'; 10_000]] {
        let (setup, record, export_key) = registered(password);
        let rng = &mut rng();
        let (request, start) = LoginStart::new(password, rng).unwrap();
        let (response, server) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
        let server = ServerLogin::from_bytes(&server.to_bytes()).unwrap();
        let client = start.finish(&response, rng).unwrap();
        assert_eq!(client.export_key, export_key);
        assert_eq!(server.finish(&client.finish).unwrap(), client.session_key);
    }
}

#[test]
fn whatever_is_wrong_looks_the_same_to_the_client() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let mut lengths = Vec::new();
    let other = ServerSetup::make(rng);
    type Attempt<'a> = (&'a [u8], &'a ServerSetup, Option<&'a OpaqueRecord>, &'a [u8]);
    let attempts: [Attempt<'_>; 4] = [
        (b"wrong", &setup, Some(&record), NAME),
        (b"right", &setup, None, NAME),
        (b"right", &setup, Some(&record), b"another name"),
        (b"right", &other, None, NAME),
    ];
    for (password, setup, record, name) in attempts {
        let (request, start) = LoginStart::new(password, rng).unwrap();
        let (response, _) = setup.log_in(&request, record, name, rng).unwrap();
        lengths.push(response.len());
        assert_eq!(start.finish(&response, rng).unwrap_err(), OpaqueError::NotAuthenticated);
    }
    assert_eq!(lengths, [1 + 320; 4]);
}

/// Somebody who asks for the same name before and after it is registered sees nothing change but what is random in
/// every answer: the evaluated element depends on the name alone.
#[test]
fn an_unknown_name_is_answered_like_a_known_one() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let (request, _) = LoginStart::new(b"guess", rng).unwrap();
    let mut ask = |record| setup.log_in(&request, record, NAME, rng).unwrap().0;
    let (real, fake, fake_again) = (ask(Some(&record)), ask(None), ask(None));
    assert_eq!(real[1..33], fake[1..33]);
    for at in (33..321).step_by(32) {
        let end = (at + 32).min(321);
        assert_ne!(fake[at..end], fake_again[at..end], "an answer that repeats itself gives the fake away");
        assert_ne!(fake[at..end], real[at..end]);
    }
}

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    RegistrationRequest,
    RegistrationResponse,
    Record,
    Ke1,
    Ke2,
    Ke3,
}

/// Every message with its length.
const MESSAGES: [(Message, usize); 6] = [
    (Message::RegistrationRequest, 1 + 32),
    (Message::RegistrationResponse, 1 + 16 + 64),
    (Message::Record, 1 + 16 + 192),
    (Message::Ke1, 1 + 96),
    (Message::Ke2, 1 + 320),
    (Message::Ke3, 1 + 64),
];

/// Without stretching, so that a handshake is cheap enough to be repeated for every byte.
type Cheap = Suite<Identity>;

fn cheap_registration(password: &[u8]) -> (Vec<u8>, ClientRegistration<Cheap>) {
    let started = ClientRegistration::start(&mut OldRng(&mut rng()), password).unwrap();
    (framed(&[&started.message.serialize()]), started.state)
}

fn cheap_login(password: &[u8]) -> (Vec<u8>, ClientLogin<Cheap>) {
    let started = ClientLogin::start(&mut OldRng(&mut rng()), password).unwrap();
    (framed(&[&started.message.serialize()]), started.state)
}

/// A registration and a login with the right password, in which somebody gets hold of every message.
fn handshake(alter: impl Fn(Message, &mut Vec<u8>)) -> Result<(), OpaqueError> {
    let rng = &mut rng();
    let setup = ServerSetup::make(rng);
    let pass = |message, mut bytes: Vec<u8>| {
        alter(message, &mut bytes);
        bytes
    };
    let (request, state) = cheap_registration(b"right");
    let response = setup.register(&pass(Message::RegistrationRequest, request), NAME)?;
    let response = pass(Message::RegistrationResponse, response);
    let registered = finish_registration(state, b"right", &response, rng)?;
    let record = OpaqueRecord::parse(&pass(Message::Record, registered.record))?;

    let (request, state) = cheap_login(b"right");
    let (response, server) = setup.log_in(&pass(Message::Ke1, request), Some(&record), NAME, rng)?;
    let client = finish_login(state, b"right", &pass(Message::Ke2, response), rng)?;
    assert_eq!(client.export_key, registered.export_key, "whoever gets this far has the right key");
    let session_key = server.finish(&pass(Message::Ke3, client.finish))?;
    assert_eq!(session_key, client.session_key);
    Ok(())
}

#[test]
fn every_altered_byte_is_refused() {
    assert_eq!(handshake(|_, _| ()), Ok(()));
    for (message, len) in MESSAGES {
        for at in 0..len {
            let refused = handshake(|here, bytes| {
                if here == message {
                    assert_eq!(bytes.len(), len);
                    bytes[at] ^= 1;
                }
            })
            .unwrap_err();
            match (message, at) {
                (_, 0) => assert_eq!(refused, OpaqueError::UnknownVersion(0)),
                (Message::RegistrationResponse | Message::Record, 1..17) => {
                    assert_eq!(refused, OpaqueError::UnknownSetup);
                }
                // An altered element is mostly no element at all, or it is another key.
                (Message::RegistrationResponse, 49..) => {
                    assert!(matches!(refused, OpaqueError::UnknownSetup | OpaqueError::Malformed));
                }
                (Message::RegistrationRequest, _)
                | (Message::RegistrationResponse | Message::Record, 17..49)
                | (Message::Ke1, 1..33 | 65..97)
                | (Message::Ke2, 1..33 | 225..257) => {
                    assert!(
                        matches!(refused, OpaqueError::NotAuthenticated | OpaqueError::Malformed),
                        "{message:?}, byte {at}"
                    );
                }
                _ => assert_eq!(refused, OpaqueError::NotAuthenticated, "{message:?}, byte {at}"),
            }
        }
    }
}

#[test]
fn messages_have_one_length() {
    for (message, len) in MESSAGES {
        for wrong in (0..len).chain([len + 1]) {
            let refused = handshake(|here, bytes| {
                if here == message {
                    bytes.resize(wrong, 0);
                }
            });
            assert_eq!(refused, Err(OpaqueError::Malformed), "{message:?} of {wrong} bytes");
        }
    }
}

#[test]
fn the_neutral_element_is_refused_wherever_it_stands() {
    let places = [
        (Message::RegistrationRequest, 1),
        (Message::RegistrationResponse, 17),
        (Message::RegistrationResponse, 49),
        (Message::Record, 17),
        (Message::Ke1, 1),
        (Message::Ke1, 65),
        (Message::Ke2, 1),
        (Message::Ke2, 225),
    ];
    for (message, at) in places {
        let refused = handshake(|here, bytes| {
            if here == message {
                bytes[at..at + 32].fill(0);
            }
        });
        assert_eq!(refused, Err(OpaqueError::Malformed), "{message:?}, byte {at}");
    }
}

/// A server that answers with what it was asked would learn nothing, and the client would use the bare password.
#[test]
fn a_reflected_element_is_refused() {
    let rng = &mut rng();
    let setup = ServerSetup::make(rng);
    let (request, state) = cheap_registration(b"right");
    let mut response = setup.register(&request, NAME).unwrap();
    response[17..49].copy_from_slice(&request[1..]);
    let refused = finish_registration(state, b"right", &response, rng).unwrap_err();
    assert_eq!(refused, OpaqueError::Malformed);

    let (request, state) = cheap_login(b"right");
    let (mut response, _) = setup.log_in(&request, None, NAME, rng).unwrap();
    response[1..33].copy_from_slice(&request[1..33]);
    let refused = finish_login(state, b"right", &response, rng).unwrap_err();
    assert_eq!(refused, OpaqueError::NotAuthenticated);
}

/// RFC 9497 writes the length of its input in two bytes.
#[test]
fn a_password_over_the_limit_of_the_oprf_is_refused() {
    let rng = &mut rng();
    let setup = ServerSetup::make(rng);
    for (len, accepted) in [(65_535, true), (65_536, false)] {
        let password = vec![b'x'; len];
        let (request, state) = cheap_registration(&password);
        let response = setup.register(&request, NAME).unwrap();
        assert_eq!(finish_registration(state, &password, &response, rng).is_ok(), accepted, "{len} bytes");
    }
}

#[test]
fn secrets_of_the_server_have_one_length() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let (request, _) = LoginStart::new(b"right", rng).unwrap();
    let (_, server) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
    let (setup, server) = (setup.to_bytes(), server.to_bytes());
    assert_eq!((setup.len(), server.len()), (1 + 128, 1 + 128));
    for len in (0..129).chain([130]) {
        let (mut setup, mut server) = (setup.to_vec(), server.to_vec());
        setup.resize(len, 0);
        server.resize(len, 0);
        assert_eq!(ServerSetup::from_bytes(&setup).unwrap_err(), OpaqueError::Malformed, "{len} bytes");
        assert_eq!(ServerSetups::from_bytes(&setup).unwrap_err(), OpaqueError::Malformed, "{len} bytes");
        assert_eq!(ServerLogin::from_bytes(&server).unwrap_err(), OpaqueError::Malformed, "{len} bytes");
    }
    let mut future = setup.to_vec();
    future[0] = 2;
    assert_eq!(ServerSetup::from_bytes(&future).unwrap_err(), OpaqueError::UnknownVersion(2));
    assert_eq!(ServerSetups::from_bytes(&future).unwrap_err(), OpaqueError::UnknownVersion(2));
    assert_eq!(ServerLogin::from_bytes(&future).unwrap_err(), OpaqueError::UnknownVersion(2));
}

#[test]
fn a_login_ends_only_where_it_began() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let (request, start) = LoginStart::new(b"right", rng).unwrap();
    let (response, _) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
    let (_, another) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
    let finish = start.finish(&response, rng).unwrap().finish;
    assert_eq!(another.finish(&finish).unwrap_err(), OpaqueError::NotAuthenticated);
}

#[test]
fn a_setup_is_restored_whole_and_can_be_changed() {
    let (old, record, _) = registered(b"right");
    let rng = &mut rng();
    let restored = ServerSetup::from_bytes(&old.to_bytes()).unwrap();
    assert_eq!(restored.to_bytes(), old.to_bytes());
    assert_eq!(restored.id(), record.setup());

    let new = ServerSetup::make(&mut StdRng::seed_from_u64(2));
    let (request, _) = LoginStart::new(b"right", rng).unwrap();
    let refused = new.log_in(&request, Some(&record), NAME, rng).unwrap_err();
    assert_eq!(refused, OpaqueError::UnknownSetup);
    let setups = ServerSetups::new(new, vec![restored]);
    assert_eq!(setups.of(&record).map(ServerSetup::id), Some(old.id()));
    assert_ne!(setups.current().id(), old.id());
    assert!(ServerSetups::new(ServerSetup::make(rng), vec![]).of(&record).is_none());

    let whole = ServerSetups::from_bytes(&setups.to_bytes()).unwrap();
    assert_eq!(whole.to_bytes(), setups.to_bytes());
    assert_eq!(whole.current().id(), setups.current().id());
    assert_eq!(whole.of(&record).map(ServerSetup::id), Some(old.id()));
    let alone = ServerSetups::from_bytes(&old.to_bytes()).unwrap();
    assert_eq!(alone.to_bytes(), old.to_bytes(), "a setup alone is the same bytes");
}

#[test]
fn a_registration_that_names_another_setup_is_refused() {
    let rng = &mut rng();
    let setup = ServerSetup::make(rng);
    let (request, start) = RegistrationStart::new(b"right", rng).unwrap();
    let mut response = setup.register(&request, NAME).unwrap();
    response[1] ^= 1;
    assert_eq!(start.finish(&response, rng).unwrap_err(), OpaqueError::UnknownSetup);
}

/// Frozen: whoever changes the cost changes every password, and needs a new version.
#[test]
fn the_stretching_is_what_the_label_says() {
    let label = format!("alcove/1/opaque/argon2id-m{ARGON2_MEMORY_KIB}-t{ARGON2_PASSES}-p{ARGON2_LANES}");
    assert_eq!(label, labels::OPAQUE_CONTEXT);
    let input = generic_array_014::GenericArray::<u8, generic_array_014::typenum::U64>::from([7; 64]);
    let output = Stretch.hash(input).unwrap();
    insta::assert_snapshot!(crate::world::hex(&output));
}

#[test]
fn nothing_secret_is_printed() {
    let (setup, record, export_key) = registered(b"right");
    let (_, start) = LoginStart::new(b"right", &mut rng()).unwrap();
    let printed = format!("{setup:?}\n{record:?}\n{export_key:?}\n{start:?}");
    insta::assert_snapshot!(printed.replace(&setup.id().to_string(), "…"));
}

/// Right in its version and length, and in nothing else: what a parser has to look into.
fn garbage_of(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), len).prop_map(|mut bytes| {
        bytes[0] = crate::VERSION;
        bytes
    })
}

proptest! {
    #[test]
    fn garbage_is_refused(garbage: Vec<u8>) {
        let setup = ServerSetup::make(&mut rng());
        prop_assert!(setup.register(&garbage, NAME).is_err());
        prop_assert!(setup.log_in(&garbage, None, NAME, &mut rng()).is_err());
        prop_assert!(ServerSetup::from_bytes(&garbage).is_err());
        prop_assert!(ServerSetups::from_bytes(&garbage).is_err());
        prop_assert!(ServerLogin::from_bytes(&garbage).is_err());
        prop_assert!(OpaqueRecord::parse(&garbage).is_err());
        let (_, registration) = cheap_registration(b"right");
        prop_assert!(finish_registration(registration, b"right", &garbage, &mut rng()).is_err());
        let (_, login) = cheap_login(b"right");
        prop_assert!(finish_login(login, b"right", &garbage, &mut rng()).is_err());
    }

    /// A random request or record can hold an element by chance: those must only not panic. The others carry a hash or a MAC.
    #[test]
    fn garbage_of_the_right_length_is_refused(
        response in garbage_of(1 + 16 + 64),
        ke2 in garbage_of(1 + 320),
        ke3 in garbage_of(1 + 64),
        state in garbage_of(1 + 128),
        request in garbage_of(1 + 32),
        ke1 in garbage_of(1 + 96),
        record in garbage_of(1 + 16 + 192),
    ) {
        let setup = ServerSetup::make(&mut rng());
        let (_, registration) = cheap_registration(b"right");
        prop_assert!(finish_registration(registration, b"right", &response, &mut rng()).is_err());
        let (_, login) = cheap_login(b"right");
        prop_assert!(finish_login(login, b"right", &ke2, &mut rng()).is_err());
        prop_assert!(ServerLogin::from_bytes(&state).unwrap().finish(&ke3).is_err());
        if let Ok(read) = ServerSetup::from_bytes(&state) {
            prop_assert_eq!(read.to_bytes().to_vec(), state);
        }
        let _ = setup.register(&request, NAME);
        let _ = setup.log_in(&ke1, None, NAME, &mut rng());
        let _ = OpaqueRecord::parse(&record);
    }
}

/// A device that cannot have the memory.
#[derive(Default)]
struct NoMemory;

impl Ksf for NoMemory {
    fn hash<L: generic_array_014::ArrayLength<u8>>(
        &self,
        _: generic_array_014::GenericArray<u8, L>,
    ) -> Result<generic_array_014::GenericArray<u8, L>, opaque_ke::errors::InternalError> {
        Err(opaque_ke::errors::InternalError::KsfError)
    }
}

#[test]
fn a_lack_of_memory_is_no_wrong_password() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let start = ClientLogin::<Suite<NoMemory>>::start(&mut OldRng(rng), b"right").unwrap();
    let request = framed(&[&start.message.serialize()]);
    let (response, _) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
    let refused = finish_login(start.state, b"right", &response, rng).unwrap_err();
    assert_eq!(refused, OpaqueError::OutOfMemory);

    let start = ClientRegistration::<Suite<NoMemory>>::start(&mut OldRng(rng), b"right").unwrap();
    let request = framed(&[&start.message.serialize()]);
    let response = setup.register(&request, NAME).unwrap();
    let refused = finish_registration(start.state, b"right", &response, rng).unwrap_err();
    assert_eq!(refused, OpaqueError::OutOfMemory);
}
