//! Goal: the two databases are one store: the same schema, statements that both understand, partitions that nothing crosses,
//! and the same answers as a naive model to any sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alcove_crypto::ids::{AccountId, CommitHash, Head, SlotId, SpaceId};
use alcove_server::store::{
    self, Change, NameHash, NewSpace, Options, Position, PullFrom, Push, Refusal, Reservation, SpaceAccess,
    Store, StoreError,
};
use alcove_tests::server::Database;
use alcove_tests::workspace_root;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Row as _;

async fn open(database: &Database) -> Arc<dyn Store> {
    store::open(&database.url, &Options::default()).await.unwrap()
}

/// A column: table, name, type in SQLite's words, whether it may be null.
type Column = (String, String, String, bool);

async fn sqlite_schema(database: &Database) -> (BTreeSet<Column>, BTreeMap<String, Vec<String>>) {
    drop(open(database).await);
    let mut connection =
        sqlx::SqlitePool::connect(&database.text()).await.unwrap().acquire().await.unwrap().detach();
    let columns = sqlx::query(
        "SELECT m.name, c.name, c.type, c.\"notnull\" FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'",
    );
    let columns = columns.fetch_all(&mut connection).await.unwrap();
    let columns = columns
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get::<String, _>(2), row.get::<i64, _>(3) == 0));
    let columns = columns.filter(|column: &Column| column.0 != "migrations").collect();
    let indexes = sqlx::query(
        "SELECT m.name || ':' || i.name, x.name FROM sqlite_master m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) x \
         WHERE m.type = 'table' AND m.name <> 'migrations' ORDER BY i.name, x.seqno",
    );
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in indexes.fetch_all(&mut connection).await.unwrap() {
        keys.entry(row.get(0)).or_default().push(row.get(1));
    }
    (columns, keys)
}

async fn postgres_schema(database: &Database) -> (BTreeSet<Column>, BTreeMap<String, Vec<String>>) {
    drop(open(database).await);
    let pool = sqlx::PgPool::connect(&database.text()).await.unwrap();
    let columns = sqlx::query(
        "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text FROM information_schema.columns \
         WHERE table_schema = 'public' AND table_name <> 'migrations'",
    );
    let columns = columns.fetch_all(&pool).await.unwrap();
    let columns = columns.iter().map(|row| {
        let kind = match row.get::<&str, _>(2) {
            "bigint" => "INTEGER",
            "bytea" => "BLOB",
            "text" => "TEXT",
            other => panic!("a column of type {other}"),
        };
        (row.get(0), row.get(1), kind.to_owned(), row.get::<&str, _>(3) == "YES")
    });
    let columns = columns.collect();
    let indexes = sqlx::query(
        "SELECT t.relname::text || ':' || i.relname::text, a.attname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
         JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
         JOIN LATERAL unnest(x.indkey) WITH ORDINALITY k(attnum, place) ON true \
         JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum \
         WHERE n.nspname = 'public' AND t.relname <> 'migrations' ORDER BY i.relname, k.place",
    );
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in indexes.fetch_all(&pool).await.unwrap() {
        keys.entry(row.get(0)).or_default().push(row.get(1));
    }
    (columns, keys)
}

/// Column lists of keys and indexes by table, whatever they are called.
fn by_table(keys: &BTreeMap<String, Vec<String>>) -> BTreeSet<(String, Vec<String>)> {
    keys.iter().map(|(name, columns)| (name.split(':').next().unwrap().to_owned(), columns.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_schemas_are_the_same() {
    let (columns, keys) = sqlite_schema(&Database::sqlite()).await;
    assert!(columns.len() > 60 && keys.len() > 15, "{} {}", columns.len(), keys.len());
    let Some(database) = Database::postgres() else { return };
    let (other_columns, other_keys) = postgres_schema(&database).await;
    assert_eq!(columns, other_columns);
    assert_eq!(by_table(&keys), by_table(&other_keys));
}

/// So that the schema can be spread over many machines unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_its_partition_leads_every_key_and_index() {
    let partitions = ["account", "space", "name_hash", "recovery_key", "invite", "enrolment"];
    let (columns, keys) = sqlite_schema(&Database::sqlite()).await;
    for (table, columns) in by_table(&keys) {
        // One row for the whole server.
        if table != "server" {
            assert!(
                partitions.contains(&columns[0].as_str()),
                "{table} has a key that begins with {}",
                columns[0]
            );
        }
    }
    let tables: BTreeSet<_> = columns.iter().map(|(table, ..)| table).collect();
    let with_keys: BTreeSet<_> = keys.keys().map(|name| name.split(':').next().unwrap()).collect();
    assert_eq!(tables.len(), with_keys.len(), "a table without a key");
}

/// What the server knows is written down, column by column.
#[tokio::test(flavor = "multi_thread")]
async fn every_column_is_in_the_table_of_what_the_server_knows() {
    let text = std::fs::read_to_string(workspace_root().join("docs/what-the-server-knows.md")).unwrap();
    let (columns, _) = sqlite_schema(&Database::sqlite()).await;
    for (table, column, ..) in &columns {
        let row = format!("| `{table}.{column}` |");
        assert!(text.contains(&row), "{row} is missing");
    }
    let known: BTreeSet<_> = columns.iter().map(|(table, column, ..)| format!("{table}.{column}")).collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap();
        assert!(!name.contains('.') || known.contains(name), "{name} does not exist any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_understand_every_statement() {
    for database in Database::each() {
        assert!(open(&database).await.check_statements().await.unwrap() > 100);
    }
}

/// The cost of a push or a pull grows with what it brings, and not with what is there.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_a_whole_table_but_those_that_sweep() {
    // What sweeps, lists or counts for the operator; and tables of one row.
    let may = ["guesses", "enrolments", "invites", "tombstones", "server", "migrations", "COUNT(*)"];
    let database = Database::sqlite();
    let store = open(&database).await;
    let pool = sqlx::SqlitePool::connect(&database.text()).await.unwrap();
    let mut looked = 0;
    for text in store.statements() {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        for row in sqlx::query(explain).fetch_all(&pool).await.unwrap() {
            let step: String = row.get(3);
            looked += 1;
            let table = [
                "accounts",
                "account_states",
                "credentials",
                "devices",
                "grants",
                "events",
                "challenges",
                "names",
                "logins",
                "spaces",
                "commits",
                "history",
                "slots",
            ]
            .iter()
            .any(|table| step == format!("SCAN {table}") || step == "SCAN s");
            assert!(!table || may.iter().any(|word| text.contains(word)), "{step} in {text}");
        }
    }
    assert!(looked > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_server_is_left_alone() {
    for database in Database::each() {
        open(&database).await.close().await;
        let note = "INSERT INTO migrations (version) VALUES (999)";
        if database.text().starts_with("sqlite") {
            sqlx::query(note)
                .execute(&sqlx::SqlitePool::connect(&database.text()).await.unwrap())
                .await
                .unwrap();
        } else {
            sqlx::query(note).execute(&sqlx::PgPool::connect(&database.text()).await.unwrap()).await.unwrap();
        }
        let refused = store::open(&database.url, &Options::default()).await.err().unwrap();
        assert!(matches!(refused, StoreError::Newer { found: 999, .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_start_at_once_both_start() {
    for database in Database::each() {
        let options = Options::default();
        let all = (0..4).map(|_| store::open(&database.url, &options));
        for opened in futures_util::future::join_all(all).await {
            opened.unwrap().ping().await.unwrap();
        }
    }
}

/// The store as anybody would write it: everything in maps.
#[derive(Default, Clone)]
struct Model {
    heads: Vec<Head>,
    hashes: Vec<CommitHash>,
    slots: BTreeMap<SlotId, (u64, u64, Option<Vec<u8>>)>,
}

const SPACE: SpaceId = SpaceId::new([3; 16]);
const ACCOUNT: AccountId = AccountId::new([4; 16]);

impl Model {
    fn push(&mut self, push: &Push) -> Result<(), Refusal> {
        let seq = usize::try_from(push.seq).unwrap();
        if self.hashes.get(seq - 1) == Some(&push.hash) {
            return Ok(());
        }
        let tip = self.heads.len() - 1;
        if seq != tip + 1 || push.prev != self.heads[tip] {
            let head = self.heads[tip].into();
            return Err(Refusal::HeadMoved(alcove_protocol::spaces::Tip { seq: tip as u64, head }));
        }
        self.heads.push(push.head);
        self.hashes.push(push.hash);
        for change in &push.changes {
            if change.record.is_some() || self.slots.contains_key(&change.slot) {
                self.slots.insert(change.slot, (push.seq, change.epoch, change.record.clone()));
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_gives_the_answers_of_a_naive_model() {
    for database in Database::each() {
        let store = open(&database).await;
        let access = SpaceAccess::owner(&ACCOUNT);
        let new = NewSpace { space: SPACE, access, quota_bytes: 1 << 40, quota_records: 1 << 30 };
        store.create_space(new.clone()).await.unwrap();
        assert_eq!(store.create_space(new.clone()).await.unwrap().tip.seq, 0, "again is no error");
        let other = NewSpace { access: SpaceAccess::owner(&AccountId::new([9; 16])), ..new };
        assert!(matches!(store.create_space(other).await, Err(StoreError::Refused(Refusal::Exists))));

        let mut rng = StdRng::seed_from_u64(5);
        let mut model = Model { heads: vec![Head::start(&SPACE)], ..Model::default() };
        let mut sent: Vec<Arc<Push>> = vec![];
        for round in 0..700_u64 {
            let push = match rng.next_u64() % 10 {
                // An old one again, or one beside the chain.
                0 if !sent.is_empty() => sent[below(&mut rng, sent.len())].clone(),
                1 if !sent.is_empty() => random_push(&model, &mut rng, rng_seq(&model, round)),
                _ => random_push(&model, &mut rng, model.heads.len() as u64),
            };
            let expected = model.push(&push);
            let found = match store.push(push.clone()).await {
                Ok(()) => Ok(()),
                Err(StoreError::Refused(refusal)) => Err(refusal),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(found, expected, "round {round}");
            sent.push(push);
            if round % 97 == 0 {
                // Days go by with the rounds; what is old goes.
                while store.prune(SPACE, u32::try_from(round / 2).unwrap()).await.unwrap() {}
                let first_seq = store.space(SPACE, access).await.unwrap().unwrap().first_seq;
                model.slots.retain(|_, (changed, _, record)| record.is_some() || *changed >= first_seq);
            }
            if round % 50 == 0 {
                check(store.as_ref(), &model, &mut rng).await;
            }
        }
        check(store.as_ref(), &model, &mut rng).await;
        while store.sweep_space(SPACE).await.unwrap() {}
        assert!(store.space(SPACE, access).await.unwrap().is_none());
    }
}

fn below(rng: &mut StdRng, limit: usize) -> usize {
    usize::try_from(rng.next_u64() % limit as u64).unwrap()
}

fn rng_seq(model: &Model, round: u64) -> u64 {
    1 + round % model.heads.len() as u64
}

fn random_push(model: &Model, rng: &mut StdRng, seq: u64) -> Arc<Push> {
    let prev = model.heads[usize::try_from(seq - 1).unwrap()];
    let mut commit = vec![0; 40];
    rng.fill_bytes(&mut commit);
    let hash = CommitHash::of(&commit);
    let slots: BTreeSet<u8> =
        (0..rng.next_u64() % 6).map(|_| u8::try_from(rng.next_u64() % 20).unwrap()).collect();
    let changes = slots.into_iter().map(|slot| {
        let record = (!rng.next_u64().is_multiple_of(3)).then(|| vec![slot; below(rng, 400)]);
        Change { slot: SlotId::new([slot; 16]), epoch: seq % 3, record }
    });
    let (access, day) = (SpaceAccess::owner(&ACCOUNT), u32::try_from(seq / 2).unwrap());
    Arc::new(Push {
        space: SPACE,
        access,
        seq,
        prev,
        head: prev.after(&hash),
        hash,
        commit,
        day,
        changes: changes.collect(),
    })
}

async fn check(store: &dyn Store, model: &Model, rng: &mut StdRng) {
    let access = SpaceAccess::owner(&ACCOUNT);
    let row = store.space(SPACE, access).await.unwrap().unwrap();
    let tip = model.heads.len() - 1;
    assert_eq!((row.tip.seq, row.tip.head.0), (tip as u64, model.heads[tip]));
    let live: BTreeMap<_, _> =
        model.slots.iter().filter_map(|(slot, (_, _, record))| Some((*slot, record.clone()?))).collect();
    let bytes: usize = live.values().map(Vec::len).sum();
    assert_eq!((row.records, row.bytes), (live.len() as u64, bytes as u64));

    let after = rng.next_u64() % (tip as u64 + 1);
    for snapshot in [false, true] {
        let mut from = PullFrom {
            space: SPACE,
            access,
            after,
            position: Position::start(after, snapshot),
            bytes_max: 1 + rng.next_u64() % 3000,
        };
        let (mut head, mut seq, mut slots) =
            (model.heads[usize::try_from(after).unwrap()], after, BTreeMap::new());
        loop {
            let page = store.pull(from.clone()).await.unwrap();
            let commits = page.commits.iter().map(|commit| CommitHash::of(commit));
            for hash in page.pruned.iter().copied().chain(commits) {
                head = head.after(&hash);
                seq += 1;
            }
            slots.extend(page.slots.into_iter().map(|slot| (slot.slot, (slot.seq, slot.epoch, slot.record))));
            match page.next {
                Some(next) => from.position = Some(next),
                None => break,
            }
        }
        assert_eq!((head, seq), (model.heads[tip], tip as u64), "the chain from {after}");
        let expected: BTreeMap<_, _> = model
            .slots
            .iter()
            .filter(|(_, (changed, _, record))| if snapshot { record.is_some() } else { *changed > after })
            .map(|(slot, value)| (*slot, value.clone()))
            .collect();
        assert!(slots == expected, "other slots from {after}, snapshot {snapshot}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_at_once_to_many_spaces_and_to_one() {
    for database in Database::each() {
        let store = open(&database).await;
        let access = SpaceAccess::owner(&ACCOUNT);
        let spaces: Vec<_> = (0..20_u8).map(|number| SpaceId::new([number; 16])).collect();
        for space in &spaces {
            store
                .create_space(NewSpace {
                    space: *space,
                    access,
                    quota_bytes: 1 << 40,
                    quota_records: 1 << 30,
                })
                .await
                .unwrap();
        }
        let push = |space: SpaceId, byte: u8| {
            let (prev, commit) = (Head::start(&space), vec![byte; 20]);
            let hash = CommitHash::of(&commit);
            let changes =
                vec![Change { slot: SlotId::new([byte; 16]), epoch: 1, record: Some(vec![byte; 100]) }];
            Arc::new(Push {
                space,
                access,
                seq: 1,
                prev,
                head: prev.after(&hash),
                hash,
                commit,
                day: 1,
                changes,
            })
        };
        // Of four that want to be the first of a space, one is.
        let all = spaces.iter().flat_map(|space| (0..4_u8).map(|byte| push(*space, byte)));
        let answers = futures_util::future::join_all(all.map(|push| store.push(push))).await;
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Ok(()) | Err(StoreError::Refused(Refusal::HeadMoved(_)))))
        );
        assert_eq!(taken, spaces.len());
        for space in spaces {
            assert_eq!(store.space(space, access).await.unwrap().unwrap().records, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_reserved_passed_on_and_released() {
    for database in Database::each() {
        let store = open(&database).await;
        let (name, anna, ben) = (NameHash([1; 32]), AccountId::new([1; 16]), AccountId::new([2; 16]));
        for _ in 0..2 {
            assert_eq!(store.reserve_name(name, anna, 5).await.unwrap(), Reservation::Yours);
        }
        assert_eq!(
            store.reserve_name(name, ben, 9).await.unwrap(),
            Reservation::Taken { by: anna, reserved_s: 5 }
        );
        assert!(store.pass_name(name, ben, anna, 9).await.is_err());
        store.pass_name(name, anna, ben, 9).await.unwrap();
        assert_eq!(store.find_name(name).await.unwrap(), Some(ben));
        store.release_name(name, anna).await.unwrap();
        assert_eq!(store.find_name(name).await.unwrap(), Some(ben));
        store.release_name(name, ben).await.unwrap();
        assert_eq!(store.find_name(name).await.unwrap(), None);
    }
}
