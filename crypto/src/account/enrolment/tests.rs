use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::world::{Person, listed};

fn shown(anna: &mut Person) -> Inviting {
    let state = anna.state().clone();
    Inviting::start(&state, 5, Head::new([5; 32]), &mut anna.rng)
}

fn signed(state: &VerifiedState) -> SignedState {
    SignedState::parse(state.as_bytes()).unwrap()
}

#[test]
fn a_scanned_device_is_enrolled() {
    let mut anna = Person::new(1, 1);
    let inviting = shown(&mut anna);
    let scanned = Invitation::parse(&inviting.code()).unwrap();
    assert_eq!((scanned.account, scanned.seq, scanned.head), (anna.account(), 5, Head::new([5; 32])));
    let new = DeviceSecret::make(&mut anna.rng);
    let keys = new.public();
    let (request, joining) = scanned.join(new, &inviting.ephemeral_key(), &mut anna.rng).unwrap();
    assert_eq!(inviting.accept(&request), Ok(keys));

    anna.publish(|state| {
        state.devices.push(super::super::state::Device { keys, added_day: 1, revoked_day: None });
    });
    let (device, state, place) = joining.finish(signed(&anna.states[0]), signed(&anna.states[1])).unwrap();
    assert_eq!(place, Place { seq: 5, head: Head::new([5; 32]) });
    assert_eq!(device.public(), keys);
    assert_eq!(state.hash(), anna.states[1].hash());
    let grant = super::super::grant::grant_root(&anna.roots[0], &state, &keys.id(), &mut anna.rng).unwrap();
    super::super::grant::open_root_grant(&grant, &device, &state).unwrap();
}

#[test]
fn the_server_cannot_stand_between() {
    let mut anna = Person::new(1, 1);
    let inviting = shown(&mut anna);
    let rng = &mut StdRng::seed_from_u64(3);
    let theirs = ReceivingSecret::make(rng);
    let code = Invitation::parse(&inviting.code()).unwrap();
    let refused = code.join(DeviceSecret::make(rng), &theirs.public(), rng).unwrap_err();
    assert_eq!(refused, EnrolmentError::WrongKey);

    // It knows the ephemeral key, but not the secret: it can encrypt a request, and not prove it.
    let keys = DeviceSecret::make(rng).public();
    let [signing, receiving] = keys.items();
    let plaintext = encode(&[signing, receiving, (&[0; 32]).into()]);
    let info = inviting.invitation.request_info();
    let forged = hpke::seal_to(&inviting.ephemeral_key(), &info, &plaintext, rng).unwrap();
    assert_eq!(inviting.accept(&forged), Err(EnrolmentError::NotScanned));
}

#[test]
fn a_request_is_for_one_code() {
    let mut anna = Person::new(1, 1);
    let (one, two) = (shown(&mut anna), shown(&mut anna));
    let code = Invitation::parse(&one.code()).unwrap();
    let device = DeviceSecret::make(&mut anna.rng);
    let (request, _) = code.join(device, &one.ephemeral_key(), &mut anna.rng).unwrap();
    assert_eq!(two.accept(&request), Err(EnrolmentError::NotScanned));
    for at in [0, 1, 40, request.len() - 1] {
        let again = Inviting {
            invitation: Invitation::parse(&one.code()).unwrap(),
            ephemeral: ReceivingSecret::from_bytes(*one.ephemeral.expose()),
        };
        let mut altered = request.clone();
        altered[at] ^= 1;
        assert_eq!(again.accept(&altered), Err(EnrolmentError::NotScanned), "byte {at}");
    }
}

#[test]
fn only_the_direct_successor_that_adds_this_device_is_believed() {
    let mut anna = Person::new(1, 1);
    let new = DeviceSecret::make(&mut anna.rng).expose();
    let join = |anna: &mut Person| {
        let inviting = shown(anna);
        let code = Invitation::parse(&inviting.code()).unwrap();
        code.join(DeviceSecret::from_bytes(&new), &inviting.ephemeral_key(), &mut anna.rng).unwrap().1
    };
    let (first, second, third, fourth) = (join(&mut anna), join(&mut anna), join(&mut anna), join(&mut anna));
    let ours = listed(&DeviceSecret::from_bytes(&new));
    let extra = listed(&DeviceSecret::make(&mut anna.rng));
    let publish = |anna: &Person, devices: Vec<_>| {
        let mut next = anna.state().draft_next();
        next.devices.extend(devices);
        signed(&next.sign_after(anna.state(), &anna.identity, None).unwrap())
    };
    let zero = || signed(&anna.states[0]);
    let not_enrolled = EnrolmentError::NotEnrolled;
    assert_eq!(first.finish(zero(), publish(&anna, vec![])).unwrap_err(), not_enrolled);
    assert_eq!(second.finish(zero(), publish(&anna, vec![ours.clone(), extra])).unwrap_err(), not_enrolled);
    assert_eq!(third.finish(zero(), zero()).unwrap_err(), StateError::NotSuccessor.into());
    // Another account's chain, however well signed, is not the one whose hash was scanned.
    let eve = Person::new(2, 1);
    let theirs = publish(&eve, vec![ours]);
    assert_eq!(fourth.finish(signed(&eve.states[0]), theirs).unwrap_err(), StateError::NotSuccessor.into());
}

proptest! {
    #[test]
    fn garbage_is_no_code(garbage: Vec<u8>) {
        prop_assert!(Invitation::parse(&garbage).is_err());
    }
}
