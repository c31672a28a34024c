//! Goal: what is pushed is there, once and whole; what is pulled verifies; limits hold at their exact values; history is
//! forgotten in time and size stays with what is live. On both databases, and on two nodes in turn.

use std::collections::BTreeSet;

use alcove_crypto::ids::{SlotId, SpaceId};
use alcove_protocol::limits::{
    COMMIT_LEN_MAX, PAGE_COMMITS_MAX, PAGE_SLOTS_MAX, PUSH_BYTES_MAX, PUSH_REQUEST_LEN_MAX, PUSH_SLOTS_MAX,
    RECORD_LEN_MAX, RECORD_LEN_MIN,
};
use alcove_protocol::spaces::{
    CreateSpace, PullPage, PullRequest, PushRequest, Pushed, SlotChange, SpaceSummary, Spaces,
};
use alcove_protocol::{ErrorCode, endpoint};
use alcove_server::store::{Position, PullFrom, SpaceAccess};
use alcove_server::sweep;
use alcove_tests::client::{Api, Pulled};
use alcove_tests::server::unlimited;
use alcove_tests::world::World;
use rand::Rng as _;

const DAY_S: i64 = 86_400;

fn slot(number: u64) -> SlotId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    SlotId::new(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_pushes_another_pulls_and_verifies() {
    for mut world in World::each().await {
        let (person, mut first, mut api) = world.somebody("anna").await.unwrap();
        let rng = &mut world.rng;
        let mut second =
            person.log_in(&mut api, false, rng).await.unwrap().enrol(&mut api, rng).await.unwrap();
        second.sign_in(&mut api).await.unwrap();
        first.push(&mut api, &[(slot(1), Some(b"one")), (slot(2), Some(b"two"))], rng).await.unwrap();
        second.pull(&mut api, false, None).await.unwrap();
        second.push(&mut api, &[(slot(1), None), (slot(3), Some(b"three"))], rng).await.unwrap();
        // The first is behind: it is told where the space is, pulls, and pushes again.
        let refused = first.push(&mut api, &[(slot(2), Some(b"2"))], rng).await.unwrap_err();
        assert_eq!((refused.code(), refused.body.unwrap().tip.unwrap().seq), (ErrorCode::HeadMoved, 2));
        first.learn_states(&mut api).await.unwrap();
        first.pull(&mut api, false, None).await.unwrap();
        first.push(&mut api, &[(slot(2), Some(b"2"))], rng).await.unwrap();
        second.pull(&mut api, false, None).await.unwrap();
        assert_eq!(first.contents(), second.contents(), "{}", world.name);
        let texts: Vec<_> = second.contents().into_values().collect();
        assert_eq!(BTreeSet::from_iter(texts), BTreeSet::from([b"2".to_vec(), b"three".to_vec()]));
        assert_eq!(
            second.pull(&mut api, false, None).await.unwrap(),
            Pulled { pages: 1, ..Pulled::default() }
        );

        let spaces: Spaces = api.call(endpoint::SPACES, None, first.token.as_deref(), &()).await.unwrap();
        let bytes: usize = first.records.values().map(Vec::len).sum();
        assert_eq!(spaces.spaces.len(), 1);
        assert_eq!(
            (spaces.spaces[0].bytes, spaces.spaces[0].records, spaces.spaces[0].tip.seq),
            (bytes as u64, 2, 3)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_sent_again_is_acknowledged_again_also_when_pruned() {
    for mut world in World::each().await {
        let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
        let prepared = device.prepare(&[(slot(1), Some(b"one"))], &mut world.rng);
        let request = prepared.request.clone();
        let pushed = device.send(&mut api, &request).await.unwrap();
        assert_eq!(device.send(&mut api, &request).await.unwrap(), pushed);
        device.acknowledge(prepared, &pushed);
        device.push(&mut api, &[(slot(2), Some(b"two"))], &mut world.rng).await.unwrap();
        assert_eq!(device.send(&mut api, &request).await.unwrap(), pushed, "{}", world.name);
        world.shift(91 * DAY_S);
        sweep::everything(&world.nodes[0].app).await.unwrap();
        device.sign_in(&mut api).await.unwrap();
        assert_eq!(device.send(&mut api, &request).await.unwrap(), pushed, "known by its hash alone");
        let mut other = request;
        other.commit.0.truncate(100);
        assert_eq!(device.send(&mut api, &other).await.unwrap_err().code(), ErrorCode::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_the_space_of_another_or_one_that_the_account_does_not_name() {
    for mut world in World::each().await {
        let (_, mut anna, mut api) = world.somebody("anna").await.unwrap();
        anna.push(&mut api, &[(slot(1), Some(b"one"))], &mut world.rng).await.unwrap();
        let (_, ben, mut api) = world.somebody("ben").await.unwrap();
        let token = ben.token.as_deref();
        let request = anna.prepare(&[], &mut world.rng).request;
        let theirs = *anna.space().as_bytes();
        let pull = PullRequest { after: 0, snapshot: false, cursor: None, bytes_max: None };
        let pushed = api.call::<_, Pushed>(endpoint::PUSH, Some(&theirs), token, &request).await;
        let pulled = api.call::<_, PullPage>(endpoint::PULL, Some(&theirs), token, &pull).await;
        let unknown = api.call::<_, PullPage>(endpoint::PULL, Some(&[9; 16]), token, &pull).await;
        let codes = [pushed.unwrap_err().code(), pulled.unwrap_err().code(), unknown.unwrap_err().code()];
        assert_eq!(codes, [ErrorCode::NotFound, ErrorCode::NotFound, ErrorCode::NotFound], "{}", world.name);
        let create = CreateSpace { space: SpaceId::new(theirs).into() };
        let refused =
            api.call::<_, SpaceSummary>(endpoint::SPACE_CREATE, None, token, &create).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Forbidden);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_at_their_exact_values() {
    for mut world in World::each().await {
        let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
        let rng = &mut world.rng;
        let mut number = 0;
        let mut next = || {
            number += 1;
            slot(number)
        };
        // Slots of one push: the limit, one less, one more.
        for (count, taken) in
            [(PUSH_SLOTS_MAX - 1, true), (PUSH_SLOTS_MAX, true), (PUSH_SLOTS_MAX + 1, false)]
        {
            let changes: Vec<_> = (0..count).map(|_| (next(), Some(&b"x"[..]))).collect();
            assert_eq!(device.push(&mut api, &changes, rng).await.is_ok(), taken, "{} {count}", world.name);
        }
        // The longest record, and one that no record can be.
        let longest = vec![7; 256 * 1024 - 1];
        device.push(&mut api, &[(next(), Some(&longest))], rng).await.unwrap();
        for (len, code) in [
            (RECORD_LEN_MIN - 1, Some(ErrorCode::Invalid)),
            (RECORD_LEN_MAX + 1, Some(ErrorCode::Invalid)),
            (RECORD_LEN_MIN, None),
        ] {
            let mut request = device.prepare(&[(next(), Some(b"x"))], rng).request;
            request.changes[0].record = Some(vec![1; len].into());
            let answer = device.send(&mut api, &request).await;
            assert_eq!(answer.err().map(|refused| refused.code()), code, "{} {len}", world.name);
        }
        // Bytes of one push, in records of which none is too long.
        let (_, device, mut api) = world.somebody("ben").await.unwrap();
        for (extra, taken) in [(0, true), (1, false)] {
            let whole = PUSH_BYTES_MAX / RECORD_LEN_MAX;
            let mut lengths = vec![RECORD_LEN_MAX; whole];
            lengths.push(PUSH_BYTES_MAX - whole * RECORD_LEN_MAX + extra);
            let mut request = device.prepare(&[], &mut world.rng).request;
            request.changes = lengths
                .iter()
                .enumerate()
                .map(|(i, len)| SlotChange {
                    slot: slot(i as u64).into(),
                    epoch: 1,
                    record: Some(vec![1; *len].into()),
                })
                .collect();
            let answer = device.send(&mut api, &request).await;
            assert_eq!(answer.is_ok(), taken, "{} {extra} {answer:?}", world.name);
        }
        let mut request = device.prepare(&[], &mut world.rng).request;
        request.commit = vec![1; COMMIT_LEN_MAX + 1].into();
        assert_eq!(device.send(&mut api, &request).await.unwrap_err().code(), ErrorCode::Invalid);
        let twice = SlotChange { slot: slot(1).into(), epoch: 1, record: None };
        let request = PushRequest {
            changes: vec![twice.clone(), twice],
            ..device.prepare(&[], &mut world.rng).request
        };
        assert_eq!(device.send(&mut api, &request).await.unwrap_err().code(), ErrorCode::Invalid);
        // A body as long as any may be, and one byte more.
        let path = alcove_tests::client::path(endpoint::PUSH, Some(device.space().as_bytes()));
        for (len, code) in
            [(PUSH_REQUEST_LEN_MAX, ErrorCode::Malformed), (PUSH_REQUEST_LEN_MAX + 1, ErrorCode::TooLarge)]
        {
            let refused = api.send("POST", &path, device.token.as_deref(), vec![0; len]).await.unwrap_err();
            assert_eq!(refused.code(), code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_end_exactly_where_they_should() {
    for mut world in World::each().await {
        for count in [PAGE_SLOTS_MAX - 1, PAGE_SLOTS_MAX, PAGE_SLOTS_MAX + 1, 2 * PAGE_SLOTS_MAX] {
            let (_, mut device, mut api) = world.somebody(&format!("anna{count}")).await.unwrap();
            let changes: Vec<_> = (0..count as u64).map(|number| (slot(number), Some(&b"x"[..]))).collect();
            for some in changes.chunks(PUSH_SLOTS_MAX) {
                device.push(&mut api, some, &mut world.rng).await.unwrap();
            }
            for snapshot in [false, true] {
                let mut other = device.afresh();
                let pulled = other.pull(&mut api, snapshot, None).await.unwrap();
                assert_eq!(
                    (pulled.slots, pulled.pages),
                    (count, count.div_ceil(PAGE_SLOTS_MAX)),
                    "{} {snapshot}",
                    world.name
                );
                assert_eq!(other.records, device.records);
            }
        }
        // What no server ever gave out.
        let request = PullRequest { after: 0, snapshot: false, cursor: None, bytes_max: None };
        let (_, device, mut api) = world.somebody("carl").await.unwrap();
        for request in [
            PullRequest { after: u64::MAX, ..request.clone() },
            PullRequest { cursor: Some(vec![0xff; 40].into()), ..request.clone() },
            PullRequest { cursor: Some(vec![0; 39].into()), ..request.clone() },
        ] {
            let space = device.space();
            let token = device.token.as_deref();
            let refused =
                api.call::<_, PullPage>(endpoint::PULL, Some(space.as_bytes()), token, &request).await;
            assert_eq!(refused.unwrap_err().code(), ErrorCode::Invalid, "{}", world.name);
        }
        // By bytes: a page holds what fits, and one record however long.
        let (_, mut device, mut api) = world.somebody("ben").await.unwrap();
        let changes: Vec<_> = (0..10_u64).map(|number| (slot(number), Some(&b"x"[..]))).collect();
        device.push(&mut api, &changes, &mut world.rng).await.unwrap();
        let len = u32::try_from(RECORD_LEN_MIN).unwrap();
        for (bytes_max, pages) in
            [(10 * len, 1), (10 * len - 1, 2), (5 * len, 2), (5 * len - 1, 3), (len, 10), (0, 10)]
        {
            let pulled = device.afresh().pull(&mut api, false, Some(bytes_max)).await.unwrap();
            assert_eq!((pulled.pages, pulled.slots), (pages, 10), "{} {bytes_max}", world.name);
        }
    }
}

/// A slot that changes while somebody pulls comes again; one that is deleted is told to whom it was shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_goes_on_while_others_push() {
    for mut world in World::each().await {
        for snapshot in [false, true] {
            let (_, mut device, mut api) = world.somebody(&format!("anna{snapshot}")).await.unwrap();
            let changes: Vec<_> = (0..20_u64).map(|number| (slot(number), Some(&b"x"[..]))).collect();
            device.push(&mut api, &changes, &mut world.rng).await.unwrap();
            let mut puller = device.afresh();
            let mut writer = world.api();
            let pull = puller.pull(&mut api, snapshot, Some(2200));
            let write = async {
                for round in 0..15_u64 {
                    let changes = [
                        (slot(round), None),
                        (slot(19 - round), Some(&b"changed"[..])),
                        (slot(100 + round), Some(&b"new"[..])),
                    ];
                    device.push(&mut writer, &changes, &mut world.rng).await.unwrap();
                }
            };
            let (pulled, ()) = tokio::join!(pull, write);
            assert!(pulled.unwrap().pages > 2);
            puller.pull(&mut api, false, None).await.unwrap();
            assert_eq!(puller.records, device.records, "{} {snapshot}", world.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_exact_and_deleting_is_always_allowed() {
    let mut config = unlimited();
    config.quota.records = 5;
    for mut world in World::each_with(&config).await {
        let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
        let all: Vec<_> = (0..5_u64).map(|number| (slot(number), Some(&b"x"[..]))).collect();
        device.push(&mut api, &all, &mut world.rng).await.unwrap();
        let refused = device.push(&mut api, &[(slot(9), Some(b"x"))], &mut world.rng).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::QuotaExceeded, "{}", world.name);
        device.push(&mut api, &[(slot(0), None), (slot(9), Some(b"x"))], &mut world.rng).await.unwrap();
        let store = world.nodes[0].app.store();
        let access = SpaceAccess::owner(&device.account());
        let row = store.space(device.space(), access).await.unwrap().unwrap();
        let bytes: usize = device.records.values().map(Vec::len).sum();
        assert_eq!((row.records, row.bytes), (5, bytes as u64));

        // By bytes: exactly what is stored after the next push is enough, one byte less is not.
        let request = device.prepare(&[(slot(1), Some(b"y"))], &mut world.rng);
        let after = row.stored_bytes() + 32 + request.request.commit.0.len() as u64;
        for (quota, code) in [(after - 1, Some(ErrorCode::QuotaExceeded)), (after, None)] {
            store.set_space_quota(device.space(), quota, 5).await.unwrap();
            let answer = device.send(&mut api, &request.request).await;
            assert_eq!(answer.err().map(|refused| refused.code()), code, "{}", world.name);
        }
        device.pull(&mut api, false, None).await.unwrap();
        store.set_space_quota(device.space(), 0, 0).await.unwrap();
        device.push(&mut api, &[(slot(2), None)], &mut world.rng).await.unwrap();
    }
}

/// Accounting is exact after any sequence: recounted from what is there.
#[tokio::test(flavor = "multi_thread")]
async fn accounting_is_what_a_recount_finds() {
    for mut world in World::each().await {
        let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
        for _ in 0..60 {
            let changes: BTreeSet<u64> =
                (0..world.rng.next_u64() % 8).map(|_| world.rng.next_u64() % 12).collect();
            let texts: Vec<_> = changes
                .iter()
                .map(|_| {
                    (!world.rng.next_u64().is_multiple_of(3))
                        .then(|| vec![1; usize::try_from(world.rng.next_u64() % 5000).unwrap()])
                })
                .collect();
            let changes: Vec<_> =
                changes.iter().zip(&texts).map(|(number, text)| (slot(*number), text.as_deref())).collect();
            device.push(&mut api, &changes, &mut world.rng).await.unwrap();
        }
        let store = world.nodes[0].app.store();
        let access = SpaceAccess::owner(&device.account());
        let row = store.space(device.space(), access).await.unwrap().unwrap();
        let bytes: usize = device.records.values().map(Vec::len).sum();
        assert_eq!((row.bytes, row.records), (bytes as u64, device.records.len() as u64), "{}", world.name);
        let from = PullFrom {
            space: device.space(),
            access,
            after: 0,
            position: Position::start(0, false),
            bytes_max: 1 << 30,
        };
        let page = store.pull(from).await.unwrap();
        assert_eq!(row.commit_bytes, page.commits.iter().map(|commit| commit.len() as u64).sum::<u64>());
        let mut other = device.afresh();
        other.pull(&mut api, false, None).await.unwrap();
        assert_eq!(other.records, device.records);
    }
}

/// Three years of one account's use, a few changes a day: what is left is in proportion to what is live, and everybody
/// still finds the way, from any day.
#[tokio::test(flavor = "multi_thread")]
async fn three_years_leave_what_is_live_and_32_bytes_a_commit() {
    for mut world in World::each().await {
        if world.nodes.len() > 1 {
            continue;
        }
        let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
        let mut away = vec![];
        for day in 0..1095_u64 {
            world.shift(DAY_S);
            device.sign_in(&mut api).await.unwrap();
            if [0, 300, 900, 1000, 1090].contains(&day) {
                away.push((day, device.copy()));
            }
            // An entry in four is new; the others are edits of the same few, as of a day's draft. Old ones are deleted.
            device.push(&mut api, &[(slot(day / 4), Some(b"entry"))], &mut world.rng).await.unwrap();
            device
                .push(
                    &mut api,
                    &[(slot(1_000_000), Some(b"preferences")), (slot(day / 4 + 2_000_000), Some(b"mood"))],
                    &mut world.rng,
                )
                .await
                .unwrap();
            if day % 2 == 0 {
                device.push(&mut api, &[(slot(day / 4 + 2_000_000), None)], &mut world.rng).await.unwrap();
            }
            if day % 30 == 0 {
                sweep::everything(&world.nodes[0].app).await.unwrap();
            }
        }
        sweep::everything(&world.nodes[0].app).await.unwrap();
        let store = world.nodes[0].app.store();
        let access = SpaceAccess::owner(&device.account());
        let row = store.space(device.space(), access).await.unwrap().unwrap();
        let kept = row.tip.seq - row.first_seq;
        assert!((200..=280).contains(&kept), "commits of 90 days: {kept}");
        if let alcove_server::config::DatabaseUrl::Sqlite(path) = &world.database.url {
            let file = std::fs::metadata(path).unwrap().len();
            let live = row.bytes + row.commit_bytes + 32 * row.tip.seq;
            assert!(file < 2 * live + 1_000_000, "{file} bytes on the disk for {live} that are live");
        }
        for (day, mut other) in away {
            other.token.clone_from(&device.token);
            let known = other.chain.at().seq;
            let pruned = (row.first_seq - 1).saturating_sub(known);
            let pulled = other.pull(&mut api, pruned > 0, None).await.unwrap();
            assert_eq!(pulled.pruned as u64, pruned, "{} day {day}", world.name);
            assert_eq!(pulled.commits as u64, row.tip.seq - known.max(row.first_seq - 1));
            assert_eq!(other.records, device.records);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_and_hashes_come_in_pages() {
    let mut world = World::each().await.swap_remove(0);
    let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
    for number in 0..=PAGE_COMMITS_MAX as u64 {
        device.push(&mut api, &[(slot(number % 3), Some(b"x"))], &mut world.rng).await.unwrap();
    }
    let pulled = device.afresh().pull(&mut api, false, None).await.unwrap();
    assert_eq!((pulled.commits, pulled.pages), (PAGE_COMMITS_MAX + 1, 2));
    world.shift(91 * DAY_S);
    device.sign_in(&mut api).await.unwrap();
    sweep::everything(&world.nodes[0].app).await.unwrap();
    let pulled = device.afresh().pull(&mut api, true, None).await.unwrap();
    assert_eq!((pulled.pruned, pulled.commits, pulled.slots), (PAGE_COMMITS_MAX, 1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_encodings_say_the_same() {
    let mut world = World::each().await.swap_remove(0);
    let (_, mut device, mut api) = world.somebody("anna").await.unwrap();
    let mut json = Api::json(&world.origins());
    device.push(&mut api, &[(slot(1), Some(b"one"))], &mut world.rng).await.unwrap();
    device.push(&mut json, &[(slot(2), Some(b"two"))], &mut world.rng).await.unwrap();
    for api in [&mut api, &mut json] {
        let mut other = device.afresh();
        other.pull(api, false, None).await.unwrap();
        assert_eq!(other.records, device.records);
    }
}
