use opaque_ke::ksf::Ksf;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

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

#[test]
fn altered_messages_are_refused() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    // One position in each field of KE2 and at its borders; each costs a run of Argon2id.
    for at in [0, 1, 32, 33, 64, 65, 96, 97, 192, 193, 224, 225, 256, 257, 320] {
        let (request, start) = LoginStart::new(b"right", rng).unwrap();
        let (mut response, _) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
        response[at] ^= 1;
        let refused = start.finish(&response, rng).unwrap_err();
        match at {
            0 => assert_eq!(refused, OpaqueError::UnknownVersion(0)),
            // A flipped bit in a group element is mostly no element at all.
            _ => assert!(
                matches!(refused, OpaqueError::NotAuthenticated | OpaqueError::Malformed),
                "byte {at}"
            ),
        }
    }
    let (request, start) = LoginStart::new(b"right", rng).unwrap();
    let (response, server) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
    let finish = start.finish(&response, rng).unwrap().finish;
    for at in 0..finish.len() {
        let mut altered = finish.clone();
        altered[at] ^= 1;
        let expected = if at == 0 { OpaqueError::UnknownVersion(0) } else { OpaqueError::NotAuthenticated };
        let server = ServerLogin::from_bytes(&server.to_bytes()).unwrap();
        assert_eq!(server.finish(&altered).unwrap_err(), expected, "byte {at}");
    }
}

#[test]
fn messages_have_one_length() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let (request, start) = LoginStart::new(b"right", rng).unwrap();
    let (registration, _) = RegistrationStart::new(b"right", rng).unwrap();
    for (message, len) in [(&request, 97), (&registration, 33)] {
        assert_eq!(message.len(), len);
        let extended = [message.as_slice(), &[0]].concat();
        for wrong in (0..len).map(|len| &message[..len]).chain([extended.as_slice()]) {
            let refused = if len == 97 {
                setup.log_in(wrong, Some(&record), NAME, rng).map(drop)
            } else {
                setup.register(wrong, NAME).map(drop)
            };
            assert_eq!(refused, Err(OpaqueError::Malformed), "{} bytes", wrong.len());
        }
    }
    assert_eq!(start.finish(&[1; 300], rng).unwrap_err(), OpaqueError::Malformed);
    let setup_bytes = setup.to_bytes();
    for len in [0, 1, setup_bytes.len() - 1] {
        assert!(ServerSetup::from_bytes(&setup_bytes[..len]).is_err());
    }
    assert!(ServerSetup::from_bytes(&[setup_bytes.as_slice(), &[0]].concat()).is_err());
    assert_eq!(
        OpaqueRecord::parse(&[1; 1 + SetupId::LEN + REGISTRATION_RECORD_LEN + 1]).unwrap_err(),
        OpaqueError::Malformed
    );
}

#[test]
fn the_neutral_element_and_a_reflection_are_refused() {
    let (setup, record, _) = registered(b"right");
    let rng = &mut rng();
    let (mut request, start) = LoginStart::new(b"right", rng).unwrap();
    let (mut response, _) = setup.log_in(&request, Some(&record), NAME, rng).unwrap();
    response[1..33].copy_from_slice(&request[1..33]);
    assert_eq!(start.finish(&response, rng).unwrap_err(), OpaqueError::NotAuthenticated);
    request[1..33].fill(0);
    assert_eq!(setup.log_in(&request, None, NAME, rng).unwrap_err(), OpaqueError::Malformed);
    assert_eq!(setup.register(&[&[1][..], &[0; 32]].concat(), NAME), Err(OpaqueError::Malformed));
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

proptest! {
    #[test]
    fn garbage_is_refused(garbage: Vec<u8>) {
        let setup = ServerSetup::make(&mut rng());
        prop_assert!(setup.register(&garbage, NAME).is_err());
        prop_assert!(setup.log_in(&garbage, None, NAME, &mut rng()).is_err());
        prop_assert!(ServerSetup::from_bytes(&garbage).is_err());
        prop_assert!(ServerLogin::from_bytes(&garbage).is_err());
        prop_assert!(OpaqueRecord::parse(&garbage).is_err());
    }
}
