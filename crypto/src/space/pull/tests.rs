use super::*;
use crate::ids::{AccountStateHash, SpaceId, StateRoot};
use crate::space::chain::Needs;
use crate::space::keys::SpaceKeys;
use crate::space::record::seal_record;
use crate::world::{Person, after};

/// An account, and the honest server's copy of its private space.
struct Space {
    anna: Person,
    at: Place,
    map: MerkleMap,
    commits: Vec<Vec<u8>>,
    /// What each slot holds, and the commit that changed it last.
    slots: BTreeMap<SlotId, (u64, Option<Vec<u8>>)>,
}

/// What the server answers about a slot, before or after it lied.
#[derive(Clone)]
struct Answer {
    slot: SlotId,
    seq: u64,
    record: Option<(RecordHash, Vec<u8>)>,
}

impl Answer {
    fn hashed(bytes: Vec<u8>) -> (RecordHash, Vec<u8>) {
        (RecordHash::of(&bytes), bytes)
    }

    fn serve(&self) -> ServedSlot<'_> {
        let record = self.record.as_ref().map(|(hash, bytes)| ServedRecord { hash: *hash, bytes });
        ServedSlot { slot: self.slot, seq: self.seq, record }
    }
}

fn slot(number: u8) -> SlotId {
    SlotId::new([number; 16])
}

impl Space {
    fn new() -> Self {
        let anna = Person::new(1, 2);
        let at = Place::start(&anna.space);
        Self { anna, at, map: MerkleMap::new(), commits: Vec::new(), slots: BTreeMap::new() }
    }

    /// A device pushes: texts are written, nothing deletes.
    fn push(&mut self, device: usize, changes: &[(u8, Option<&str>)]) {
        for (number, text) in changes {
            let record = text.map(|text| {
                let key = self.anna.key();
                seal_record(&key, &self.anna.space, &slot(*number), text.as_bytes(), &mut self.anna.rng)
                    .unwrap()
            });
            set(&mut self.map, &slot(*number), record.as_deref().map(RecordHash::of));
            self.slots.insert(slot(*number), (self.at.seq + 1, record));
        }
        let root = self.map.root();
        let commit = self.anna.commit(&self.at, device, self.anna.states.len() - 1, root);
        self.at = after(&self.at, &commit);
        self.commits.push(commit);
    }

    fn pull(&self, from: &Device, mode: Mode) -> Result<Verdict, Violation> {
        let since = if mode == Mode::Changes { from.chain.at().seq } else { 0 };
        self.pull_with(from, mode, |slots| slots.retain(|slot| slot.seq > since))
    }

    /// A pull in which the server alters what it serves.
    fn pull_with(
        &self,
        from: &Device,
        mode: Mode,
        lie: impl FnOnce(&mut Vec<Answer>),
    ) -> Result<Verdict, Violation> {
        let mut answers: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, (_, record))| mode == Mode::Changes || record.is_some())
            .map(|(slot, (seq, record))| Answer {
                slot: *slot,
                seq: *seq,
                record: record.clone().map(Answer::hashed),
            })
            .collect();
        lie(&mut answers);
        let slots: Vec<_> = answers.iter().map(Answer::serve).collect();
        let known = usize::try_from(from.chain.at().seq).unwrap();
        let commits: Vec<_> = self.commits.iter().skip(known).map(Vec::as_slice).collect();
        let mut pull = Pull::start(&from.chain, mode);
        self.page(&mut pull, Page { pruned: &[], commits: &commits, slots: &slots })?;
        pull.finish(&mut from.map.clone(), &self.anna.authority())
    }

    fn page(&self, pull: &mut Pull, page: Page<'_>) -> Result<(), Violation> {
        self.page_or_refusal(pull, page).map_err(|refusal| match refusal {
            Refusal::Violation(violation) => violation,
            Refusal::Needs(needs) => panic!("{needs:?}"),
        })
    }

    fn page_or_refusal(&self, pull: &mut Pull, page: Page<'_>) -> Result<(), Refusal> {
        let (keys, authority) = (self.anna.keys(), self.anna.authority());
        pull.page(page, Context { keys: &keys, authority: &authority, controls: &[] })
    }
}

/// What a device of Anna's has verified.
#[derive(Clone)]
struct Device {
    chain: Chain,
    map: MerkleMap,
}

impl Device {
    fn fresh(space: &Space) -> Self {
        Self { chain: Chain::private(space.anna.space, space.anna.account()), map: MerkleMap::new() }
    }

    fn up_to_date(space: &Space) -> Self {
        let mut device = Self::fresh(space);
        let accepted = accepted(space.pull(&device, Mode::Snapshot));
        for (slot, hash) in &accepted.changes {
            set(&mut device.map, slot, *hash);
        }
        device.chain = accepted.chain;
        assert_eq!(device.map.root(), space.map.clone().root());
        device
    }
}

fn accepted(verdict: Result<Verdict, Violation>) -> Accepted {
    match verdict {
        Ok(Verdict::Accepted(accepted)) => accepted,
        other => panic!("{other:?}"),
    }
}

fn refused(verdict: Result<Verdict, Violation>) -> Violation {
    verdict.expect_err("a lie was believed")
}

/// A space after three commits, and a device that has seen the first two.
fn behind() -> (Space, Device) {
    let mut space = Space::new();
    space.push(0, &[(1, Some("one")), (2, Some("two")), (3, Some("three"))]);
    space.push(1, &[(2, Some("two, edited"))]);
    let device = Device::up_to_date(&space);
    space.push(0, &[(1, None), (4, Some("four"))]);
    (space, device)
}

#[test]
fn changes_and_deletions_arrive() {
    let (space, device) = behind();
    let accepted = accepted(space.pull(&device, Mode::Changes));
    assert_eq!(accepted.chain.at(), space.at);
    let changed: Vec<_> = accepted.changes.iter().map(|(slot, hash)| (*slot, hash.is_some())).collect();
    assert_eq!(changed, [(slot(1), false), (slot(4), true)]);
    assert_eq!(accepted.commits.len(), 1);
    assert_eq!(accepted.commits[0].header.device, space.anna.devices[0].id());
}

#[test]
fn a_snapshot_gives_the_same_and_absence_is_deletion() {
    let (space, device) = behind();
    let by_changes = accepted(space.pull(&device, Mode::Changes));
    let by_snapshot = accepted(space.pull(&device, Mode::Snapshot));
    assert_eq!(by_changes.changes, by_snapshot.changes);
    let nothing = accepted(space.pull(&Device::up_to_date(&space), Mode::Changes));
    assert!(nothing.changes.is_empty() && nothing.commits.is_empty());
}

/// Each lie of a server about slots, and what becomes of it.
#[test]
fn lies_about_slots_are_refused() {
    let (space, device) = behind();
    let (mut older, _) = behind();
    let key = space.anna.key();
    let old = seal_record(&key, &space.anna.space, &slot(2), b"two", &mut older.anna.rng).unwrap();
    let old = Answer::hashed(old);
    let answer = |number: u8, record: Option<&(RecordHash, Vec<u8>)>| Answer {
        slot: slot(number),
        seq: 3,
        record: record.cloned(),
    };
    let (put_back, added, deleted) = (answer(2, Some(&old)), answer(9, Some(&old)), answer(3, None));
    let (record_for_deletion, deletion_for_record) = (answer(1, Some(&old)), answer(4, None));
    let replace = |with: Answer| {
        move |slots: &mut Vec<Answer>| {
            slots.retain(|answer| answer.slot != with.slot);
            slots.push(with.clone());
        }
    };
    let swap_bytes = move |slots: &mut Vec<Answer>| {
        for answer in slots.iter_mut().filter(|answer| answer.slot == slot(4)) {
            answer.record.as_mut().unwrap().1 = old.1.clone();
        }
    };
    type Lie = Box<dyn Fn(&mut Vec<Answer>)>;
    let table: Vec<(&str, Lie, Violation)> = vec![
        ("leaves out a slot", Box::new(|s| s.retain(|answer| answer.slot != slot(4))), Violation::Incomplete),
        (
            "leaves out a deletion",
            Box::new(|s| s.retain(|answer| answer.slot != slot(1))),
            Violation::Incomplete,
        ),
        ("puts back an older record", Box::new(replace(put_back)), Violation::Incomplete),
        ("adds a slot", Box::new(replace(added)), Violation::Incomplete),
        ("deletes a slot", Box::new(replace(deleted)), Violation::Incomplete),
        ("a record for a deletion", Box::new(replace(record_for_deletion)), Violation::Incomplete),
        ("a deletion for a record", Box::new(replace(deletion_for_record)), Violation::Incomplete),
        ("swaps the bytes", Box::new(swap_bytes), Violation::RecordHash),
        (
            "names a commit to come",
            Box::new(|s| s[0].seq = 4),
            Violation::OutOfOrder { expected: 3, found: 4 },
        ),
        (
            "names a commit of before",
            Box::new(|s| s[0].seq = 2),
            Violation::OutOfOrder { expected: 3, found: 2 },
        ),
    ];
    for (what, lie, expected) in table {
        let verdict = space.pull_with(&device, Mode::Changes, |slots| {
            slots.retain(|answer| answer.seq > 2);
            lie(slots);
        });
        assert_eq!(refused(verdict), expected, "{what}");
    }
}

#[test]
fn a_refused_pull_changes_nothing() {
    let (space, mut device) = behind();
    let root = device.map.root();
    let mut pull = Pull::start(&device.chain, Mode::Changes);
    let commits = [space.commits[2].as_slice()];
    space.page(&mut pull, Page { commits: &commits, ..Page::default() }).unwrap();
    assert_eq!(pull.finish(&mut device.map, &space.anna.authority()).unwrap_err(), Violation::Incomplete);
    assert_eq!(device.map.root(), root);
    assert_eq!(device.chain.at().seq, 2);
}

#[test]
fn a_slot_that_changes_during_the_pull_comes_again() {
    let (mut space, device) = behind();
    let mut pull = Pull::start(&device.chain, Mode::Changes);
    let first = [space.commits[2].clone()];
    let served = |space: &Space, number: u8| {
        let (seq, record) = space.slots[&slot(number)].clone();
        (seq, record)
    };
    let (seq, record) = served(&space, 4);
    let record = record.unwrap();
    let hash = RecordHash::of(&record);
    let four = ServedSlot { slot: slot(4), seq, record: Some(ServedRecord { hash, bytes: &record }) };
    space.page(&mut pull, Page { commits: &[&first[0]], slots: &[four], ..Page::default() }).unwrap();
    space.push(1, &[(4, None)]);
    let one = ServedSlot { slot: slot(1), seq: 3, record: None };
    let gone = ServedSlot { slot: slot(4), seq: 4, record: None };
    let second = space.commits[3].as_slice();
    let stale = pull.clone();
    space.page(&mut pull, Page { commits: &[second], slots: &[one, gone], ..Page::default() }).unwrap();
    let done = accepted(pull.clone().finish(&mut device.map.clone(), &space.anna.authority()));
    assert_eq!(done.changes, [(slot(1), None)]);
    // It never comes back older.
    let refused = space.page(&mut pull, Page { slots: &[four], ..Page::default() });
    assert_eq!(refused, Err(Violation::OutOfOrder { expected: 4, found: 3 }));
    drop(stale);
}

#[test]
fn a_pruned_stretch_is_folded() {
    let (space, device) = behind();
    let hashes: Vec<_> = space.commits.iter().map(|commit| CommitHash::of(commit)).collect();
    let slots: Vec<_> = space
        .slots
        .iter()
        .filter_map(|(slot, (seq, record))| {
            let bytes = record.as_deref()?;
            Some(ServedSlot {
                slot: *slot,
                seq: *seq,
                record: Some(ServedRecord { hash: RecordHash::of(bytes), bytes }),
            })
        })
        .collect();
    let newest = [space.commits[2].as_slice()];
    let mut pull = Pull::start(&Device::fresh(&space).chain, Mode::Snapshot);
    space.page(&mut pull, Page { pruned: &hashes[..2], commits: &newest, slots: &slots }).unwrap();
    accepted(pull.finish(&mut MerkleMap::new(), &space.anna.authority()));

    // A device that has seen another commit 2 does not find itself in that stretch.
    let mut forked = device.chain.clone();
    forked.fold(&CommitHash::new([9; 32]));
    let refused = forked.accept(
        &space.commits[2],
        Context { keys: &space.anna.keys(), authority: &space.anna.authority(), controls: &[] },
    );
    assert!(matches!(refused, Err(Refusal::Violation(Violation::OutOfOrder { .. }))));
    let mut pull = Pull::start(&Device::fresh(&space).chain, Mode::Snapshot);
    let lying = [hashes[0], CommitHash::new([9; 32])];
    let refused = space.page(&mut pull, Page { pruned: &lying, commits: &newest, slots: &slots });
    assert!(matches!(refused, Err(Violation::Fork { .. })));

    // Hashes alone prove nothing: the newest commit must be seen.
    let mut pull = Pull::start(&Device::fresh(&space).chain, Mode::Snapshot);
    space.page(&mut pull, Page { pruned: &hashes, commits: &[], slots: &slots }).unwrap();
    let verdict = pull.finish(&mut MerkleMap::new(), &space.anna.authority());
    assert_eq!(verdict.unwrap_err(), Violation::Incomplete);
}

#[test]
fn forks_and_rollbacks_are_named_with_both_places() {
    let (space, device) = behind();
    let ours = device.chain.at();
    let pull = Pull::start(&device.chain, Mode::Changes);
    assert_eq!(pull.check_tip(space.at), Ok(()));
    let back = Place { seq: 1, head: ours.head };
    assert_eq!(pull.check_tip(back), Err(Violation::Rollback { ours, theirs: back }));
    let theirs = Place { seq: 2, head: space.at.head };
    assert_eq!(pull.check_tip(theirs), Err(Violation::Fork { ours, theirs }));

    let (mut other, _) = behind();
    other.anna.rng = crate::world::CounterRng::new(77);
    let branch = other.anna.commit(&Place { seq: 2, head: space.at.head }, 0, 0, StateRoot::new([0; 32]));
    let mut pull = Pull::start(&device.chain, Mode::Changes);
    let refused = space.page(&mut pull, Page { commits: &[&branch], ..Page::default() });
    assert_eq!(refused, Err(Violation::Fork { ours, theirs }));
}

#[test]
fn two_places_that_cannot_both_be_are_a_fork_at_once() {
    let (space, device) = behind();
    let mut pull = Pull::start(&device.chain, Mode::Changes);
    let (one, other) =
        (Place { seq: 9, head: space.at.head }, Place { seq: 9, head: device.chain.at().head });
    assert_eq!(pull.expect(one), Ok(()));
    assert_eq!(pull.expect(one), Ok(()));
    assert_eq!(pull.expect(other), Err(Violation::Fork { ours: one, theirs: other }));
    let (here, elsewhere) = (device.chain.at(), Place { head: space.at.head, ..device.chain.at() });
    assert_eq!(pull.expect(here), Ok(()));
    assert_eq!(pull.expect(elsewhere), Err(Violation::Fork { ours: here, theirs: elsewhere }));
}

#[test]
fn a_record_that_is_too_large_is_refused_unhashed() {
    let (space, device) = behind();
    let large = Answer {
        slot: slot(4),
        seq: 3,
        record: Some((RecordHash::new([0; 32]), vec![1; SEALED_LEN_MAX + 1])),
    };
    let verdict = space.pull_with(&device, Mode::Changes, |slots| *slots = vec![large]);
    assert_eq!(refused(verdict), Violation::Malformed(DecodeError::TooLarge));
}

#[test]
fn places_known_from_elsewhere_must_be_on_the_chain() {
    let (space, device) = behind();
    let finish = |expected: Place| {
        let mut pull = Pull::start(&device.chain, Mode::Changes);
        pull.expect(expected)?;
        let slots: Vec<_> = [(1, None), (4, space.slots[&slot(4)].1.as_deref())]
            .map(|(number, record)| ServedSlot {
                slot: slot(number),
                seq: 3,
                record: record.map(|bytes| ServedRecord { hash: RecordHash::of(bytes), bytes }),
            })
            .to_vec();
        space.page(&mut pull, Page { commits: &[&space.commits[2]], slots: &slots, ..Page::default() })?;
        pull.finish(&mut device.map.clone(), &space.anna.authority()).map(drop)
    };
    assert_eq!(finish(space.at), Ok(()));
    let other = Place { seq: 3, head: device.chain.at().head };
    assert_eq!(finish(other), Err(Violation::Fork { ours: other, theirs: space.at }));
    let later = Place { seq: 9, ..other };
    assert_eq!(finish(later), Err(Violation::Rollback { ours: later, theirs: space.at }));
}

/// A header whose every claim is at the attacker's will, sealed and signed as well as it can be.
#[test]
fn commits_that_must_not_be_are_refused() {
    let mut space = Space::new();
    space.push(0, &[(1, Some("one"))]);
    space.anna.publish(|_| {});
    space.push(1, &[(2, Some("two"))]);
    let device = Device::up_to_date(&space);
    let (mut eve, at, seq) = (Person::new(2, 1), space.at, 3);
    let root = StateRoot::new([0; 32]);
    let judge = |space: &Space, commit: &[u8]| {
        let (keys, authority) = (space.anna.keys(), space.anna.authority());
        let context = Context { keys: &keys, authority: &authority, controls: &[] };
        device.chain.clone().accept(commit, context).map(drop)
    };
    let seal = |space: &mut Space, header: &Header, signer: usize| {
        header.seal(
            &space.anna.space,
            &at,
            &space.anna.key(),
            &space.anna.devices[signer],
            &mut space.anna.rng,
        )
    };
    let ids = [space.anna.devices[0].id(), space.anna.devices[1].id()];
    let good = space.anna.header(0, 1, root);
    type Change = fn(&mut Header);
    let table: [(&str, Change, usize, Violation); 5] = [
        ("signed by another device", |_| {}, 1, Violation::BadSignature { seq }),
        (
            "by another account",
            |h| h.author = AccountId::new([9; 16]),
            0,
            Violation::UnknownAuthor { seq, device: ids[0] },
        ),
        (
            "by no device of the account",
            |h| h.device = DeviceId::new([9; 16]),
            0,
            Violation::UnknownAuthor { seq, device: DeviceId::new([9; 16]) },
        ),
        (
            "a state that never was",
            |h| h.state.1 = AccountStateHash::new([9; 32]),
            0,
            Violation::UnknownState { seq },
        ),
        (
            "a control in a private space",
            |h| h.control = Some((1, crate::ids::ControlHash::new([9; 32]))),
            0,
            Violation::WrongControl { seq },
        ),
    ];
    for (what, change, signer, expected) in table {
        let mut header = good.clone();
        change(&mut header);
        let commit = seal(&mut space, &header, signer);
        assert_eq!(judge(&space, &commit), Err(expected.into()), "{what}");
    }
    let commit = seal(&mut space, &good, 0);
    assert_eq!(judge(&space, &commit), Ok(()));
    let older = space.anna.header(0, 0, root);
    let commit = seal(&mut space, &older, 0);
    assert_eq!(judge(&space, &commit), Err(Violation::StateRollback { seq }.into()));
    let theirs = eve.commit(&at, 0, 0, root);
    assert_eq!(judge(&space, &theirs), Err(Violation::WrongSpace.into()));
    eve.space = space.anna.space;
    let theirs = eve.commit(&at, 0, 0, root);
    let substituted = Violation::Substitution(crate::sealed::OpenError::WrongKeyOrContext);
    assert_eq!(judge(&space, &theirs), Err(substituted.into()));
    let skipped = space.anna.commit(&Place { seq: 4, ..at }, 0, 1, root);
    assert_eq!(judge(&space, &skipped), Err(Violation::OutOfOrder { expected: 3, found: 5 }.into()));
    assert!(matches!(judge(&space, &[0; 10]), Err(Refusal::Violation(Violation::Malformed(_)))));
}

#[test]
fn what_is_missing_is_asked_for() {
    let (mut space, device) = behind();
    let page_with = |space: &Space, keys: &SpaceKeys, states: usize| {
        let authority = space.anna.history(states).into();
        let mut pull = Pull::start(&device.chain, Mode::Changes);
        let commits: Vec<_> = space.commits[2..].iter().map(Vec::as_slice).collect();
        let context = Context { keys, authority: &authority, controls: &[] };
        pull.page(Page { commits: &commits, ..Page::default() }, context)
    };
    let old_keys = space.anna.keys();
    space.anna.revoke(1);
    space.push(0, &[(5, Some("five"))]);
    assert_eq!(page_with(&space, &old_keys, 2), Err(Refusal::Needs(Needs::Key { epoch: 2 })));
    let state = Needs::State { account: space.anna.account(), version: 2 };
    assert_eq!(page_with(&space, &space.anna.keys(), 1), Err(Refusal::Needs(state)));
    assert_eq!(page_with(&space, &space.anna.keys(), 2), Ok(()));
}

#[test]
fn a_revoked_device_is_held_back_until_it_is_barred() {
    let mut space = Space::new();
    space.push(0, &[(1, Some("one"))]);
    let device = Device::up_to_date(&space);
    space.push(1, &[(2, Some("before its revocation"))]);
    space.anna.revoke(1);
    // The revocation is known, and nothing on the chain bars the device yet.
    let Ok(Verdict::Held(held)) = space.pull(&device, Mode::Changes) else { panic!("not held") };
    assert_eq!((held.account, held.device), (space.anna.account(), space.anna.devices[1].id()));
    let taken = held.accept_before_barrier(&mut device.map.clone()).unwrap();
    assert_eq!(taken.chain.at(), space.at);

    let unbarred = space.at;
    space.push(0, &[(3, Some("the barrier"))]);
    let barred = accepted(space.pull(&device, Mode::Changes));
    assert_eq!(barred.chain.at(), space.at);

    // Behind the barrier it can name neither the state that revokes it nor the one before.
    let (keys, authority) = (space.anna.keys(), space.anna.authority());
    let context = Context { keys: &keys, authority: &authority, controls: &[] };
    let (seq, id) = (space.at.seq + 1, space.anna.devices[1].id());
    let root = space.map.root();
    for (state, expected) in
        [(0, Violation::StateRollback { seq }), (1, Violation::RevokedAuthor { seq, device: id })]
    {
        let commit = space.anna.commit(&space.at, 1, state, root);
        assert_eq!(barred.chain.clone().accept(&commit, context), Err(expected.into()));
    }
    // Nor can it seal in the epoch of before and name the new state.
    let header = space.anna.header(0, 1, root);
    let old_key = space.anna.roots[0].private_space_key(&space.anna.space);
    let commit =
        header.seal(&space.anna.space, &space.at, &old_key, &space.anna.devices[0], &mut space.anna.rng);
    assert_eq!(barred.chain.clone().accept(&commit, context), Err(Violation::WrongEpoch { seq }.into()));
    assert!(unbarred.seq < space.at.seq);
}

#[test]
fn a_chain_survives_the_local_store() {
    let (space, device) = behind();
    let bytes = device.chain.to_bytes();
    assert_eq!(Chain::from_trusted_bytes(&bytes).as_ref(), Ok(&device.chain));
    for len in 0..bytes.len() {
        assert!(Chain::from_trusted_bytes(&bytes[..len]).is_err());
    }
    let shared = Chain::shared(SpaceId::new([1; 16]));
    assert_eq!(Chain::from_trusted_bytes(&shared.to_bytes()), Ok(shared));
    assert_eq!(device.chain.named_state(&space.anna.account()), Some(1));
}
