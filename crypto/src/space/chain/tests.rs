use super::*;
use crate::ids::ControlHash;
use crate::space::control::ControlError;
use crate::space::control::Member;
use crate::world::{CounterRng, Person, after};

const SPACE: SpaceId = SpaceId::new([1; 16]);
const ROOT: StateRoot = StateRoot::new([2; 32]);

/// A shared space of an admin, a writer and a reader, after its first two commits.
struct Group {
    people: [Person; 3],
    keys: SpaceKeys,
    controls: Vec<Control>,
    sealed: Vec<Vec<u8>>,
    chain: Chain,
    rng: CounterRng,
}

fn member(person: &Person, role: Role) -> Member {
    Member { account: person.account(), identity: person.identity.public(), role }
}

impl Group {
    fn new() -> Self {
        let mut rng = CounterRng::new(70);
        let people = [71, 72, 73].map(|seed| Person::new(seed, 1));
        let keys = SpaceKeys::from_iter([SpaceKey::make(1, &mut rng)]);
        let admin = &people[0];
        let first = Control::first(SPACE, keys.newest().unwrap(), admin.account(), admin.identity.public());
        let sealed = vec![first.seal(keys.newest().unwrap(), &mut rng)];
        let mut group =
            Self { people, keys, controls: vec![first], sealed, chain: Chain::shared(SPACE), rng };
        let founding = group.commit(0, |_| {});
        group.accept(&founding).unwrap();
        let members =
            [(1, Role::Writer), (2, Role::Reader)].map(|(who, role)| member(&group.people[who], role));
        group.change(|control| control.members.extend(members));
        let joining = group.commit(0, |_| {});
        group.accept(&joining).unwrap();
        group
    }

    /// The control that follows, sealed with the key of the epoch in force.
    fn change(&mut self, change: impl FnOnce(&mut Control)) {
        let mut next = self.controls.last().unwrap().draft_next();
        change(&mut next);
        next.members.sort_by_key(|member| member.account);
        let key = self.keys.epoch(self.epoch()).unwrap();
        self.sealed.push(next.seal(key, &mut self.rng));
        self.controls.push(next);
    }

    /// The epoch in which the next commit must be sealed.
    fn epoch(&self) -> u64 {
        self.chain.control().map_or(1, |control| control.epoch)
    }

    /// A commit by one of the people that names the newest control.
    fn commit(&mut self, who: usize, change: impl FnOnce(&mut Header)) -> Vec<u8> {
        let control = self.controls.last().unwrap();
        let mut header = self.people[who].header(0, self.people[who].states.len() - 1, ROOT);
        header.control = Some((control.version, control.hash()));
        change(&mut header);
        let key = self.keys.epoch(self.epoch()).unwrap();
        header.seal(&SPACE, &self.chain.at(), key, &self.people[who].devices[0], &mut self.rng)
    }

    fn accept(&mut self, commit: &[u8]) -> Result<Header, Refusal> {
        let sealed = self.sealed.clone();
        let sealed: Vec<_> = sealed.iter().map(Vec::as_slice).collect();
        self.accept_with(commit, &sealed)
    }

    fn accept_with(&mut self, commit: &[u8], controls: &[&[u8]]) -> Result<Header, Refusal> {
        let mut authority = Authority::default();
        for person in &self.people {
            authority.insert(person.history(person.states.len()));
        }
        self.chain.accept(commit, Context { keys: &self.keys, authority: &authority, controls })
    }
}

#[test]
fn members_write_as_their_roles_allow() {
    let mut group = Group::new();
    let writing = group.commit(1, |_| {});
    assert_eq!(group.accept(&writing).map(|header| header.author), Ok(group.people[1].account()));
    let reading = group.commit(2, |_| {});
    assert_eq!(group.accept(&reading), Err(Violation::NotAllowed { seq: 4 }.into()));
    let mut stranger = Person::new(79, 1);
    std::mem::swap(&mut group.people[2], &mut stranger);
    let commit = group.commit(2, |_| {});
    let device = group.people[2].devices[0].id();
    assert_eq!(group.accept(&commit), Err(Violation::UnknownAuthor { seq: 4, device }.into()));
}

#[test]
fn only_an_admin_changes_the_members() {
    let mut group = Group::new();
    let before = group.chain.clone();
    group.change(|control| control.members.iter_mut().for_each(|member| member.role = Role::Admin));
    let taken_over = group.commit(1, |_| {});
    let rule = ControlError::NotAdmin;
    assert_eq!(group.accept(&taken_over), Err(Violation::Control { seq: 3, rule }.into()));
    assert_eq!(group.chain, before);
    let granted = group.commit(0, |_| {});
    group.accept(&granted).unwrap();
    assert_eq!(group.chain.control().map(|control| control.version), Some(3));
}

#[test]
fn a_removed_member_is_out_and_a_new_epoch_begins() {
    let mut group = Group::new();
    let (gone, new_key) = (group.people[1].account(), SpaceKey::make(2, &mut group.rng));
    let commitment = new_key.commitment(&SPACE);
    group.change(|control| {
        control.members.retain(|member| member.account != gone);
        (control.epoch, control.commitment) = (2, commitment);
    });
    // The commit that removes is still sealed in the epoch that judges it.
    let removing = group.commit(0, |_| {});
    group.accept(&removing).unwrap();
    let old_epoch = {
        let header = Header { control: None, ..group.people[0].header(0, 0, ROOT) };
        let control = group.controls.last().unwrap();
        let header = Header { control: Some((control.version, control.hash())), ..header };
        let key = group.keys.epoch(1).unwrap();
        header.seal(&SPACE, &group.chain.at(), key, &group.people[0].devices[0], &mut group.rng)
    };
    assert_eq!(group.accept(&old_epoch), Err(Violation::WrongEpoch { seq: 4 }.into()));
    group.keys.insert(new_key);
    let returning = group.commit(1, |_| {});
    let device = group.people[1].devices[0].id();
    assert_eq!(group.accept(&returning), Err(Violation::UnknownAuthor { seq: 4, device }.into()));
    let going_on = group.commit(0, |_| {});
    group.accept(&going_on).unwrap();
}

#[test]
fn the_control_that_is_named_must_be_there() {
    let mut group = Group::new();
    group.change(|_| {});
    let commit = group.commit(0, |_| {});
    let needs = Refusal::Needs(Needs::Control { version: 3 });
    assert_eq!(group.accept_with(&commit, &[]), Err(needs));
    // Another control of the same version does not have the hash that the commit names.
    let other = group.controls[1].draft_next();
    let other = Control { members: vec![other.members[0].clone()], ..other };
    let other = other.seal(group.keys.newest().unwrap(), &mut group.rng);
    assert_eq!(group.accept_with(&commit, &[&other]), Err(needs));
    group.accept(&commit).unwrap();

    type Change = fn(&mut Header);
    let wrong: [(&str, Change); 4] = [
        ("none", |header| header.control = None),
        ("one skipped", |header| header.control = Some((5, ControlHash::new([9; 32])))),
        ("one before", |header| header.control = Some((2, ControlHash::new([9; 32])))),
        ("another of this version", |header| header.control = Some((3, ControlHash::new([9; 32])))),
    ];
    for (what, change) in wrong {
        let commit = group.commit(0, change);
        assert_eq!(group.accept(&commit), Err(Violation::WrongControl { seq: 4 }.into()), "{what}");
    }
}

/// A server that puts another key in a member's place shows an identity that nobody verified.
#[test]
fn a_changed_identity_is_reported() {
    let mut group = Group::new();
    let mut impostor = Person::new(80, 1);
    let account = group.people[1].account();
    let listed = group.controls[1].members.iter().position(|member| member.account == account).unwrap();
    // The control lists the impostor's account with the identity of the real member.
    let new_key = SpaceKey::make(2, &mut group.rng);
    let commitment = new_key.commitment(&SPACE);
    let identity = group.people[1].identity.public();
    group.change(|control| {
        control.members[listed] = Member { account: impostor.account(), identity, role: Role::Writer };
        (control.epoch, control.commitment) = (2, commitment);
    });
    let commit = group.commit(0, |_| {});
    group.accept(&commit).unwrap();
    group.keys.insert(new_key);
    std::mem::swap(&mut group.people[1], &mut impostor);
    let account = group.people[1].account();
    let commit = group.commit(1, |_| {});
    assert_eq!(group.accept(&commit), Err(Violation::IdentityChanged { account }.into()));
}

#[test]
fn the_first_commit_is_judged_by_its_own_control() {
    let mut group = Group::new();
    group.chain = Chain::shared(SPACE);
    group.controls.truncate(1);
    let by_stranger = group.commit(1, |_| {});
    let device = group.people[1].devices[0].id();
    assert_eq!(group.accept(&by_stranger), Err(Violation::UnknownAuthor { seq: 1, device }.into()));
    let founding = group.commit(0, |_| {});
    assert!(group.accept(&founding).is_ok());
}

#[test]
fn an_invited_member_starts_where_the_invitation_says() {
    let mut group = Group::new();
    let at = group.chain.at();
    let joined = Chain::joined(at, ROOT, group.controls[1].clone(), []).unwrap();
    let bytes = joined.to_bytes();
    assert_eq!(Chain::from_trusted_bytes(&bytes), Ok(joined.clone()));
    let commit = group.commit(1, |_| {});
    group.chain = joined;
    group.accept(&commit).unwrap();
    assert_eq!(group.chain.at(), after(&at, &commit));
}

/// Behind pruned commits, of which nobody knows the content, no new founder is believed.
#[test]
fn a_space_is_founded_once() {
    let mut group = Group::new();
    let pruned = CommitHash::new([9; 32]);
    group.chain = Chain::shared(SPACE);
    group.chain.fold(&pruned);
    group.controls.truncate(1);
    let reader = &group.people[2];
    let coup =
        Control::first(SPACE, group.keys.newest().unwrap(), reader.account(), reader.identity.public());
    group.sealed.push(coup.seal(group.keys.newest().unwrap(), &mut group.rng));
    group.controls.push(coup);
    let commit = group.commit(2, |_| {});
    assert_eq!(group.accept(&commit), Err(Violation::WrongControl { seq: 2 }.into()));
}

#[test]
fn an_invitation_to_what_no_space_can_be_is_refused() {
    let mut group = Group::new();
    let (at, control) = (group.chain.at(), group.controls[1].clone());
    let far = Place { seq: u64::MAX, ..at };
    assert_eq!(Chain::joined(far, ROOT, control.clone(), []), Err(Violation::TooMuch));
    let mut unruled = control.clone();
    unruled.members.reverse();
    let rule = ControlError::Members;
    assert_eq!(Chain::joined(at, ROOT, unruled, []), Err(Violation::Control { seq: at.seq, rule }));
    // A device that was barred before the invitation stays barred for whoever was invited.
    let account = group.people[1].account();
    let commit = group.commit(1, |_| {});
    group.chain = Chain::joined(at, ROOT, control, [(account, 2)]).unwrap();
    assert_eq!(group.accept(&commit), Err(Violation::StateRollback { seq: 3 }.into()));
}

/// In a shared space a deletion is a signed record. What just vanishes was deleted by nobody who may.
#[test]
fn nothing_vanishes_from_a_shared_space() {
    use crate::ids::{RecordHash, SlotId};
    use crate::space::merkle::MerkleMap;
    use crate::space::pull::{Mode, Page, Pull};
    let mut group = Group::new();
    let slot = (SlotId::new([7; 16]), RecordHash::new([7; 32]));
    let mut held: MerkleMap = [slot].into_iter().collect();
    let root = held.root();
    let commit = group.commit(1, |header| header.root = MerkleMap::new().root());
    let mut authority = Authority::default();
    for person in &group.people {
        authority.insert(person.history(1));
    }
    let mut pull = Pull::start(&group.chain, Mode::Snapshot);
    let context = Context { keys: &group.keys, authority: &authority, controls: &[] };
    pull.page(Page { commits: &[&commit], ..Page::default() }, context).unwrap();
    assert_eq!(pull.finish(&mut held, &authority).unwrap_err(), Violation::Vanished);
    assert_eq!(held.root(), root);
}
