//! Goal: a store keeps what was written through anything that can happen to it on a device, shows nothing of it on disk, and
//! says what is wrong instead of beginning anew.

use std::collections::BTreeSet;
use std::path::Path;

use alcove_sdk::vault::{InMemory, KeyFile, KeyVault, Passphrase, VaultError, VaultKey};
use alcove_sdk::{
    Alcove, Error, JournalEntry, Mood, Observed, Options, Query, Record, RecordId, Result, What, When, rescue,
};
use serde::{Deserialize, Serialize};

fn key_file(folder: &Path) -> KeyFile {
    KeyFile::new(folder.join("keys"))
}

async fn open(folder: &Path) -> Result<Alcove> {
    Alcove::open(Options::new(folder.join("store"), key_file(folder))).await
}

fn entry(at: i64, body: &str) -> JournalEntry {
    JournalEntry::new(When::utc(at), body)
}

async fn bodies(alcove: &Alcove) -> Vec<String> {
    let entries = alcove.journal().list(Query::default()).await.unwrap();
    entries.into_iter().map(|entry| entry.value.body).collect()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Dream {
    text: String,
    #[serde(default)]
    lucid: Option<bool>,
}

impl Record for Dream {
    const KIND: &'static str = "dream";
    const PROSE: &'static [&'static str] = &["text"];
}

/// The same kind in an app of next year.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NewerDream {
    text: String,
    colours: BTreeSet<String>,
}

impl Record for NewerDream {
    const KIND: &'static str = "dream";
    const SETS: &'static [&'static str] = &["colours"];
}

#[tokio::test]
async fn what_is_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let journal = alcove.journal();
    let id = journal.add(entry(1_000, "first")).await.unwrap();
    journal.add(entry(2_000, "second")).await.unwrap();
    let gone = journal.add(entry(3_000, "third")).await.unwrap();
    journal.update(id, |entry| entry.title = "a title".into()).await.unwrap();
    journal.delete(gone).await.unwrap();
    assert!(matches!(journal.delete(gone).await, Err(Error::NotFound)));
    assert!(matches!(journal.update(gone, |_| {}).await, Err(Error::NotFound)));
    drop(alcove);
    let alcove = open(folder.path()).await.unwrap();
    assert_eq!(bodies(&alcove).await, ["second", "first"], "newest first");
    let stored = alcove.journal().get(id).await.unwrap().unwrap();
    assert_eq!((stored.value.title.as_str(), stored.synced, stored.proven), ("a title", false, true));
    assert_eq!(alcove.journal().get(gone).await.unwrap(), None);
    assert!(matches!(alcove.moods().get(id).await, Err(Error::Invalid(_))), "it is no mood");
    let holdings = alcove.holdings().await.unwrap();
    assert_eq!((holdings.records, holdings.unsent, holdings.unreadable), (2, 3, 0));
}

#[tokio::test]
async fn records_are_found_by_time_and_tag() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let journal = alcove.journal();
    let tagged = |at, tag: &str| JournalEntry { tags: [tag.to_owned()].into(), ..entry(at, tag) };
    let ids =
        journal.add_all((0..10).map(|at| tagged(at, if at % 2 == 0 { "even" } else { "odd" })).collect());
    let ids = ids.await.unwrap();
    let at = async |query: Query| -> Vec<i64> {
        let found = journal.list(query).await.unwrap();
        found.into_iter().map(|entry| entry.value.when.unix_ms).collect()
    };
    assert_eq!(at(Query::default().between(3, 5)).await, [5, 4, 3]);
    assert_eq!(at(Query::default().tagged("odd").limit(2)).await, [9, 7]);
    assert_eq!(at(Query { oldest_first: true, skip: 8, ..Query::default() }).await, [8, 9]);
    assert_eq!(at(Query::default().between(5, 3)).await, [0; 0]);
    assert_eq!(journal.count(Query::default().tagged("even")).await.unwrap(), 5);
    journal.update(ids[0], |entry| entry.tags = ["rare".to_owned()].into()).await.unwrap();
    let tags = journal.tags().await.unwrap();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [("even".into(), 4), ("odd".into(), 5), ("rare".into(), 1)]
    );
    assert_eq!(alcove.search("RARE", 9).await.unwrap(), [("journal".to_owned(), ids[0])]);
    assert_eq!(alcove.search("  ", 9).await.unwrap(), []);
}

#[tokio::test]
async fn an_older_app_keeps_what_a_newer_one_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let newer = alcove.records::<NewerDream>();
    let value = NewerDream { text: "flying".into(), colours: ["blue".to_owned()].into() };
    let id = newer.add(value).await.unwrap();
    let older = alcove.records::<Dream>();
    older.update(id, |dream| dream.text = "flying high".into()).await.unwrap();
    older.update(id, |dream| dream.lucid = Some(true)).await.unwrap();
    let read = newer.get(id).await.unwrap().unwrap().value;
    assert_eq!(read, NewerDream { text: "flying high".into(), colours: ["blue".to_owned()].into() });
    // The other way round the newer app asks for more than there is: left out, and not lost.
    let bare = older.add(Dream { text: "falling".into(), lucid: None }).await.unwrap();
    assert_eq!(newer.list(Query::default()).await.unwrap().len(), 1);
    assert!(matches!(newer.get(bare).await, Err(Error::Invalid(_))));
    assert_eq!(older.list(Query::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn one_record_for_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let dreams = alcove.records::<Dream>();
    assert_eq!(dreams.one("tonight").await.unwrap(), None);
    let id = dreams.set_one("tonight", Dream { text: "a".into(), lucid: None }).await.unwrap();
    assert_eq!(dreams.set_one("tonight", Dream { text: "b".into(), lucid: None }).await.unwrap(), id);
    assert_eq!(dreams.one("tonight").await.unwrap().unwrap().value.text, "b");
    assert_eq!(dreams.one("tomorrow").await.unwrap(), None);
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let large = alcove.journal().add(entry(0, &"x".repeat(300_000))).await;
    assert!(matches!(large, Err(Error::TooLarge(_))), "{large:?}");
    for (score, scale) in [(0, 5), (6, 5), (1, 1)] {
        let refused = alcove.moods().add(Mood::new(When::utc(0), score, scale)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{score} of {scale}");
    }
    assert_eq!(alcove.holdings().await.unwrap().records, 0);
    assert!("xyz".parse::<RecordId>().is_err() && "é".repeat(16).parse::<RecordId>().is_err());
    let id = alcove.journal().add(entry(0, "fits")).await.unwrap();
    assert_eq!(id.to_string().parse::<RecordId>().unwrap(), id);
}

#[tokio::test]
async fn observers_are_told_what_changed_whoever_did_it() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path()).await.unwrap();
    let widget = open(folder.path()).await.unwrap();
    let (mut changes, mut moods) = (widget.observe(), app.moods().observe());
    let id = app.journal().add(entry(0, "a")).await.unwrap();
    let told = async |changes: &mut alcove_sdk::Changes| match changes.next().await {
        Observed::Change(change) => (change.kind.to_string(), change.id, change.what),
        Observed::ReadAgain => panic!("not so much"),
    };
    assert_eq!(told(&mut changes).await, ("journal".into(), id, What::Added));
    app.journal().update(id, |entry| entry.body = "b".into()).await.unwrap();
    assert_eq!(told(&mut changes).await, ("journal".into(), id, What::Updated));
    assert_eq!(bodies(&widget).await, ["b"]);
    widget.journal().update(id, |entry| entry.body = "c".into()).await.unwrap();
    assert_eq!(bodies(&app).await, ["c"]);
    widget.journal().delete(id).await.unwrap();
    assert_eq!(told(&mut changes).await.2, What::Updated);
    assert_eq!(told(&mut changes).await.2, What::Deleted);
    assert_eq!(changes.try_next(), None);
    assert_eq!(moods.try_next(), None, "of its own kind only");
}

/// Two processes that write at once: each write is there, and none replaces another.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_write_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let one = open(folder.path()).await.unwrap();
    let two = open(folder.path()).await.unwrap();
    let shared = one.journal().add(entry(0, "")).await.unwrap();
    let write = |alcove: Alcove, name: &'static str| async move {
        for number in 0..50 {
            alcove.journal().add(entry(number, name)).await.unwrap();
            alcove.journal().update(shared, move |entry| entry.body.push_str(name)).await.unwrap();
        }
    };
    tokio::join!(tokio::spawn(write(one.clone(), "a")), tokio::spawn(write(two.clone(), "b"))).0.unwrap();
    for alcove in [&one, &two] {
        let body = alcove.journal().get(shared).await.unwrap().unwrap().value.body;
        assert_eq!((body.matches('a').count(), body.matches('b').count()), (50, 50));
        assert_eq!(alcove.journal().count(Query::default()).await.unwrap(), 101);
    }
}

/// Every word that goes in through any call is looked for in every byte on disk: the database, its journal, everything.
#[tokio::test]
async fn nothing_on_disk_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let words: Vec<String> = (0..12).map(|number| format!("quetzalcoatl{number}")).collect();
    let w = |number: usize| words[number].clone();
    let journal = alcove.journal();
    let mut written = entry(0, &w(0));
    (written.title, written.mood, written.place) = (w(1), Some(w(2)), Some(w(3)));
    (written.prompt, written.tags) = (Some(w(4)), [w(5)].into());
    let id = journal.add(written).await.unwrap();
    let replaced = w(6);
    journal.update(id, move |entry| entry.body = replaced).await.unwrap();
    let mut mood = Mood::new(When { unix_ms: 0, offset_min: 0, zone: w(7) }, 1, 5);
    (mood.note, mood.emotions, mood.triggers) = (w(8), [w(9)].into(), [w(10)].into());
    alcove.moods().add(mood).await.unwrap();
    alcove
        .records::<Dream>()
        .set_one(&w(11), Dream { text: "quetzalcoatldream".into(), lucid: None })
        .await
        .unwrap();
    alcove.account().rename_device("quetzalcoatlphone").await.unwrap();
    alcove.search("quetzalcoatlsearch", 1).await.unwrap();
    let (mut searched, mut alcove) = (0, Some(alcove));
    // While it is open, with its journal, and after it was closed.
    for _ in 0..2 {
        for file in std::fs::read_dir(folder.path().join("store")).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            searched += bytes.len();
            let text: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
            for needle in [&b"quetzalcoatl"[..], b"journal", b"dream", b"unix_ms", b"emotions"] {
                assert!(
                    !text.windows(needle.len()).any(|window| window == needle),
                    "{}",
                    String::from_utf8_lossy(needle)
                );
            }
        }
        drop(alcove.take());
    }
    assert!(searched > 100_000);
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_told_apart_from_damage() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    alcove.journal().add(entry(0, "kept")).await.unwrap();
    drop(alcove);
    let keys = std::fs::read(folder.path().join("keys")).unwrap();
    let store = folder.path().join("store/alcove.db");

    // Restored without its key.
    std::fs::remove_file(folder.path().join("keys")).unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::Missing(_))));
    // Another device's.
    let other = tempfile::tempdir().unwrap();
    open(other.path()).await.unwrap();
    std::fs::copy(other.path().join("keys"), folder.path().join("keys")).unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::WrongKey)));
    assert!(matches!(
        rescue(folder.path().join("store"), key_file(folder.path())).await,
        Err(Error::WrongKey)
    ));
    // No key at all.
    std::fs::write(folder.path().join("keys"), "?").unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::Vault(VaultError::Damaged))));
    // A store of a newer version.
    std::fs::write(folder.path().join("keys"), &keys).unwrap();
    let sql = rusqlite::Connection::open(&store).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    drop(sql);
    assert!(matches!(open(folder.path()).await, Err(Error::UpgradeRequired(_))));
    let sql = rusqlite::Connection::open(&store).unwrap();
    sql.pragma_update(None, "user_version", 1).unwrap();
    drop(sql);
    assert_eq!(bodies(&open(folder.path()).await.unwrap()).await, ["kept"], "nothing was wiped by all this");
    // The store is gone, and the vault still has its key.
    std::fs::rename(&store, folder.path().join("away")).unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::Missing(_))));
    assert!(!store.exists(), "it is not made anew");
    // Another file in its place.
    std::fs::write(&store, "this is no database, and it is longer than a header ".repeat(40)).unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::NotAStore)));
    std::fs::remove_file(&store).unwrap();
    let foreign = rusqlite::Connection::open(&store).unwrap();
    foreign.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(foreign);
    assert!(matches!(open(folder.path()).await, Err(Error::NotAStore)));
}

/// Damage anywhere gives a typed error or leaves what it did not hit; what can be read is rescued; nothing is made anew.
#[tokio::test]
async fn a_damaged_store_is_never_made_anew_and_gives_what_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let entries = (0..200).map(|number| entry(number, &format!("entry {number} {}", "x".repeat(900))));
    alcove.journal().add_all(entries.collect()).await.unwrap();
    drop(alcove);
    let store = folder.path().join("store/alcove.db");
    // Everything into the one file.
    let sql = rusqlite::Connection::open(&store).unwrap();
    sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(sql);
    let whole = std::fs::read(&store).unwrap();
    let (mut opened, mut refused, mut rescued_some) = (0, 0, 0);
    for part in 0..24 {
        let mut damaged = whole.clone();
        if part < 20 {
            let at = whole.len() * part / 20;
            let end = (at + 3_000).min(whole.len());
            damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        } else {
            damaged.truncate(whole.len() * (part - 19) / 6);
        }
        for rest in ["", "-wal", "-shm"] {
            std::fs::remove_file(format!("{}{rest}", store.display())).ok();
        }
        std::fs::write(&store, &damaged).unwrap();
        let rescued = rescue(folder.path().join("store"), key_file(folder.path())).await;
        assert_eq!(std::fs::read(&store).unwrap(), damaged, "a rescue writes nothing");
        match open(folder.path()).await {
            Ok(alcove) => {
                opened += 1;
                let holdings = alcove.holdings().await;
                let found = bodies(&alcove).await;
                assert!(found.iter().all(|body| body.starts_with("entry ")), "nothing is made up");
                drop(holdings);
            }
            Err(Error::Corrupt(_) | Error::NotAStore | Error::WrongKey | Error::Disk(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
        if let Ok(rescued) = rescued {
            rescued_some += usize::from(rescued.records.len() > 100);
        }
    }
    assert!(opened > 0 && refused > 0 && rescued_some > 5, "{opened} {refused} {rescued_some}");
}

/// Cut at any step while a store is made: the next opening makes it, or goes on.
#[tokio::test]
async fn a_store_whose_making_was_cut_is_made() {
    let folder = tempfile::tempdir().unwrap();
    // Cut after the vault had taken the keys.
    let alcove = open(folder.path()).await.unwrap();
    drop(alcove);
    let store = folder.path().join("store");
    for rest in ["-wal", "-shm"] {
        std::fs::remove_file(store.join(format!("alcove.db{rest}"))).ok();
    }
    std::fs::rename(store.join("alcove.db"), store.join("alcove.db.new")).unwrap();
    open(folder.path()).await.unwrap().journal().add(entry(0, "went on")).await.unwrap();
    // Cut before.
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir(other.path().join("store")).unwrap();
    std::fs::write(other.path().join("store/alcove.db.new"), "half of a file").unwrap();
    open(other.path()).await.unwrap().journal().add(entry(0, "made")).await.unwrap();
}

#[tokio::test]
async fn vaults_in_the_box() {
    let folder = tempfile::tempdir().unwrap();
    let vault = || Passphrase::open(folder.path().join("vault"), "correct horse");
    let options = |vault| Options::new(folder.path().join("store"), vault);
    let alcove = Alcove::open(options(vault().unwrap())).await.unwrap();
    alcove.journal().add(entry(0, "behind a passphrase")).await.unwrap();
    drop(alcove);
    assert_eq!(
        bodies(&Alcove::open(options(vault().unwrap())).await.unwrap()).await,
        ["behind a passphrase"]
    );
    let wrong = Passphrase::open(folder.path().join("vault"), "wrong horse").err();
    assert_eq!(wrong, Some(VaultError::WrongPassphrase));

    /// A platform whose device is locked.
    struct Locked;
    impl KeyVault for Locked {
        fn load(&self, _: VaultKey) -> Result<Option<Vec<u8>>, VaultError> {
            Err(VaultError::Locked)
        }
        fn save(&self, _: VaultKey, _: Vec<u8>) -> Result<(), VaultError> {
            Err(VaultError::Locked)
        }
        fn erase(&self) -> Result<(), VaultError> {
            Err(VaultError::Locked)
        }
    }
    let locked = Alcove::open(Options::new(folder.path().join("store"), Locked)).await;
    assert!(matches!(locked, Err(Error::Vault(VaultError::Locked))));
    let memory = Alcove::open(Options::new(folder.path().join("other"), InMemory::default())).await.unwrap();
    memory.journal().add(entry(0, "gone with the test")).await.unwrap();
}

/// A store of every version that there ever was opens, with everything in it. `tests/stores/README.md` says how they were made.
#[tokio::test]
async fn stores_of_earlier_versions_open() {
    let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
    let mut versions = 0;
    for version in 1.. {
        let fixture = stores.join(format!("v{version}"));
        if !fixture.exists() {
            break;
        }
        versions += 1;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        std::fs::copy(fixture.join("alcove.db"), folder.path().join("store/alcove.db")).unwrap();
        std::fs::copy(fixture.join("keys"), folder.path().join("keys")).unwrap();
        let alcove = open(folder.path()).await.unwrap();
        assert_eq!(bodies(&alcove).await, ["the newest, edited", "the oldest"], "version {version}");
        let moods = alcove.moods().list(Query::default()).await.unwrap();
        assert_eq!(moods[0].value.note, "a mood", "version {version}");
        assert_eq!(alcove.records::<Dream>().one("tonight").await.unwrap().unwrap().value.text, "a dream");
        alcove.journal().add(entry(3_000, "written since")).await.unwrap();
        alcove.check().await.unwrap();
    }
    let sql = rusqlite::Connection::open(stores.join(format!("v{versions}/alcove.db"))).unwrap();
    let newest: i64 = sql.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(newest, versions, "a fixture of the version of now is missing");
}

/// Makes the fixture of this version: `cargo test -p alcove-sdk --test store make_a_fixture -- --ignored`.
#[tokio::test]
#[ignore = "only when the version of the store changes"]
async fn make_a_fixture() {
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    alcove.journal().add(entry(1_000, "the oldest")).await.unwrap();
    let id = alcove.journal().add(entry(2_000, "the newest")).await.unwrap();
    alcove.journal().update(id, |entry| entry.body.push_str(", edited")).await.unwrap();
    let gone = alcove.journal().add(entry(3_000, "deleted")).await.unwrap();
    alcove.journal().delete(gone).await.unwrap();
    let mut mood = Mood::new(When::utc(1_000), 4, 5);
    mood.note = "a mood".into();
    alcove.moods().add(mood).await.unwrap();
    alcove
        .records::<Dream>()
        .set_one("tonight", Dream { text: "a dream".into(), lucid: None })
        .await
        .unwrap();
    drop(alcove);
    let file = folder.path().join("store/alcove.db");
    let sql = rusqlite::Connection::open(&file).unwrap();
    sql.execute_batch("PRAGMA journal_mode = DELETE; VACUUM;").unwrap();
    let version: i64 = sql.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    drop(sql);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stores/v{version}"));
    std::fs::create_dir_all(&fixture).unwrap();
    std::fs::copy(file, fixture.join("alcove.db")).unwrap();
    std::fs::copy(folder.path().join("keys"), fixture.join("keys")).unwrap();
}

/// An app may call from any thread, and hand any call to another.
#[tokio::test]
async fn everything_can_go_to_another_thread() {
    fn is_free<T: Send + Sync>() {}
    fn may_move<T: Send>(_: &T) {}
    is_free::<Alcove>();
    is_free::<alcove_sdk::Records<JournalEntry>>();
    is_free::<alcove_sdk::AccountHandle>();
    is_free::<alcove_sdk::sync::Sync>();
    is_free::<alcove_sdk::sync::BackgroundSync>();
    is_free::<Error>();
    let folder = tempfile::tempdir().unwrap();
    let alcove = open(folder.path()).await.unwrap();
    let (journal, account, sync) = (alcove.journal(), alcove.account(), alcove.sync());
    let mut changes = alcove.observe();
    may_move(&journal.add(entry(0, "")));
    may_move(&journal.list(Query::default()));
    may_move(&sync.now());
    may_move(&sync.merge_fork());
    may_move(&account.sign_up("", "", "", None));
    may_move(&account.log_in("", "", "", alcove_sdk::LocalData::Ask));
    may_move(&account.revoke("", ""));
    may_move(&account.invite_device());
    may_move(&changes.next());
    may_move(&Alcove::open(Options::new(folder.path(), InMemory::default())));
}
