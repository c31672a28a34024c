//! Sections 7.6 and 7.7: what a server may serve, and what a device makes of it.

use serde_json::{Value, json};

use super::{Case, File, Verdict, bytes, case, fixed, number, text, with};
use crate::account::state::SignedState;
use crate::ids::{
    AccountId, AccountStateHash, CommitHash, DeviceId, Head, RecordHash, SlotId, SpaceId, StateRoot,
};
use crate::space::authority::{AccountHistory, Authority};
use crate::space::chain::{Chain, Context, Refusal, Violation};
use crate::space::header::{Header, Place};
use crate::space::keys::{SpaceKey, SpaceKeys};
use crate::space::merkle::MerkleMap;
use crate::space::pull::{Mode, Page, Pull, ServedRecord, ServedSlot, Verdict as PullVerdict};
use crate::space::record::seal_record;
use crate::world::{Person, after, hex, unhex};

pub(super) fn files() -> Vec<File> {
    vec![File { construction: "pull", section: "7.6, 7.7", judge, cases: cases() }]
}

pub(super) fn slots_of(value: &Value) -> Vec<(SlotId, RecordHash)> {
    let entry = |entry: &Value| {
        let part = |at: usize| unhex(entry[at].as_str().unwrap());
        (SlotId::new(part(0).try_into().unwrap()), RecordHash::new(part(1).try_into().unwrap()))
    };
    value.as_array().unwrap().iter().map(entry).collect()
}

fn place_of(value: &Value) -> Place {
    Place {
        seq: value[0].as_u64().unwrap(),
        head: Head::new(unhex(value[1].as_str().unwrap()).try_into().unwrap()),
    }
}

fn list<'v>(value: &'v Value, field: &str) -> &'v Vec<Value> {
    value[field].as_array().unwrap_or_else(|| panic!("no list {field}"))
}

fn class(violation: Violation) -> &'static str {
    match violation {
        Violation::Malformed(_) => "malformed",
        Violation::WrongSpace => "wrong_space",
        Violation::OutOfOrder { .. } => "out_of_order",
        Violation::Fork { .. } => "fork",
        Violation::Rollback { .. } => "rollback",
        Violation::Substitution(_) => "substitution",
        Violation::RecordHash => "record_hash",
        Violation::UnknownAuthor { .. } => "unknown_author",
        Violation::RevokedAuthor { .. } => "revoked_author",
        Violation::BadSignature { .. } => "bad_signature",
        Violation::UnknownState { .. } => "unknown_state",
        Violation::StateRollback { .. } => "state_rollback",
        Violation::WrongEpoch { .. } => "wrong_epoch",
        Violation::WrongControl { .. } => "wrong_control",
        Violation::Incomplete => "incomplete",
        other => panic!("{other:?} has no class"),
    }
}

fn judge(case: &Value) -> Verdict {
    let start = &case["start"];
    let place = Place { seq: number(start, "seq"), head: Head::new(fixed(start, "head")) };
    let chain = Chain::private_at(
        SpaceId::new(fixed(case, "space")),
        AccountId::new(fixed(case, "account")),
        place,
        StateRoot::new(fixed(start, "state_root")),
        start["named"].as_u64(),
    );
    let mut map: MerkleMap = slots_of(&start["slots"]).into_iter().collect();
    let keys: SpaceKeys = list(case, "space_keys")
        .iter()
        .map(|key| {
            SpaceKey::new(key[0].as_u64().unwrap(), unhex(key[1].as_str().unwrap()).try_into().unwrap())
        })
        .collect();
    let mut states =
        list(case, "states").iter().map(|state| SignedState::parse(&unhex(state.as_str().unwrap())).unwrap());
    let mut history = AccountHistory::new(states.next().unwrap().verify_first().unwrap());
    for state in states {
        history.extend(state).unwrap();
    }
    let authority = Authority::from(history);
    let mode = if text(case, "mode") == "changes" { Mode::Changes } else { Mode::Snapshot };
    let mut pull = Pull::start(&chain, mode);
    for place in list(case, "expected") {
        pull.expect(place_of(place)).map_err(class)?;
    }
    pull.check_tip(place_of(&case["tip"])).map_err(class)?;
    for page in list(case, "pages") {
        let pruned: Vec<_> = list(page, "pruned")
            .iter()
            .map(|hash| CommitHash::new(unhex(hash.as_str().unwrap()).try_into().unwrap()))
            .collect();
        let commits: Vec<_> =
            list(page, "commits").iter().map(|commit| unhex(commit.as_str().unwrap())).collect();
        let commits: Vec<_> = commits.iter().map(Vec::as_slice).collect();
        let records: Vec<_> = list(page, "slots")
            .iter()
            .map(|slot| slot["record"].as_str().map(|_| bytes(slot, "record")))
            .collect();
        let slots: Vec<_> = list(page, "slots")
            .iter()
            .zip(&records)
            .map(|(slot, record)| ServedSlot {
                slot: SlotId::new(fixed(slot, "slot")),
                seq: number(slot, "seq"),
                record: record
                    .as_deref()
                    .map(|bytes| ServedRecord { hash: RecordHash::new(fixed(slot, "hash")), bytes }),
            })
            .collect();
        let context = Context { keys: &keys, authority: &authority, controls: &[] };
        let page = Page { pruned: &pruned, commits: &commits, slots: &slots };
        pull.page(page, context).map_err(|refusal| match refusal {
            Refusal::Violation(violation) => class(violation),
            Refusal::Needs(needs) => panic!("{needs:?}"),
        })?;
    }
    match pull.finish(&mut map, &authority).map_err(class)? {
        PullVerdict::Held(_) => Err("held"),
        PullVerdict::Accepted(accepted) => Ok(json!({
            "seq": accepted.chain.at().seq,
            "head": accepted.chain.at().head.to_string(),
            "state_root": accepted.chain.root().to_string(),
            "slots": map.iter().map(|(slot, hash)| json!([slot.to_string(), hash.to_string()])).collect::<Vec<_>>(),
        })),
    }
}

/// An account and the honest server's copy of its private space.
struct Server {
    anna: Person,
    at: Place,
    map: MerkleMap,
    commits: Vec<Vec<u8>>,
    slots: Vec<(SlotId, u64, Option<Vec<u8>>)>,
}

impl Server {
    fn new(seed: u64) -> Self {
        let anna = Person::new(seed, 2);
        let at = Place::start(&anna.space);
        Self { anna, at, map: MerkleMap::new(), commits: Vec::new(), slots: Vec::new() }
    }

    fn push(&mut self, device: usize, changes: &[(u8, Option<&str>)]) {
        for (number, text) in changes {
            let slot = SlotId::new([*number; 16]);
            let record = text.map(|text| {
                seal_record(&self.anna.key(), &self.anna.space, &slot, text.as_bytes(), &mut self.anna.rng)
                    .unwrap()
            });
            match &record {
                Some(record) => self.map.insert(slot, RecordHash::of(record)),
                None => self.map.remove(&slot),
            };
            self.slots.retain(|(other, ..)| *other != slot);
            self.slots.push((slot, self.at.seq + 1, record));
        }
        let root = self.map.root();
        let commit = self.anna.commit(&self.at, device, self.anna.states.len() - 1, root);
        self.take(commit);
    }

    fn take(&mut self, commit: Vec<u8>) {
        self.at = after(&self.at, &commit);
        self.commits.push(commit);
    }

    /// What a device holds that has seen everything up to now.
    fn start(&mut self, named: Option<u64>) -> Value {
        json!({
            "seq": self.at.seq,
            "head": self.at.head.to_string(),
            "state_root": self.map.root().to_string(),
            "named": named,
            "slots": self.map.iter().map(|(slot, hash)| json!([slot.to_string(), hash.to_string()])).collect::<Vec<_>>(),
        })
    }

    fn page(&self, since: u64, mode: &str) -> Value {
        let slots: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, seq, record)| if mode == "changes" { *seq > since } else { record.is_some() })
            .map(|(slot, seq, record)| served(*slot, *seq, record.as_deref()))
            .collect();
        let commits: Vec<_> =
            self.commits[usize::try_from(since).unwrap()..].iter().map(|commit| hex(commit)).collect();
        json!({ "pruned": [], "commits": commits, "slots": slots })
    }

    fn case(&self, start: &Value, mode: &str, pages: &[Value]) -> Value {
        let keys = self
            .anna
            .roots
            .iter()
            .map(|root| json!([root.epoch(), hex(root.private_space_key(&self.anna.space).expose())]));
        json!({
            "space": self.anna.space.to_string(),
            "account": self.anna.account().to_string(),
            "space_keys": keys.collect::<Vec<_>>(),
            "states": self.anna.states.iter().map(|state| hex(state.as_bytes())).collect::<Vec<_>>(),
            "start": start,
            "mode": mode,
            "expected": [],
            "tip": [self.at.seq, self.at.head.to_string()],
            "pages": pages,
        })
    }
}

fn served(slot: SlotId, seq: u64, record: Option<&[u8]>) -> Value {
    json!({
        "slot": slot.to_string(),
        "seq": seq,
        "hash": record.map(|record| RecordHash::of(record).to_string()),
        "record": record.map(hex),
    })
}

/// The case with its only page changed.
fn lying(good: &Value, lie: impl FnOnce(&mut Value)) -> Value {
    let mut page = good["pages"][0].clone();
    lie(&mut page);
    with(good, "pages", vec![page])
}

fn slot_in(page: &mut Value, number: u8) -> &mut Value {
    let id = hex(&[number; 16]);
    page["slots"].as_array_mut().unwrap().iter_mut().find(|slot| slot["slot"] == id.as_str()).unwrap()
}

fn cases() -> Vec<Case> {
    let mut server = Server::new(60);
    server.push(0, &[(1, Some("one")), (2, Some("two")), (3, Some("three"))]);
    let older = server.slots[1].2.clone();
    server.push(1, &[(2, Some("two, edited"))]);
    let start = server.start(Some(1));
    let fresh = json!({
        "seq": 0,
        "head": Head::start(&server.anna.space).to_string(),
        "state_root": hex(&[0; 32]),
        "named": null,
        "slots": [],
    });
    server.push(0, &[(1, None), (4, Some("four"))]);
    let good = server.case(&start, "changes", &[server.page(2, "changes")]);
    let snapshot = server.case(&start, "snapshot", &[server.page(2, "snapshot")]);
    let first = server.case(&fresh, "snapshot", &[server.page(0, "snapshot")]);
    let hashes: Vec<_> = server.commits.iter().map(|commit| CommitHash::of(commit).to_string()).collect();
    let pruned = |pruned: &[String], commits: usize| {
        lying(&first, |page| {
            page["pruned"] = pruned.into();
            page["commits"] = page["commits"].as_array().unwrap()[commits..].into();
        })
    };
    let old = older.as_deref();
    let add = |slot: u8, record: Option<&[u8]>| {
        lying(&good, |page| {
            page["slots"].as_array_mut().unwrap().push(served(SlotId::new([slot; 16]), 3, record));
        })
    };
    let leave_out = |slot: u8| {
        lying(&good, |page| {
            page["slots"]
                .as_array_mut()
                .unwrap()
                .retain(|served| served["slot"] != hex(&[slot; 16]).as_str());
        })
    };
    let elsewhere = hex(&[9; 32]);
    let mut cases = vec![
        case("changes", "ok", good.clone()),
        case("a snapshot", "ok", snapshot.clone()),
        case("a fresh device", "ok", first.clone()),
        case("a fresh device, after pruning", "ok", pruned(&hashes[..2], 2)),
        case(
            "through a scanned place",
            "ok",
            with(&first, "expected", json!([[3, server.at.head.to_string()]])),
        ),
        case("a slot left out", "incomplete", leave_out(4)),
        case("a deletion left out", "incomplete", leave_out(1)),
        case(
            "a slot left out of a snapshot",
            "incomplete",
            lying(&snapshot, |page| drop(page["slots"].as_array_mut().unwrap().pop())),
        ),
        case("an older record put back", "incomplete", add(2, old)),
        case("a slot added", "incomplete", add(9, old)),
        case("a slot deleted", "incomplete", add(3, None)),
        case(
            "a deleted slot with a record",
            "incomplete",
            lying(&good, |page| *slot_in(page, 1) = served(SlotId::new([1; 16]), 3, old)),
        ),
        case(
            "bytes of another record",
            "record_hash",
            lying(&good, |page| slot_in(page, 4)["record"] = hex(old.unwrap()).into()),
        ),
        case(
            "a slot from a commit to come",
            "out_of_order",
            lying(&good, |page| slot_in(page, 4)["seq"] = 4.into()),
        ),
        case(
            "a slot from before the start",
            "out_of_order",
            lying(&good, |page| slot_in(page, 4)["seq"] = 2.into()),
        ),
        case("no commit for the changes", "out_of_order", lying(&good, |page| page["commits"] = json!([]))),
        case("only hashes", "incomplete", pruned(&hashes, 3)),
        case("a pruned commit that was another", "fork", pruned(&[hashes[0].clone(), elsewhere.clone()], 2)),
        case("not through a scanned place", "fork", with(&first, "expected", json!([[2, elsewhere]]))),
        case(
            "a scanned place that is not reached",
            "rollback",
            with(&first, "expected", json!([[9, elsewhere]])),
        ),
        case("a chain that ends earlier", "rollback", with(&good, "tip", json!([1, elsewhere]))),
        case("a chain that is another", "fork", with(&good, "tip", json!([2, elsewhere]))),
        case(
            "commits out of order",
            "out_of_order",
            lying(&first, |page| page["commits"].as_array_mut().unwrap().swap(0, 1)),
        ),
        case("no commit at all", "malformed", lying(&good, |page| page["commits"] = json!(["0180"]))),
    ];
    cases.extend(forged_commits());
    cases.extend(revocation());
    cases
}

/// Commits with every claim at the attacker's will, sealed and signed as well as it can be.
fn forged_commits() -> Vec<Case> {
    let mut server = Server::new(61);
    server.push(0, &[(1, Some("one"))]);
    server.anna.publish(|_| {});
    server.push(1, &[(2, Some("two"))]);
    let (start, at, root) = (server.start(Some(2)), server.at, server.map.root());
    type Change = fn(&mut Header);
    let table: [(&str, &'static str, Change, usize); 6] = [
        ("signed by another device", "bad_signature", |_| {}, 1),
        ("by another account", "unknown_author", |h| h.author = AccountId::new([9; 16]), 0),
        ("by no device", "unknown_author", |h| h.device = DeviceId::new([9; 16]), 0),
        ("naming a state that never was", "unknown_state", |h| h.state.1 = AccountStateHash::new([9; 32]), 0),
        ("naming an older state", "state_rollback", |h| h.state.0 = 1, 0),
        (
            "naming a control",
            "wrong_control",
            |h| h.control = Some((1, crate::ids::ControlHash::new([9; 32]))),
            0,
        ),
    ];
    let mut cases: Vec<_> = table
        .into_iter()
        .map(|(name, class, change, signer)| {
            let mut header = server.anna.header(0, 1, root);
            change(&mut header);
            let (space, key) = (server.anna.space, server.anna.key());
            let commit = header.seal(&space, &at, &key, &server.anna.devices[signer], &mut server.anna.rng);
            let page = json!({ "pruned": [], "commits": [hex(&commit)], "slots": [] });
            case(name, class, server.case(&start, "changes", &[page]))
        })
        .collect();
    for (name, class, place) in [
        ("behind another head", "fork", Place { head: Head::new([9; 32]), ..at }),
        ("a place too far", "out_of_order", Place { seq: at.seq + 1, ..at }),
    ] {
        let commit = server.anna.commit(&place, 0, 1, root);
        let page = json!({ "pruned": [], "commits": [hex(&commit)], "slots": [] });
        cases.push(case(name, class, server.case(&start, "changes", &[page])));
    }
    let mut eve = Person::new(62, 1);
    let foreign = eve.commit(&at, 0, 0, root);
    eve.space = server.anna.space;
    let sealed_by_eve = eve.commit(&at, 0, 0, root);
    for (name, class, commit) in [
        ("of another space", "wrong_space", foreign),
        ("sealed under another key", "substitution", sealed_by_eve),
    ] {
        let page = json!({ "pruned": [], "commits": [hex(&commit)], "slots": [] });
        cases.push(case(name, class, server.case(&start, "changes", &[page])));
    }
    cases
}

fn revocation() -> Vec<Case> {
    let mut server = Server::new(63);
    server.push(0, &[(1, Some("one"))]);
    let start = server.start(Some(1));
    server.push(1, &[(2, Some("by the device that will be revoked"))]);
    server.anna.revoke(1);
    let unbarred = server.case(&start, "changes", &[server.page(1, "changes")]);
    server.push(0, &[(3, Some("the barrier"))]);
    let barred = server.case(&start, "changes", &[server.page(1, "changes")]);
    let start = server.start(Some(2));
    let (at, root) = (server.at, server.map.root());
    let behind = |commit: &[u8], server: &Server| {
        let page = json!({ "pruned": [], "commits": [hex(commit)], "slots": [] });
        server.case(&start, "changes", &[page])
    };
    let old_state = server.anna.commit(&at, 1, 0, root);
    let new_state = server.anna.commit(&at, 1, 1, root);
    let old_key = server.anna.roots[0].private_space_key(&server.anna.space);
    let header = server.anna.header(0, 1, root);
    let old_epoch =
        header.seal(&server.anna.space, &at, &old_key, &server.anna.devices[0], &mut server.anna.rng);
    vec![
        case("a revoked device before its barrier", "held", unbarred),
        case("and after it", "ok", barred),
        case("a revoked device that names the old state", "state_rollback", behind(&old_state, &server)),
        case("a revoked device that names the new state", "revoked_author", behind(&new_state, &server)),
        case("sealed in the epoch of before", "wrong_epoch", behind(&old_epoch, &server)),
    ]
}
