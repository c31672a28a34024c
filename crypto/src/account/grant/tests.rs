use super::*;
use crate::world::Person;

#[test]
fn only_a_listed_device_gets_the_root_key() {
    let mut anna = Person::new(1, 2);
    anna.revoke(1);
    let ids: Vec<_> = anna.devices.iter().map(DeviceSecret::id).collect();
    let grant = grant_root(&anna.roots[1], &anna.states[1], &ids[0], &mut anna.rng).unwrap();
    assert_eq!(open_root_grant(&grant, &anna.devices[0], &anna.states[1]).as_ref(), Ok(&anna.roots[1]));
    let refused = grant_root(&anna.roots[1], &anna.states[1], &ids[1], &mut anna.rng);
    assert_eq!(refused, Err(GrantError::NoSuchDevice));
    let refused = grant_root(&anna.roots[0], &anna.states[1], &ids[0], &mut anna.rng);
    assert_eq!(refused, Err(GrantError::NotCommitted));
}

#[test]
fn a_grant_is_for_one_device_and_epoch() {
    let mut anna = Person::new(1, 2);
    let id = anna.devices[0].id();
    let grant = grant_root(&anna.roots[0], &anna.states[0], &id, &mut anna.rng).unwrap();
    let not_ours = Err(GrantError::Message(HpkeError::NotForUs));
    assert_eq!(open_root_grant(&grant, &anna.devices[1], &anna.states[0]), not_ours);
    anna.revoke(1);
    assert_eq!(open_root_grant(&grant, &anna.devices[0], &anna.states[1]), not_ours);
    for at in 0..grant.len() {
        let mut altered = grant.clone();
        altered[at] ^= 1;
        assert!(open_root_grant(&altered, &anna.devices[0], &anna.states[0]).is_err(), "byte {at}");
    }
}

/// HPKE's base mode lets anybody send a well-formed grant. The commitment is what stops a server's own key.
#[test]
fn a_key_of_the_servers_own_is_refused() {
    let mut anna = Person::new(1, 1);
    let (account, id) = (anna.account(), anna.devices[0].id());
    let info = context(labels::ROOT_GRANT, &[(&account).into(), 1.into(), (&id).into()]);
    let receiver = anna.devices[0].public().receiving;
    for key in [vec![9; 32], vec![9; 31], vec![]] {
        let forged = hpke::seal_to(&receiver, &info, &key, &mut anna.rng).unwrap();
        assert_eq!(
            open_root_grant(&forged, &anna.devices[0], &anna.states[0]),
            Err(GrantError::NotCommitted)
        );
    }
}

#[test]
fn a_space_key_comes_through_the_inbox_of_a_member() {
    let (mut anna, ben) = (Person::new(1, 1), Person::new(2, 1));
    let space = crate::ids::SpaceId::make(&mut anna.rng);
    let key = SpaceKey::make(4, &mut anna.rng);
    let account = anna.account();
    let control = Control::first(space, &key, account, anna.identity.public());
    let state = anna.state().clone();
    let grant = grant_space_key(&key, &control, &state, &mut anna.rng).unwrap();
    let open = |control: &Control| open_space_grant(&grant, &anna.inbox, &account, control);
    assert_eq!(open(&control), Ok(SpaceKey::new(4, *key.expose())));
    let uncommitted = Control { commitment: crate::ids::KeyCommitment::new([0; 32]), ..control.clone() };
    assert_eq!(open(&uncommitted), Err(GrantError::NotCommitted));
    let not_ours = Err(GrantError::Message(HpkeError::NotForUs));
    assert_eq!(open(&Control { epoch: 5, ..control.clone() }), not_ours);
    assert_eq!(open(&Control { space: crate::ids::SpaceId::new([0; 16]), ..control.clone() }), not_ours);

    // Nobody is granted anything but a member, under its verified identity, and only the key in force.
    let rng = &mut anna.rng;
    assert_eq!(grant_space_key(&key, &control, ben.state(), rng), Err(GrantError::NoSuchMember));
    let mut replaced = control.clone();
    replaced.members[0].identity = ben.identity.public();
    assert_eq!(grant_space_key(&key, &replaced, &state, rng), Err(GrantError::IdentityChanged));
    let old = SpaceKey::make(3, rng);
    assert_eq!(grant_space_key(&old, &control, &state, rng), Err(GrantError::NotCommitted));
}
