//! Sections 6 and 7: records, heads, headers, controls, shared records, the Merkle map.

use serde_json::{Value, json};

use super::account::believed;
use super::{Case, File, Verdict, bytes, case, decode_class, fixed, flipped, number, open_class, text, with};
use crate::account::keys::IdentitySecret;
use crate::account::root::NameKey;
use crate::ids::{
    AccountId, CommitHash, ControlHash, DeviceId, Head, RecordHash, SlotId, SpaceId, StateRoot,
};
use crate::secret::Secret;
use crate::signing::VerifyingKey;
use crate::space::commit::Commit;
use crate::space::control::{Control, ControlError, Member, Role};
use crate::space::header::{Header, Place};
use crate::space::keys::SpaceKey;
use crate::space::merkle::{MerkleMap, Proof};
use crate::space::record::{open_record, seal_record};
use crate::space::shared::{Authorship, SharedRecord, SharedRecordError};
use crate::world::{CounterRng, Person, hex, unhex};

pub(super) fn files() -> Vec<File> {
    vec![
        File { construction: "record", section: "6", judge: judge_record, cases: records() },
        File { construction: "head", section: "7.2", judge: judge_head, cases: heads() },
        File { construction: "commit", section: "7.3", judge: judge_commit, cases: commits() },
        File { construction: "control", section: "7.4", judge: judge_control, cases: controls() },
        File { construction: "shared_record", section: "7.5", judge: judge_shared, cases: shared_records() },
        File { construction: "merkle", section: "7.8", judge: judge_merkle, cases: merkle() },
    ]
}

fn judge_record(case: &Value) -> Verdict {
    let space = SpaceId::new(fixed(case, "space"));
    if text(case, "kind") == "singleton" {
        let name_key = NameKey(Secret::new(fixed(case, "name_key")));
        let slot = name_key.singleton_slot(&space, text(case, "singleton_kind"), text(case, "singleton_key"));
        return Ok(json!({ "slot": slot.to_string() }));
    }
    let key = SpaceKey::new(number(case, "epoch"), fixed(case, "space_key"));
    let slot = SlotId::new(fixed(case, "slot"));
    let content = open_record(&key, &space, &slot, &bytes(case, "record")).map_err(open_class)?;
    Ok(json!({ "content": hex(&content) }))
}

fn records() -> Vec<Case> {
    let rng = &mut CounterRng::new(50);
    let (space, slot) = (SpaceId::new([2; 16]), SlotId::new([3; 16]));
    let base = |record: &[u8]| {
        json!({
            "kind": "record",
            "space_key": hex(&[1; 32]),
            "epoch": 4,
            "space": space.to_string(),
            "slot": slot.to_string(),
            "record": hex(record),
        })
    };
    let key = SpaceKey::new(4, [1; 32]);
    let mut seal = |len: usize| base(&seal_record(&key, &space, &slot, &vec![7; len], rng).unwrap());
    let (good, empty, long) = (seal(20), seal(0), seal(1024));
    let context = crate::hash::context(crate::labels::RECORD, &[(&space).into(), (&slot).into(), 4.into()]);
    let mut raw = |padded: &[u8]| base(&crate::sealed::seal(&key.key, &context, padded, rng));
    let not_padded = raw(b"short\x80");
    let dirty = raw(&[&[7; 10][..], &[0x80], &[0; 1012], &[1]].concat());
    let unended = raw(&[0; 1024]);
    let header = crate::hash::context(
        crate::labels::COMMIT_HEADER,
        &[(&space).into(), 1.into(), 4.into(), (&Head::start(&space)).into()],
    );
    let as_record = base(&crate::sealed::seal_padded(&key.key, &header, &[7; 20], |_| 1024, rng));
    let singleton = |kind: &str, name: &str| {
        json!({
            "kind": "singleton",
            "name_key": hex(&[5; 32]),
            "space": space.to_string(),
            "singleton_kind": kind,
            "singleton_key": name,
        })
    };
    vec![
        case("a short record", "ok", good.clone()),
        case("an empty record", "ok", empty),
        case("1024 bytes, padded to 1088", "ok", long),
        flipped(&good, "space_key", 0, "wrong_key_or_context"),
        flipped(&good, "space", 0, "wrong_key_or_context"),
        flipped(&good, "slot", 0, "wrong_key_or_context"),
        case("another epoch", "wrong_key_or_context", with(&good, "epoch", 5)),
        flipped(&good, "record", 0, "unknown_version"),
        flipped(&good, "record", 40, "wrong_key_or_context"),
        flipped(&good, "record", 100, "altered"),
        case("cut short", "truncated", with(&good, "record", &text(&good, "record")[..100])),
        case("a header as a record", "wrong_key_or_context", as_record),
        case("not padded to the floor", "malformed", not_padded),
        case("padding that is not zeros", "malformed", dirty),
        case("padding without an end", "malformed", unended),
        case("preferences", "ok", singleton("preferences", "")),
        case("a program's progress", "ok", singleton("progress", "sleep-better")),
        case("the same letters, parted elsewhere", "ok", singleton("progresss", "leep-better")),
    ]
}

fn judge_head(case: &Value) -> Verdict {
    let hashes: Vec<CommitHash> = case["commit_hashes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hash| CommitHash::new(unhex(hash.as_str().unwrap()).try_into().unwrap()))
        .collect();
    let head = Head::start(&SpaceId::new(fixed(case, "space"))).fold(&hashes);
    Ok(json!({ "head": head.to_string() }))
}

fn heads() -> Vec<Case> {
    let hash = |byte: u8| hex(&[byte; 32]);
    [vec![], vec![hash(1)], vec![hash(1), hash(2)], vec![hash(2), hash(1)], (0..20).map(hash).collect()]
        .into_iter()
        .map(|hashes| {
            let inputs = json!({ "space": hex(&[9; 16]), "commit_hashes": hashes });
            case(format!("{} commits", hashes.len()), "ok", inputs)
        })
        .collect()
}

fn judge_commit(case: &Value) -> Verdict {
    let bytes = bytes(case, "commit");
    let commit = Commit::parse(&bytes).map_err(decode_class)?;
    let key = SpaceKey::new(commit.epoch, fixed(case, "space_key"));
    let header = Header::open(&commit, &key).map_err(open_class)?;
    let device = VerifyingKey::from_bytes(&fixed(case, "device_signing_key")).unwrap();
    let header = header.verify(&device).map_err(|_| "bad_signature")?;
    let place = |at: &Place| (at.seq, at.head.to_string());
    Ok(json!({
        "seq": commit.seq,
        "epoch": commit.epoch,
        "prev": commit.prev.to_string(),
        "author": header.author.to_string(),
        "device": header.device.to_string(),
        "state_version": header.state.0,
        "state_hash": header.state.1.to_string(),
        "control": header.control.map(|(version, hash)| json!([version, hash.to_string()])),
        "state_root": header.root.to_string(),
        "time": header.time_ms,
        "other_heads": header.other_heads.iter().map(|(space, at)| json!([space.to_string(), at.seq, at.head.to_string()])).collect::<Vec<_>>(),
        "joined": header.joined.iter().map(place).collect::<Vec<_>>(),
    }))
}

fn commits() -> Vec<Case> {
    let mut anna = Person::new(51, 2);
    let at = Place { seq: 4, head: Head::new([1; 32]) };
    let inputs = |anna: &Person, commit: &[u8]| {
        json!({
            "commit": hex(commit),
            "space_key": hex(anna.key().expose()),
            "device_signing_key": hex(anna.devices[0].public().signing.as_bytes()),
        })
    };
    let plain = anna.commit(&at, 0, 0, StateRoot::new([5; 32]));
    let full = Header {
        control: Some((3, ControlHash::new([6; 32]))),
        other_heads: vec![(SpaceId::new([7; 16]), at); 16],
        joined: vec![at, Place { seq: 300, ..at }],
        ..anna.header(0, 0, StateRoot::new([5; 32]))
    };
    let full = full.seal(&anna.space, &at, &anna.key(), &anna.devices[0], &mut anna.rng);
    let good = inputs(&anna, &plain);
    let moved = |change: fn(&mut Commit<'_>)| {
        let mut commit = Commit::parse(&plain).unwrap();
        change(&mut commit);
        with(&good, "commit", hex(&commit.to_bytes()))
    };
    let other = hex(anna.devices[1].public().signing.as_bytes());
    vec![
        case("a commit in a private space", "ok", good.clone()),
        case("with everything a header can say", "ok", inputs(&anna, &full)),
        case("moved to another space", "wrong_key_or_context", moved(|c| c.space = SpaceId::new([9; 16]))),
        case("moved to another place", "wrong_key_or_context", moved(|c| c.seq = 6)),
        case("moved to another epoch", "wrong_key_or_context", moved(|c| c.epoch = 2)),
        case("moved behind another head", "wrong_key_or_context", moved(|c| c.prev = Head::new([2; 32]))),
        case("signed by another device", "bad_signature", with(&good, "device_signing_key", other)),
        flipped(&good, "space_key", 0, "wrong_key_or_context"),
        flipped(&good, "commit", 0, "unknown_version"),
        flipped(&good, "commit", 1, "malformed"),
        flipped(&good, "commit", -1, "altered"),
        case("cut short", "malformed", with(&good, "commit", &text(&good, "commit")[..200])),
        case("a byte more", "malformed", with(&good, "commit", format!("{}00", text(&good, "commit")))),
    ]
}

fn judge_control(case: &Value) -> Verdict {
    let space = SpaceId::new(fixed(case, "space"));
    let key = SpaceKey::new(1, fixed(case, "space_key"));
    let version = number(case, "control_version");
    let control = Control::open(&key, &space, version, &bytes(case, "sealed")).map_err(open_class)?;
    let author = AccountId::new(fixed(case, "author"));
    let judged = match case["before"].as_str() {
        None => control.check_first(&author),
        Some(before) => control.check_after(&Control::parse(&unhex(before)).unwrap(), &author),
    };
    judged.map_err(|error| match error {
        ControlError::NotSuccessor => "not_successor",
        ControlError::NotAdmin => "not_admin",
        ControlError::NoAdmin => "no_admin",
        ControlError::Members => "members",
        ControlError::Epoch => "epoch",
    })?;
    let member = |m: &Member| json!([m.account.to_string(), hex(m.identity.as_bytes()), m.role as u64]);
    Ok(json!({
        "hash": control.hash().to_string(),
        "epoch": control.epoch,
        "members": control.members.iter().map(member).collect::<Vec<_>>(),
    }))
}

fn controls() -> Vec<Case> {
    let rng = &mut CounterRng::new(52);
    let space = SpaceId::new([2; 16]);
    let (key, next_key) = (SpaceKey::new(1, [1; 32]), SpaceKey::new(2, [2; 32]));
    let mut member = |role| {
        let identity = IdentitySecret::make(rng).public();
        Member { account: crate::account::keys::account_id(&identity), identity, role }
    };
    let (admin, writer, new) = (member(Role::Admin), member(Role::Writer), member(Role::Reader));
    let first = Control::first(space, &key, admin.account, admin.identity);
    let sorted = |mut control: Control| {
        control.members.sort_by_key(|member| member.account);
        control
    };
    let mut both = first.draft_next();
    both.members.push(writer.clone());
    let both = sorted(both);
    let inputs = |control: &Control, before: Option<&Control>, author: &Member, rng: &mut CounterRng| {
        json!({
            "space_key": hex(key.expose()),
            "space": space.to_string(),
            "control_version": control.version,
            "sealed": hex(&control.seal(&key, rng)),
            "before": before.map(|before| hex(&before.to_bytes())),
            "author": author.account.to_string(),
        })
    };
    let after = |change: &dyn Fn(&mut Control), rng: &mut CounterRng| {
        let mut next = both.draft_next();
        change(&mut next);
        inputs(&next, Some(&both), &admin, rng)
    };
    let lost = |control: &mut Control| control.members.retain(|member| member.account == admin.account);
    let renewed = |control: &mut Control| {
        (control.epoch, control.commitment) = (2, next_key.commitment(&space));
    };
    let good = inputs(&both, Some(&first), &admin, rng);
    vec![
        case("the first", "ok", inputs(&first, None, &admin, rng)),
        case("a member is added", "ok", good.clone()),
        case("a member is removed, with a new key", "ok", after(&|c| (lost(c), renewed(c)).1, rng)),
        case("the first by somebody else", "not_admin", inputs(&first, None, &writer, rng)),
        case("by a writer", "not_admin", inputs(&sorted(both.draft_next()), Some(&both), &writer, rng)),
        case("by a stranger", "not_admin", inputs(&both, Some(&first), &new, rng)),
        case("a member is removed, with no new key", "epoch", after(&lost, rng)),
        case(
            "a new key without an epoch",
            "epoch",
            after(&|c| c.commitment = next_key.commitment(&space), rng),
        ),
        case(
            "an epoch skipped",
            "epoch",
            after(&|c| (c.epoch, c.commitment) = (3, next_key.commitment(&space)), rng),
        ),
        case("an epoch that no space has", "epoch", after(&|c| c.epoch = u64::MAX, rng)),
        case("an epoch without a new key", "epoch", after(&|c| c.epoch = 2, rng)),
        case(
            "another identity, with no new key",
            "epoch",
            after(&|c| c.members[1].identity = new.identity, rng),
        ),
        case(
            "nobody is admin",
            "no_admin",
            after(&|c| c.members.iter_mut().for_each(|m| m.role = Role::Writer), rng),
        ),
        case("members out of order", "members", after(&|c| c.members.reverse(), rng)),
        case(
            "a version skipped",
            "not_successor",
            inputs(&Control { version: 9, ..both.clone() }, Some(&first), &admin, rng),
        ),
        case("another branch", "not_successor", after(&|c| c.previous = ControlHash::new([9; 32]), rng)),
        case("sealed for another space", "malformed", {
            let context =
                crate::hash::context(crate::labels::CONTROL, &[(&SpaceId::new([9; 16])).into(), 2.into()]);
            let sealed = crate::sealed::seal(&key.key, &context, &both.to_bytes(), rng);
            with(&with(&good, "sealed", hex(&sealed)), "space", hex(&[9; 16]))
        }),
        case("as another version", "wrong_key_or_context", with(&good, "control_version", 3)),
        flipped(&good, "space_key", 0, "wrong_key_or_context"),
        flipped(&good, "sealed", -1, "altered"),
    ]
}

fn judge_shared(case: &Value) -> Verdict {
    let (space, slot) = (SpaceId::new(fixed(case, "space")), SlotId::new(fixed(case, "slot")));
    let class = |error| match error {
        SharedRecordError::UnknownAuthor => "unknown_author",
        SharedRecordError::BadSignature => "bad_signature",
        SharedRecordError::Rollback => "rollback",
        SharedRecordError::NotAllowed => "not_allowed",
    };
    let read = SharedRecord::parse(&space, &slot, &bytes(case, "content")).map_err(decode_class)?;
    let state = believed(text(case, "state"));
    let (account, identity) = (state.state().account, state.state().identity);
    let record =
        read.verify(&state, &Member { account, identity, role: Role::Writer }, None).map_err(class)?;
    let known = case["known"].as_object().map(|_| {
        let known = &case["known"];
        let authorship = Authorship {
            author: AccountId::new(fixed(known, "author")),
            version: number(known, "version"),
            ..record.authorship
        };
        (authorship, RecordHash::new(fixed(known, "hash")))
    });
    let role = [Role::Reader, Role::Writer, Role::Admin][usize::try_from(number(case, "role")).unwrap() - 1];
    record.check_after(known.as_ref().map(|(authorship, hash)| (authorship, hash)), role).map_err(class)?;
    Ok(json!({
        "author": record.authorship.author.to_string(),
        "record_version": record.authorship.version,
        "text": record.content.as_deref().map(hex),
    }))
}

fn shared_records() -> Vec<Case> {
    let (anna, ben) = (Person::new(53, 1), Person::new(54, 1));
    let (space, slot) = (SpaceId::new([1; 16]), SlotId::new([2; 16]));
    let hash = |byte: u8| RecordHash::new([byte; 32]);
    let sign =
        |version: u64, replaces: RecordHash, content: Option<&[u8]>, device: DeviceId, signer: &Person| {
            let record = SharedRecord {
                authorship: Authorship {
                    author: anna.account(),
                    device,
                    state: anna.state().hash(),
                    version,
                    replaces,
                },
                content: content.map(<[u8]>::to_vec),
            };
            json!({
                "space": space.to_string(),
                "slot": slot.to_string(),
                "content": hex(&record.sign(&space, &slot, &signer.devices[0])),
                "state": hex(anna.state().as_bytes()),
                "role": 2,
                "known": null,
            })
        };
    let ours = anna.devices[0].id();
    let first = sign(1, hash(0), Some(b"hello"), ours, &anna);
    let known = |author: &Person, version: u64| json!({ "author": author.account().to_string(), "version": version, "hash": hex(&[3; 32]) });
    let second = with(&sign(3, hash(3), Some(b"again"), ours, &anna), "known", known(&anna, 2));
    let gone = sign(3, hash(3), None, ours, &anna);
    vec![
        case("a first record", "ok", first.clone()),
        case("a second one", "ok", second.clone()),
        case("a deletion by its author", "ok", with(&gone, "known", known(&anna, 2))),
        case("a deletion by an admin", "ok", with(&with(&gone, "known", known(&ben, 2)), "role", 3)),
        case("several versions on", "ok", with(&second, "known", known(&anna, 1))),
        case("by a reader", "not_allowed", with(&first, "role", 1)),
        case("another's record replaced", "not_allowed", with(&second, "known", known(&ben, 2))),
        case("another's record deleted", "not_allowed", with(&gone, "known", known(&ben, 2))),
        case(
            "another's record rewritten by an admin",
            "not_allowed",
            with(&with(&second, "known", known(&ben, 2)), "role", 3),
        ),
        case("an older one put back", "rollback", with(&second, "known", known(&anna, 4))),
        case("the same version again", "rollback", with(&second, "known", known(&anna, 3))),
        case(
            "another branch",
            "rollback",
            with(&sign(3, hash(4), None, ours, &anna), "known", known(&anna, 2)),
        ),
        case("a first that replaces something", "rollback", sign(1, hash(3), None, ours, &anna)),
        case(
            "a version beyond an admin's reach",
            "not_allowed",
            sign((1 << 32) + 1, hash(3), Some(b"hello"), ours, &anna),
        ),
        case("version 0", "rollback", sign(0, hash(0), None, ours, &anna)),
        case("signed by somebody else", "bad_signature", sign(1, hash(0), None, ours, &ben)),
        case(
            "by a device that is not listed",
            "unknown_author",
            sign(1, hash(0), None, ben.devices[0].id(), &ben),
        ),
        case("another account's state", "unknown_author", with(&first, "state", hex(ben.state().as_bytes()))),
        flipped(&first, "slot", 0, "bad_signature"),
        flipped(&first, "space", 0, "bad_signature"),
        flipped(&first, "content", 0, "unknown_version"),
        flipped(&first, "content", -1, "bad_signature"),
        case("cut short", "malformed", with(&first, "content", &text(&first, "content")[..100])),
    ]
}

fn judge_merkle(case: &Value) -> Verdict {
    if text(case, "kind") == "root" {
        let mut map: MerkleMap = super::pulls::slots_of(&case["entries"]).into_iter().collect();
        return Ok(json!({ "root": map.root().to_string() }));
    }
    let proof = Proof::parse(&bytes(case, "proof")).map_err(|_| "malformed")?;
    let found = proof
        .verify(&StateRoot::new(fixed(case, "root")), &SlotId::new(fixed(case, "slot")))
        .map_err(|_| "bad_proof")?;
    Ok(json!({ "hash": found.map(|hash| hash.to_string()) }))
}

fn merkle() -> Vec<Case> {
    let slot = |number: u128| SlotId::new(number.to_be_bytes());
    let root = |name: &str, slots: &[u128]| {
        let entries: Vec<_> = slots
            .iter()
            .zip(1_u8..)
            .map(|(number, byte)| json!([slot(*number).to_string(), hex(&[byte; 32])]))
            .collect();
        case(name, "ok", json!({ "kind": "root", "entries": entries }))
    };
    let mut map: MerkleMap =
        (0_u8..20).map(|i| (slot(u128::from(i) << 123 | 5), RecordHash::new([i; 32]))).collect();
    let state_root = map.root().to_string();
    let mut proof = |number: u128| {
        let proof = hex(&map.prove(&slot(number)).to_bytes());
        json!({ "kind": "proof", "root": state_root, "slot": slot(number).to_string(), "proof": proof })
    };
    let (there, beside, empty) = (proof(3 << 123 | 5), proof(3 << 123 | 4), proof(31 << 123));
    let proof_len = text(&there, "proof").len();
    vec![
        root("nothing", &[]),
        root("one", &[7]),
        root("two that part at once", &[0, 1 << 127]),
        root("two that part at the last bit", &[6, 7]),
        root("three", &[0, 1 << 127, 3 << 126]),
        root("many", &[1, 2, 3, 5, 8, 13, 1 << 60, 1 << 100, 1 << 120, 1 << 126, u128::MAX, u128::MAX - 1]),
        case("a slot that is there", "ok", there.clone()),
        case("a slot whose place another has", "ok", beside.clone()),
        case("a slot on an empty side", "ok", empty.clone()),
        flipped(&there, "root", 0, "bad_proof"),
        case("asked for another side", "bad_proof", with(&there, "slot", slot(19 << 123 | 5).to_string())),
        flipped(&there, "proof", 10, "bad_proof"),
        flipped(&there, "proof", -1, "bad_proof"),
        flipped(&beside, "proof", -1, "bad_proof"),
        flipped(&there, "proof", 0, "malformed"),
        case("cut short", "malformed", with(&there, "proof", &text(&there, "proof")[..proof_len - 2])),
        case("the proof of another slot", "bad_proof", with(&there, "proof", text(&empty, "proof"))),
        case("no siblings", "bad_proof", with(&there, "proof", "01828080")),
    ]
}
