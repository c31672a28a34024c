use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::account::keys::{DeviceSecret, IdentitySecret, ReceivingSecret};
use crate::world::{Person, listed};

type Change = Box<dyn Fn(&mut AccountState)>;

#[test]
fn a_first_state_proves_itself() {
    let anna = Person::new(1, 2);
    let parsed = SignedState::parse(anna.state().as_bytes()).unwrap();
    let verified = parsed.clone().verify_first().unwrap();
    assert_eq!(verified.state(), anna.state().state());
    assert_eq!(verified.hash(), anna.state().hash());
    parsed.clone().verify_under(&anna.identity.public()).unwrap();
    let other = Person::new(2, 1).identity.public();
    assert_eq!(parsed.verify_under(&other).unwrap_err(), StateError::IdentityChanged);
}

#[test]
fn every_altered_byte_is_refused() {
    let anna = Person::new(1, 2);
    let bytes = anna.state().as_bytes();
    for at in 0..bytes.len() {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1;
        let verdict = SignedState::parse(&altered).and_then(SignedState::verify_first);
        assert!(verdict.is_err(), "byte {at}");
    }
    for len in 0..bytes.len() {
        assert!(matches!(SignedState::parse(&bytes[..len]), Err(StateError::Malformed(_))), "{len} bytes");
    }
    assert!(SignedState::parse(&[bytes, &[0]].concat()).is_err());
}

/// What may follow what: a row for each rule.
#[test]
fn succession_keeps_its_rules() {
    let mut anna = Person::new(1, 3);
    anna.revoke(2);
    let rng = &mut StdRng::seed_from_u64(9);
    let fresh = listed(&DeviceSecret::make(rng));
    let other_device = fresh.clone();
    let root = anna.roots[1].make_next(rng).commitment(&anna.account());
    let inbox = ReceivingSecret::make(rng).public();
    let renew = move |s: &mut AccountState| (s.epoch, s.root_commitment, s.inbox) = (3, root, inbox);
    let rule = |rule| Err(StateError::Rule(rule));
    use SuccessionRule::{Devices, Epoch, MinimumProtocol, NewEpochDue, PrivateSpace};
    let table: Vec<(&str, Change, Result<(), StateError>)> = vec![
        ("nothing", Box::new(|_| {}), Ok(())),
        ("a device more", Box::new(move |s| s.devices.push(fresh.clone())), Ok(())),
        ("a revoked device forgotten", Box::new(|s| s.devices.truncate(2)), Ok(())),
        ("a new epoch", Box::new(renew), Ok(())),
        ("a higher minimum", Box::new(|s| s.minimum_protocol = 2), Ok(())),
        ("other credentials", Box::new(|s| s.credentials = CredentialSetHash::new([8; 32])), Ok(())),
        (
            "a revocation",
            Box::new(move |s| {
                s.devices[1].revoked_day = Some(1);
                renew(s);
            }),
            Ok(()),
        ),
        ("a version skipped", Box::new(|s| s.version += 1), Err(StateError::NotSuccessor)),
        ("a version twice", Box::new(|s| s.version -= 1), Err(StateError::NotSuccessor)),
        (
            "another branch",
            Box::new(|s| s.previous = AccountStateHash::new([9; 32])),
            Err(StateError::NotSuccessor),
        ),
        ("another account", Box::new(|s| s.account = AccountId::new([9; 16])), Err(StateError::WrongAccount)),
        ("another space", Box::new(|s| s.private_space = SpaceId::new([9; 16])), rule(PrivateSpace)),
        ("a lower minimum", Box::new(|s| s.minimum_protocol = 0), rule(MinimumProtocol)),
        ("an earlier epoch", Box::new(|s| s.epoch = 1), rule(Epoch)),
        ("an epoch without a key", Box::new(|s| s.epoch = 3), rule(Epoch)),
        ("a key without an epoch", Box::new(move |s| s.root_commitment = root), rule(Epoch)),
        (
            "a live device forgotten",
            Box::new(|s| s.devices.retain(|device| device.revoked_day.is_some())),
            rule(Devices),
        ),
        ("a device twice", Box::new(|s| s.devices.push(s.devices[0].clone())), rule(Devices)),
        ("a device exchanged", Box::new(move |s| s.devices[0] = other_device.clone()), rule(Devices)),
        ("a day changed", Box::new(|s| s.devices[0].added_day = 1), rule(Devices)),
        ("a revocation taken back", Box::new(|s| s.devices[2].revoked_day = None), rule(Devices)),
        ("a revocation moved", Box::new(|s| s.devices[2].revoked_day = Some(1)), rule(Devices)),
        (
            "a revocation without an epoch",
            Box::new(|s| s.devices[1].revoked_day = Some(1)),
            rule(NewEpochDue),
        ),
        (
            "a revocation with the old inbox",
            Box::new(move |s| {
                s.devices[1].revoked_day = Some(1);
                (s.epoch, s.root_commitment) = (3, root);
            }),
            rule(NewEpochDue),
        ),
    ];
    for (what, change, expected) in table {
        let mut next = anna.state().draft_next();
        change(&mut next);
        let verdict = next.sign_after(anna.state(), &anna.identity, None).map(drop);
        assert_eq!(verdict, expected, "{what}");
    }
}

#[test]
fn a_new_identity_needs_the_old_one_and_new_keys() {
    let anna = Person::new(1, 1);
    let rng = &mut StdRng::seed_from_u64(9);
    let (new, stranger) = (IdentitySecret::make(rng), IdentitySecret::make(rng));
    let mut next = anna.state().draft_next();
    next.identity = new.public();
    let old = Some(&anna.identity);
    let due = StateError::Rule(SuccessionRule::NewEpochDue);
    assert_eq!(next.sign_after(anna.state(), &new, old).unwrap_err(), due);

    (next.epoch, next.root_commitment) = (2, anna.roots[0].make_next(rng).commitment(&anna.account()));
    next.inbox = ReceivingSecret::make(rng).public();
    next.sign_after(anna.state(), &new, old).unwrap();
    assert_eq!(next.sign_after(anna.state(), &new, None).unwrap_err(), StateError::IdentityChanged);
    assert_eq!(
        next.sign_after(anna.state(), &new, Some(&stranger)).unwrap_err(),
        StateError::IdentityChanged
    );
    assert_eq!(next.sign_after(anna.state(), &anna.identity, old).unwrap_err(), StateError::BadSignature);
    let unneeded = anna.state().draft_next().sign_after(anna.state(), &anna.identity, old);
    assert_eq!(unneeded.unwrap_err(), StateError::IdentityChanged);
}

#[test]
fn an_account_cannot_be_founded_under_another_id() {
    let anna = Person::new(1, 1);
    let mut state = anna.state().state().clone();
    state.account = AccountId::new([9; 16]);
    let refused = state.sign_first(&anna.identity).unwrap_err();
    assert_eq!(refused, StateError::Rule(SuccessionRule::FirstIdentity));
}

#[test]
fn the_past_is_believed_when_it_is_named() {
    let mut anna = Person::new(1, 1);
    anna.publish(|state| state.minimum_protocol = 2);
    anna.publish(|_| {});
    let parse = |index: usize| SignedState::parse(anna.states[index].as_bytes()).unwrap();
    let two = parse(1).verify_before(&anna.states[2]).unwrap();
    parse(0).verify_before(&two).unwrap();
    assert_eq!(parse(0).verify_before(&anna.states[2]).unwrap_err(), StateError::NotSuccessor);
    assert_eq!(parse(2).verify_before(&two).unwrap_err(), StateError::NotSuccessor);
    let other = Person::new(2, 1);
    let foreign = SignedState::parse(other.state().as_bytes()).unwrap();
    assert_eq!(foreign.verify_before(&two).unwrap_err(), StateError::WrongAccount);
}
