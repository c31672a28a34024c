//! The SDK's budgets: a store on disk, and devices that sync over loopback with a server in a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alcove_sdk::vault::{InMemory, KeyFile};
use alcove_sdk::{Alcove, JournalEntry, LocalData, Observed, Options, Query, When};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::row::{Budget, FEW, Row};

/// Records of a first sync, and of one page.
const RECORDS: usize = 10_000;
const PAGE: usize = 1_000;
/// A sealed record of 1 KiB.
const RECORD_LEN: usize = 1024 + 73;
/// Syncs that find nothing, for the processor's time of one.
const NO_OPS: u32 = 500;
const PASSWORD: &str = "correct horse battery";

pub(crate) fn rows(quick: bool) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let mut rows = vec![writes(&runtime)];
    rows.extend(openings(&runtime, quick));
    let served = Served::start();
    rows.push(first_sync(&runtime, served.address));
    rows.extend(live(&runtime, served.address));
    rows
}

/// What the child process does: opens a store, asks it one thing, and says how long that took and what it holds.
pub(crate) fn open_and_tell(folder: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let begun = Instant::now();
    let took = runtime.block_on(async {
        let alcove = open_at(Path::new(folder)).await;
        let newest = alcove.journal().list(Query::default().limit(20)).await.expect("entries");
        assert_eq!(newest.len(), 20);
        begun.elapsed()
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    println!("{} {}", took.as_secs_f64() * 1e3, peak.trim().trim_end_matches(" kB").trim());
}

async fn open_at(folder: &Path) -> Alcove {
    let options = Options::new(folder.join("store"), KeyFile::new(folder.join("keys")));
    Alcove::open(options).await.expect("a store")
}

/// An entry as people write them, in a record of 1 KiB.
fn entry(number: usize) -> JournalEntry {
    let words = ["walked", "along", "the", "river", "and", "thought", "of", "nothing", "much", "today"];
    let body: Vec<&str> = (0..110).map(|at| words[(at * 7 + number) % words.len()]).collect();
    let unix_ms = 1_700_000_000_000 + i64::try_from(number).expect("a few") * 3_600_000;
    let mut entry = JournalEntry::new(When::utc(unix_ms), body.join(" "));
    entry.tags = [words[number % 10].to_owned()].into();
    entry
}

fn writes(runtime: &Runtime) -> Row {
    let folder = tempfile::tempdir().expect("a folder");
    let mut times = runtime.block_on(async {
        let alcove = open_at(folder.path()).await;
        alcove.journal().add_all((0..RECORDS).map(entry).collect()).await.expect("entries");
        let mut times = Vec::new();
        for number in 0..301 {
            let begun = Instant::now();
            alcove.journal().add(entry(number)).await.expect("an entry");
            times.push(begun.elapsed());
        }
        times
    });
    Row::limited("local write, durable (median)", "ms", median(&mut times), 2.0)
}

fn openings(runtime: &Runtime, quick: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for (records, time_name, time_max, memory_name, memory_max) in [
        (20_000, "open 20,000 entries, first query", 250.0, "memory with 20,000 entries", 80.0),
        (100_000, "open 100,000 entries, first query", 1_500.0, "memory with 100,000 entries", 300.0),
    ] {
        if quick && records > 20_000 {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        runtime.block_on(async {
            let alcove = open_at(folder.path()).await;
            for part in 0..records / RECORDS {
                let entries = (part * RECORDS..(part + 1) * RECORDS).map(entry);
                alcove.journal().add_all(entries.collect()).await.expect("entries");
            }
        });
        let (mut times, mut memory) = (Vec::new(), 0.0_f64);
        for _ in 0..FEW {
            let output = Command::new(std::env::current_exe().expect("this program"))
                .arg("open")
                .arg(folder.path())
                .output()
                .expect("a process");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let (took, peak) = text.trim().split_once(' ').unwrap_or_else(|| panic!("{output:?}"));
            times.push(Duration::from_secs_f64(took.parse::<f64>().expect("a time") / 1e3));
            memory = memory.max(peak.parse::<f64>().expect("kilobytes") / 1024.0);
        }
        rows.push(Row::limited(time_name, "ms", median(&mut times), time_max));
        rows.push(Row::limited(memory_name, "MiB", memory, memory_max));
    }
    rows
}

/// This program itself as a server, without limits of rate; it ends with this value.
struct Served {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port");
        let limits =
            ["REQUESTS_PER_MINUTE", "ACCOUNT_REQUESTS_PER_MINUTE", "LOGINS_PER_MINUTE", "LOGINS_PER_HOUR"];
        let child = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            .env("ALCOVE_SERVER_LISTEN", address.to_string())
            .envs(limits.map(|limit| (format!("ALCOVE_LIMITS_{limit}"), "0")))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { child, address, _folder: folder }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A device of somebody's account; the first one founds it.
async fn device(folder: &Path, server: SocketAddr, name: &str, founds: bool) -> Alcove {
    let alcove = Alcove::open(Options::new(folder, InMemory::default())).await.expect("a store");
    let (server, account) = (format!("http://{server}"), alcove.account());
    if founds {
        account.sign_up(&server, name, PASSWORD, None).await.expect("an account");
    } else {
        account.log_in(&server, name, PASSWORD, LocalData::Discard).await.expect("a login");
        account.confirm_view().await.expect("a view");
    }
    alcove
}

fn first_sync(runtime: &Runtime, server: SocketAddr) -> Row {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fresh: Vec<Alcove> = runtime.block_on(async {
        let writer = device(&folder.path().join("writer"), server, "large", true).await;
        writer.journal().add_all((0..RECORDS).map(entry).collect()).await.expect("entries");
        writer.sync().now().await.expect("a sync");
        let mut fresh = Vec::new();
        for number in 0..=FEW {
            fresh.push(device(&folder.path().join(format!("fresh{number}")), server, "large", false).await);
        }
        fresh
    });
    let ours = || {
        let device = fresh.pop().expect("a fresh device");
        let report = runtime.block_on(device.sync().now()).expect("a sync");
        assert!(report.received >= RECORDS, "{report:?}");
    };
    let plain = runtime.block_on(plain_pages());
    let mut number = 0;
    let baseline = || {
        number += 1;
        runtime.block_on(read_and_insert(plain, &folder.path().join(format!("plain{number}.db"))));
    };
    Row::measure(
        "first sync, verified and stored",
        "records/s",
        RECORDS as f64,
        Budget::ThroughputAtLeast(0.7),
        FEW,
        "reading the same bytes over HTTP and inserting them",
        ours,
        baseline,
    )
}

/// Serves pages of random bytes, as long as sealed records are.
async fn plain_pages() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let body: Vec<u8> = (0..PAGE * RECORD_LEN).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let answer =
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while matches!(stream.read(&mut request).await, Ok(1..)) {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The least that anybody could do: no key, no check, the same durability.
async fn read_and_insert(server: SocketAddr, file: &Path) {
    let mut stream = TcpStream::connect(server).await.expect("the pages");
    let mut database = rusqlite::Connection::open(file).expect("a database");
    database
        .execute_batch(
            "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             CREATE TABLE records (slot BLOB PRIMARY KEY, seq INTEGER NOT NULL, bytes BLOB NOT NULL);",
        )
        .expect("a table");
    let mut buffer = vec![0; PAGE * RECORD_LEN + 1024];
    for page in 0..RECORDS / PAGE {
        stream.write_all(b"GET /page HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a request");
        let (mut filled, mut whole) = (0, usize::MAX);
        while filled < whole {
            filled += stream.read(&mut buffer[filled..]).await.expect("an answer");
            if whole == usize::MAX
                && let Some(end) = buffer[..filled].windows(4).position(|part| part == b"\r\n\r\n")
            {
                whole = end + 4 + PAGE * RECORD_LEN;
            }
        }
        let transaction = database.transaction().expect("a transaction");
        let mut insert = transaction
            .prepare_cached("INSERT INTO records (slot, seq, bytes) VALUES (?1, ?2, ?3)")
            .expect("SQL");
        for (number, record) in buffer[whole - PAGE * RECORD_LEN..whole].chunks(RECORD_LEN).enumerate() {
            let id = ((page * PAGE + number) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            insert
                .execute((&id.to_be_bytes()[..], i64::try_from(number).unwrap_or(0), record))
                .expect("a row");
        }
        drop(insert);
        transaction.commit().expect("a commit");
    }
}

/// Two devices that are up: how soon one sees what the other wrote, and what it costs to find nothing new.
fn live(runtime: &Runtime, server: SocketAddr) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let phone = device(&folder.path().join("phone"), server, "live", true).await;
        phone.sync().now().await.expect("a sync");
        let tablet = device(&folder.path().join("tablet"), server, "live", false).await;
        tablet.sync().now().await.expect("a sync");
        let mut times = Vec::new();
        let mut changes = tablet.journal().observe();
        for number in 0..51 {
            let begun = Instant::now();
            phone.journal().add(entry(number)).await.expect("an entry");
            phone.sync().now().await.expect("a sync");
            tablet.sync().now().await.expect("a sync");
            assert!(matches!(changes.next().await, Observed::Change(_)));
            times.push(begun.elapsed());
        }
        let before = cpu_ms();
        for _ in 0..NO_OPS {
            tablet.sync().now().await.expect("a sync");
        }
        let each = (cpu_ms() - before) / f64::from(NO_OPS);
        vec![
            Row::limited("written here, seen there (median)", "ms", median(&mut times), 50.0),
            Row::limited("CPU of a sync that finds nothing", "ms", each, 1.0),
        ]
    })
}

/// Time of the processor that this process has used.
fn cpu_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()));
    nanos.sum::<f64>() / 1e6
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
