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
fn a_space_key_comes_through_the_inbox() {
    let mut anna = Person::new(1, 1);
    let space = SpaceId::make(&mut anna.rng);
    let key = SpaceKey::make(4, &mut anna.rng);
    let (account, inbox) = (anna.account(), anna.inbox.public());
    let grant = grant_space_key(&key, &space, &account, &inbox, &mut anna.rng).unwrap();
    let commitment = key.commitment(&space);
    let open = |space: &SpaceId, epoch, commitment: &KeyCommitment| {
        open_space_grant(&grant, &anna.inbox, space, &account, epoch, commitment)
    };
    assert_eq!(open(&space, 4, &commitment), Ok(key));
    assert_eq!(open(&space, 4, &KeyCommitment::new([0; 32])), Err(GrantError::NotCommitted));
    let not_ours = Err(GrantError::Message(HpkeError::NotForUs));
    assert_eq!(open(&space, 5, &commitment), not_ours);
    assert_eq!(open(&SpaceId::new([0; 16]), 4, &commitment), not_ours);
}
