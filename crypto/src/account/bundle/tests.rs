use super::*;
use crate::account::recovery::RecoveryCode;
use crate::account::root::{Keyring, NameKey};
use crate::world::Person;

/// An account whose state names a real credential set.
struct Account {
    person: Person,
    export_key: ExportKey,
    code: RecoveryCode,
    credentials: CredentialSet,
}

fn account(seed: u64) -> Account {
    let mut person = Person::new(seed, 1);
    let id = person.account();
    let (export_key, code) = (ExportKey::from_bytes([5; 64]), RecoveryCode::make(&mut person.rng));
    let kek = PasswordKek::derive(&export_key, &id);
    let name_key = NameKey::make(&mut person.rng);
    let (identity, root, rng) = (&person.identity, &person.roots[0], &mut person.rng);
    let credentials = CredentialSet {
        opaque_record: vec![1; 209],
        password_bundle: seal_password_bundle(&kek, &id, identity, root, &code.kek(), rng),
        recovery_bundle: seal_recovery_bundle(&code.kek(), &id, identity, root, rng),
        recovery_sign_in: code.sign_in_secret().public(),
        keyring: Keyring::new(name_key).seal(root, &id, rng),
    };
    let hash = credentials.hash();
    person.publish(|state| state.credentials = hash);
    Account { person, export_key, code, credentials }
}

impl Account {
    fn id(&self) -> AccountId {
        self.person.account()
    }

    fn state(&self, index: usize) -> SignedState {
        SignedState::parse(self.person.states[index].as_bytes()).unwrap()
    }

    fn open(&self) -> Opened {
        let kek = PasswordKek::derive(&self.export_key, &self.id());
        open_password_bundle(&kek, &self.id(), &self.credentials.password_bundle).unwrap()
    }
}

#[test]
fn password_and_code_both_unlock() {
    let account = account(1);
    let unlocked = account.open().unlock(&account.id(), account.state(1), &account.credentials).unwrap();
    assert_eq!(unlocked.root, account.person.roots[0]);
    assert_eq!(unlocked.identity.public(), account.person.identity.public());
    assert_eq!(unlocked.recovery_kek, account.code.kek());

    let opened =
        open_recovery_bundle(account.code.kek(), &account.id(), &account.credentials.recovery_bundle);
    let unlocked = opened.unwrap().unlock(&account.id(), account.state(1), &account.credentials).unwrap();
    assert_eq!(unlocked.root, account.person.roots[0]);
    let keyring = Keyring::open(&account.credentials.keyring, &unlocked.root, &account.id()).unwrap();
    assert!(keyring.space_keys(&unlocked.root, &account.person.space).epoch(1).is_some());
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let (ours, theirs) = (account(1), account(2));
    let unlock = |id: &AccountId, state, set: &CredentialSet| ours.open().unlock(id, state, set).unwrap_err();
    let id = ours.id();
    assert_eq!(unlock(&id, theirs.state(1), &ours.credentials), StateError::IdentityChanged.into());
    assert_eq!(unlock(&id, ours.state(0), &ours.credentials), UnlockError::Credentials);
    assert_eq!(unlock(&id, ours.state(1), &theirs.credentials), UnlockError::Credentials);
    assert_eq!(unlock(&theirs.id(), ours.state(1), &ours.credentials), UnlockError::WrongAccount);

    // A state of a later epoch, with the bundle of the one before.
    let mut later = account(1);
    later.person.revoke(0);
    assert_eq!(unlock(&id, later.state(2), &later.credentials), UnlockError::Root(NotCommitted));
}

#[test]
fn a_bundle_opens_for_its_account_and_secret_only() {
    let account = account(1);
    let (id, other) = (account.id(), AccountId::new([9; 16]));
    let bundle = &account.credentials.password_bundle;
    let refused = OpenError::WrongKeyOrContext;
    let kek = |export_key: &ExportKey, id| PasswordKek::derive(export_key, id);
    let wrong = ExportKey::from_bytes([6; 64]);
    assert_eq!(open_password_bundle(&kek(&wrong, &id), &id, bundle).unwrap_err(), refused);
    assert_eq!(open_password_bundle(&kek(&account.export_key, &other), &id, bundle).unwrap_err(), refused);
    assert_eq!(open_password_bundle(&kek(&account.export_key, &id), &other, bundle).unwrap_err(), refused);
    let recovery = &account.credentials.recovery_bundle;
    assert_eq!(open_password_bundle(&kek(&account.export_key, &id), &id, recovery).unwrap_err(), refused);
    assert_eq!(open_recovery_bundle(account.code.kek(), &id, bundle).unwrap_err(), refused);
    for at in 0..bundle.len() {
        let mut altered = bundle.clone();
        altered[at] ^= 1;
        assert!(open_password_bundle(&kek(&account.export_key, &id), &id, &altered).is_err(), "byte {at}");
    }
}

proptest::proptest! {
    #[test]
    fn garbage_under_the_right_key_is_no_bundle_and_no_keyring(garbage: Vec<u8>) {
        let mut anna = Person::new(1, 1);
        let (id, root) = (anna.account(), &anna.roots[0]);
        let code = RecoveryCode::make(&mut anna.rng);
        let context = |label| context(label, &[(&id).into()]);
        let sealed = sealed::seal(&code.kek().0, &context(labels::RECOVERY_BUNDLE), &garbage, &mut anna.rng);
        let malformed = |error| matches!(error, OpenError::Plaintext(_));
        proptest::prop_assert!(malformed(open_recovery_bundle(code.kek(), &id, &sealed).unwrap_err()));
        let kek = PasswordKek::derive(&ExportKey::from_bytes([5; 64]), &id);
        let sealed = sealed::seal(&kek.0, &context(labels::PASSWORD_BUNDLE), &garbage, &mut anna.rng);
        proptest::prop_assert!(malformed(open_password_bundle(&kek, &id, &sealed).unwrap_err()));
        let sealed = Keyring::seal_for_tests(root, &id, &garbage, &mut anna.rng);
        proptest::prop_assert!(malformed(Keyring::open(&sealed, root, &id).unwrap_err()));
        proptest::prop_assert!(CredentialSet::parse(&garbage).is_err());
    }
}

#[test]
fn a_credential_set_has_one_form() {
    let set = account(1).credentials;
    let bytes = set.to_bytes();
    assert_eq!(CredentialSet::parse(&bytes).as_ref(), Ok(&set));
    for len in 0..bytes.len() {
        assert!(CredentialSet::parse(&bytes[..len]).is_err());
    }
    assert!(CredentialSet::parse(&[bytes.as_slice(), &[0]].concat()).is_err());
    let changed = CredentialSet { keyring: vec![], ..set.clone() };
    assert_ne!(changed.hash(), set.hash());
}

#[test]
fn earlier_root_keys_stay_within_reach_of_the_newest() {
    let mut anna = Person::new(1, 2);
    anna.revoke(1);
    let (account, space) = (anna.account(), anna.space);
    let newest = anna.roots.pop().unwrap();
    let old_key = anna.roots[0].private_space_key(&space);
    let name_key = NameKey::make(&mut anna.rng);
    let slot = name_key.singleton_slot(&space, "preferences", "");
    let mut keyring = Keyring::new(name_key);
    let (old, again) = (anna.roots.pop().unwrap(), RootKey::make(&mut anna.rng));
    keyring.retire(old).unwrap();
    assert_eq!(keyring.retire(again), Err(crate::account::root::WrongEpoch(1)));
    let sealed = keyring.seal(&newest, &account, &mut anna.rng);
    let opened = Keyring::open(&sealed, &newest, &account).unwrap();
    let keys = opened.space_keys(&newest, &space);
    assert_eq!(keys.epoch(1), Some(&old_key));
    assert_eq!(keys.newest().map(crate::space::keys::SpaceKey::epoch), Some(2));
    assert_eq!(opened.name_key.singleton_slot(&space, "preferences", ""), slot);
    assert_ne!(opened.name_key.singleton_slot(&space, "preference", "s"), slot);
    let other = RootKey::make(&mut anna.rng).make_next(&mut anna.rng);
    assert_eq!(Keyring::open(&sealed, &other, &account).unwrap_err(), OpenError::WrongKeyOrContext);
    assert_eq!(
        Keyring::open(&sealed, &newest, &AccountId::new([9; 16])).unwrap_err(),
        OpenError::WrongKeyOrContext
    );
}
