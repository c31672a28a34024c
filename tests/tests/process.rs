//! Goal: the real program survives what happens to programs: it is killed, its disk fills, its database goes away, its
//! memory is small. What it acknowledged is there afterwards.

use std::process::Command;
use std::time::Duration;

use alcove_crypto::ids::SlotId;
use alcove_protocol::spaces::Spaces;
use alcove_protocol::{ErrorCode, endpoint};
use alcove_tests::client::{Api, Device, Person, Refused};
use alcove_tests::postgres::Postgres;
use alcove_tests::process::{Server, Setup};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

fn setups() -> Vec<Setup> {
    let postgres = Postgres::shared().map(|postgres| Setup::new().with("DATABASE_URL", postgres.database()));
    std::iter::once(Setup::new()).chain(postgres).collect()
}

fn slot(number: u64) -> SlotId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    SlotId::new(id)
}

async fn somebody(name: &str, server: &Server, rng: &mut StdRng) -> (Person, Device, Api) {
    Person::join(name, &[server.origin()], rng).await.unwrap()
}

/// Pushes until the server goes away. What was sent last may or may not have been taken.
async fn push_until_cut(device: &mut Device, api: &mut Api, rng: &mut StdRng) -> Refused {
    loop {
        let text = vec![7; usize::try_from(rng.next_u64() % 3000).unwrap()];
        let number = rng.next_u64() % 30;
        let content = (!number.is_multiple_of(5)).then_some(&text[..]);
        match device.push(api, &[(slot(number), content), (slot(number + 100), Some(b"more"))], rng).await {
            Ok(_) => {}
            Err(refused) => return refused,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    for setup in setups() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut server = setup.start();
        let mut people = vec![];
        for number in 0..6 {
            people.push(somebody(&format!("anna{number}"), &server, &mut rng).await);
        }
        for round in 0..5_u64 {
            let mut tasks = tokio::task::JoinSet::new();
            for (number, (person, mut device, mut api)) in (0..).zip(people.drain(..)) {
                let mut rng = StdRng::seed_from_u64(round * 100 + number);
                tasks.spawn(async move {
                    push_until_cut(&mut device, &mut api, &mut rng).await;
                    (person, device, api)
                });
            }
            tokio::time::sleep(Duration::from_millis(150 + rng.next_u64() % 400)).await;
            server.kill();
            people = tasks.join_all().await;
            server = setup.start();
            for (_, device, api) in &mut people {
                let acknowledged = device.chain.at().seq;
                device.sign_in(api).await.unwrap();
                // What is there follows what was acknowledged; at most the one that was under way came on top.
                let pulled = device.pull(api, false, None).await.unwrap();
                let seq = device.chain.at().seq;
                assert!(
                    pulled.commits <= 1 && seq > 0,
                    "round {round}: {acknowledged} acknowledged, now {seq}"
                );
                let mut afresh = device.afresh();
                afresh.pull(api, false, None).await.unwrap();
                assert!(afresh.records == device.records);
            }
        }
        let commits: u64 = people.iter().map(|(_, device, _)| device.chain.at().seq).sum();
        assert!(commits > 60, "the test pushed next to nothing: {commits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_finishes_what_it_accepted() {
    for setup in setups() {
        let mut rng = StdRng::seed_from_u64(3);
        let server = setup.start();
        let (_, mut device, mut api) = somebody("anna", &server, &mut rng).await;
        let pushing = tokio::spawn(async move {
            push_until_cut(&mut device, &mut api, &mut rng).await;
            device
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let status = tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
        assert!(status.success());
        let mut device = pushing.await.unwrap();
        let server = setup.start();
        let mut api = Api::new(&[server.origin()]);
        device.sign_in(&mut api).await.unwrap();
        // In good order means that nothing was taken without an answer.
        assert_eq!(device.pull(&mut api, false, None).await.unwrap().commits, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_and_returns_needs_no_restart() {
    let Some(postgres) = Postgres::start_own() else { return };
    let mut rng = StdRng::seed_from_u64(3);
    let setup = Setup::new().with("DATABASE_URL", postgres.database());
    let server = setup.start();
    let (_, mut device, mut api) = somebody("anna", &server, &mut rng).await;
    device.push(&mut api, &[(slot(1), Some(b"one"))], &mut rng).await.unwrap();
    postgres.stop();
    let refused = device.push(&mut api, &[(slot(2), Some(b"two"))], &mut rng).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.retry_after.is_some());
    assert_eq!(api.send("GET", "/ready", None, vec![]).await.unwrap_err().status.unwrap(), 503);
    assert!(api.send("GET", "/health", None, vec![]).await.is_ok());
    postgres.start();
    let mut tries = 0;
    while device.push(&mut api, &[(slot(2), Some(b"two"))], &mut rng).await.is_err() {
        tries += 1;
        assert!(tries < 100, "it does not come back:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut afresh = device.afresh();
    afresh.pull(&mut api, false, None).await.unwrap();
    assert!(afresh.records == device.records && afresh.records.len() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_to_the_database_is_enough_for_many_clients() {
    let Some(postgres) = Postgres::shared() else { return };
    let mut rng = StdRng::seed_from_u64(3);
    let setup =
        Setup::new().with("DATABASE_URL", postgres.database()).with("ALCOVE_DATABASE_CONNECTIONS_MAX", "1");
    let server = setup.start();
    let (_, device, _) = somebody("anna", &server, &mut rng).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (mut device, origin) = (device.copy(), server.origin());
        tasks.spawn(async move {
            let mut api = Api::new(&[origin]);
            for _ in 0..5 {
                device.pull(&mut api, false, None).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
}

/// A file system of a few MiB, which goes with the test.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(&path).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        eprintln!("a small disk cannot be mounted here: files that may not grow stand in for it");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_survived_without_restart() {
    let setup = Setup::new();
    let disk = SmallDisk::mount(setup.path("disk"));
    let setup = match &disk {
        Some(disk) => setup.with("DATABASE_URL", format!("sqlite:{}", disk.0.join("alcove.db").display())),
        // 8192 blocks of 512 bytes.
        None => setup.under(&["sh", "-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""]),
    };
    let mut rng = StdRng::seed_from_u64(3);
    let server = setup.start();
    let (_, mut device, mut api) = somebody("anna", &server, &mut rng).await;
    let ballast = disk.as_ref().map(|disk| disk.0.join("ballast"));
    if let Some(ballast) = &ballast {
        std::fs::write(ballast, vec![1; 2 << 20]).unwrap();
    }
    let text = vec![7; 200 * 1024];
    let mut number = 0;
    let refused = loop {
        number += 1;
        assert!(number < 100, "the disk is larger than it should be");
        if let Err(refused) = device.push(&mut api, &[(slot(number), Some(&text))], &mut rng).await {
            break refused;
        }
    };
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.retry_after.is_some(), "{refused:?}");
    // What was acknowledged is read while the disk is full.
    let mut afresh = device.afresh();
    afresh.pull(&mut api, false, None).await.unwrap();
    assert!(afresh.records == device.records);
    let Some(ballast) = ballast else { return };
    std::fs::remove_file(ballast).unwrap();
    device.push(&mut api, &[(slot(number), Some(&text))], &mut rng).await.unwrap();
    let mut afresh = device.afresh();
    afresh.pull(&mut api, false, None).await.unwrap();
    assert!(afresh.records == device.records);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_said() {
    let Some(postgres) = Postgres::shared() else { return };
    let mut rng = StdRng::seed_from_u64(3);
    let url = postgres.database();
    let setup = Setup::new().with("DATABASE_URL", &url);
    let server = setup.start();
    let (_, mut device, mut api) = somebody("anna", &server, &mut rng).await;
    // As on a node that has become a standby.
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let name = url.rsplit('/').next().unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("ALTER DATABASE {name} SET default_transaction_read_only = on")))
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'alcove-server' AND datname = current_database()").execute(&pool).await.unwrap();
    let mut codes = vec![];
    for _ in 0..5 {
        codes.push(device.push(&mut api, &[(slot(1), Some(b"one"))], &mut rng).await.unwrap_err().code());
    }
    assert_eq!(codes, vec![ErrorCode::Unavailable; 5]);
    assert!(device.pull(&mut api, false, None).await.is_ok());
}

/// Large pushes and pulls from many clients at once, in a process that may have 256 MiB of data.
#[tokio::test(flavor = "multi_thread")]
async fn a_heavy_load_fits_into_256_mib() {
    for setup in setups() {
        let setup = setup.under(&["prlimit", "--data=268435456"]);
        let mut rng = StdRng::seed_from_u64(3);
        let server = setup.start();
        let mut people = vec![];
        for number in 0..12 {
            people.push(somebody(&format!("anna{number}"), &server, &mut rng).await);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for (number, (_, mut device, mut api)) in (0..).zip(people) {
            let mut rng = StdRng::seed_from_u64(number);
            tasks.spawn(async move {
                let long = vec![7; 250 * 1024];
                for round in 0..6_u64 {
                    let changes: Vec<_> =
                        (0..15).map(|i| (slot(i + round % 2 * 15), Some(&long[..]))).collect();
                    let prepared = device.prepare(&changes, &mut rng);
                    let pushed = loop {
                        match device.send(&mut api, &prepared.request).await {
                            Ok(pushed) => break pushed,
                            Err(refused) => assert_eq!(refused.code(), ErrorCode::Unavailable, "{refused:?}"),
                        }
                    };
                    device.acknowledge(prepared, &pushed);
                    let mut afresh = device.afresh();
                    afresh.pull(&mut api, round % 2 == 0, None).await.unwrap();
                    assert!(afresh.records == device.records);
                }
            });
        }
        tasks.join_all().await;
        let peak = server.memory_peak_kib();
        println!("peak of {peak} KiB");
        assert!(peak > 0 && peak < 256 * 1024, "{peak} KiB");
    }
}

/// Two nodes, one killed: the other goes on, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_not_missed() {
    let Some(postgres) = Postgres::shared() else { return };
    let mut rng = StdRng::seed_from_u64(3);
    let one = Setup::new().with("DATABASE_URL", postgres.database());
    let two = one.another();
    let (first, second) = (one.start(), two.start());
    let (_, mut device, mut api) = somebody("anna", &first, &mut rng).await;
    let mut other = Api::new(&[second.origin()]);
    for number in 0..5 {
        device.push(&mut api, &[(slot(number), Some(b"x"))], &mut rng).await.unwrap();
        device.push(&mut other, &[(slot(number + 10), Some(b"y"))], &mut rng).await.unwrap();
    }
    first.kill();
    let mut afresh = device.afresh();
    afresh.pull(&mut other, false, None).await.unwrap();
    assert!(afresh.records == device.records);
    device.push(&mut other, &[(slot(99), Some(b"z"))], &mut rng).await.unwrap();
    let _: Spaces = other.call(endpoint::SPACES, None, device.token.as_deref(), &()).await.unwrap();
}
