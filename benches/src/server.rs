//! The server's budgets: over HTTP on loopback, durable, each beside its baseline.
//!
//! Requests are made before the clock starts: what is measured is the server, with a client that costs next to nothing. The
//! server and its clients share the machine's cores.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alcove_crypto::account::keys::DeviceSecret;
use alcove_crypto::ids::{AccountId, CommitHash, Head, SlotId, SpaceId};
use alcove_crypto::space::commit::Commit;
use alcove_protocol::spaces::{PushRequest, SlotChange};
use alcove_protocol::{Bytes, Encoding, endpoint};
use alcove_server::app::App;
use alcove_server::clock::Clock;
use alcove_server::config::{Config, DatabaseUrl};
use alcove_server::secrets::Secrets;
use alcove_server::store::{
    self, AccountRow, Change, ListedDevice, NameHash, NewAccount, NewSpace, Options, Position, PullFrom,
    Push, SpaceAccess, Store, StoredCredentials,
};
use alcove_server::tokens::{Bearer, Token, Tokens};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::row::{Budget, FEW, Row};

/// Records of one client's upload, and of one push.
const RECORDS: u64 = 10_000;
const PUSH: u64 = 1_000;
/// A sealed record of 1 KiB.
const RECORD_LEN: usize = 1024 + 73;
/// Accounts that push at once, and what each pushes.
const ACCOUNTS: u8 = 50;
const EACH: u64 = 60;
/// Changes that a pull brings.
const CHANGES: u64 = 100;

pub(crate) fn rows(quick: bool) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let many = if quick { 100_000 } else { 1_000_000 };
    let mut rows = vec![upload(&runtime), pull(&runtime, many)];
    rows.extend(single_pushes(&runtime));
    rows.extend(process());
    rows
}

/// A server with accounts, each with a device's token and a space.
struct Served {
    store: Arc<dyn Store>,
    address: SocketAddr,
    tokens: Vec<String>,
    _folder: tempfile::TempDir,
}

fn account(number: u8) -> AccountId {
    AccountId::new([number; 16])
}

fn space(number: u8) -> SpaceId {
    SpaceId::new([number; 16])
}

impl Served {
    async fn start(group_max: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.limits.requests_per_minute = 0;
        config.limits.account_requests_per_minute = 0;
        let metrics = Arc::default();
        let options = Options { group_max, metrics: Arc::clone(&metrics), ..Options::default() };
        let url = DatabaseUrl::Sqlite(folder.path().join("alcove.db"));
        let store = store::open(&url, &options).await.expect("a database");
        let secrets = Secrets::make().expect("randomness");
        let (issuer, now_s) = (Tokens::new(&secrets).expect("keys"), Clock::default().now_s());
        let mut tokens = vec![];
        for number in 0..ACCOUNTS {
            let device = make_account(store.as_ref(), number).await;
            let bearer = Bearer::Device { device, sessions: 0 };
            tokens
                .push(issuer.issue(&Token { account: account(number), account_sessions: 0, bearer }, now_s));
        }
        let app = App::new(store.clone(), secrets, config, Clock::default(), metrics).expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(alcove_server::serve::serve(listener, app, None, std::future::pending()));
        Self { store, address, tokens, _folder: folder }
    }

    fn request(&self, number: u8, body: &[u8]) -> Vec<u8> {
        let path = endpoint::PUSH.path.replace("{space}", &base64(space(number).as_bytes()));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/cbor\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
            self.tokens[usize::from(number)],
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

fn base64(id: &[u8; 16]) -> String {
    let quoted = Encoding::Json.encode(&Bytes(id.to_vec()));
    String::from_utf8_lossy(&quoted).trim_matches('"').to_owned()
}

async fn make_account(store: &dyn Store, number: u8) -> alcove_crypto::ids::DeviceId {
    let device = DeviceSecret::make(&mut StdRng::seed_from_u64(number.into())).public();
    let listed = ListedDevice { device: device.id(), signing_key: device.signing, revoked: false };
    let row = AccountRow {
        account: account(number),
        name: NameHash([number; 32]),
        version: 1,
        sessions: 0,
        created_day: 0,
        quota_bytes: 1 << 40,
        quota_records: 1 << 40,
    };
    let credentials = StoredCredentials { version: 1, set: vec![] };
    let new = NewAccount { row, states: vec![vec![1]], credentials, devices: vec![listed], event: None };
    store.create_account(Arc::new(new)).await.expect("an account");
    make_space(store, number).await;
    device.id()
}

async fn make_space(store: &dyn Store, number: u8) {
    let access = SpaceAccess::owner(&account(number));
    let new = NewSpace { space: space(number), access, quota_bytes: 1 << 40, quota_records: 1 << 40 };
    store.create_space(new).await.expect("a space");
}

fn slot(number: u64) -> SlotId {
    // Slots are random: spread them, always in the same way.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    SlotId::new(id)
}

/// Commits that follow each other, with the slots that each writes.
struct Chain {
    space: SpaceId,
    head: Head,
    seq: u64,
    next: u64,
}

impl Chain {
    fn new(number: u8) -> Self {
        Self { space: space(number), head: Head::start(&space(number)), seq: 0, next: 0 }
    }

    /// The bytes of the next commit, and the slots for so many new records.
    fn commit(&mut self, records: u64) -> (Vec<u8>, Vec<SlotId>) {
        self.seq += 1;
        let header = [7; 329];
        let commit = Commit { space: self.space, seq: self.seq, epoch: 1, prev: self.head, header: &header }
            .to_bytes();
        self.head = self.head.after(&CommitHash::of(&commit));
        self.next += records;
        (commit, (self.next - records..self.next).map(slot).collect())
    }

    fn request(&mut self, records: u64) -> Vec<u8> {
        let (commit, slots) = self.commit(records);
        let change = |slot: SlotId| SlotChange {
            slot: slot.into(),
            epoch: 1,
            record: Some(Bytes(vec![7; RECORD_LEN])),
        };
        Encoding::Cbor
            .encode(&PushRequest { commit: Bytes(commit), changes: slots.into_iter().map(change).collect() })
    }

    /// Past HTTP, to fill a database.
    async fn push(&mut self, store: &dyn Store, access: SpaceAccess, records: u64) {
        let (prev, seq) = (self.head, self.seq + 1);
        let (commit, slots) = self.commit(records);
        let hash = CommitHash::of(&commit);
        let change = |slot| Change { slot, epoch: 1, record: Some(vec![7; RECORD_LEN]) };
        let changes = slots.into_iter().map(change).collect();
        let push =
            Push { space: self.space, access, seq, prev, head: self.head, hash, commit, day: 1, changes };
        store.push(Arc::new(push)).await.expect("a push");
    }
}

/// One client uploads 10,000 records, in pushes of 1,000.
fn upload(runtime: &Runtime) -> Row {
    let served = runtime.block_on(Served::start(256));
    let mut chain = Chain::new(0);
    let mut rounds: Vec<Vec<_>> = (0..=FEW)
        .map(|_| (0..RECORDS / PUSH).map(|_| served.request(0, &chain.request(PUSH))).collect())
        .collect();
    rounds.reverse();
    let mut client = runtime.block_on(Client::connect(served.address));
    let ours = || {
        let requests = rounds.pop().expect("a round");
        runtime.block_on(async {
            for request in &requests {
                client.succeed(request).await;
            }
        });
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut plain = Plain::open(&folder.path().join("plain.db"));
    Row::measure(
        "push 10,000 records of 1 KiB",
        "records/s",
        RECORDS as f64,
        Budget::ThroughputAtLeast(0.7),
        FEW,
        "a plain loop over the same tables",
        ours,
        || plain.upload(),
    )
}

/// What somebody would write who wants no HTTP and no server: prepared statements over the same tables, durable.
struct Plain {
    connection: rusqlite::Connection,
    chain: Chain,
}

impl Plain {
    fn open(path: &Path) -> Self {
        let connection = rusqlite::Connection::open(path).expect("a database");
        let pragmas = "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
        connection.execute_batch(pragmas).expect("pragmas");
        connection.execute_batch(include_str!("../../migrations/sqlite/0001_first.sql")).expect("tables");
        let space = Chain::new(0);
        let make = "INSERT INTO spaces VALUES (?1, ?1, 0, ?1, 0, 0, 0, 0, 0, 1, 0)";
        connection.execute(make, [&space.space.as_bytes()[..]]).expect("a space");
        Self { connection, chain: space }
    }

    fn upload(&mut self) {
        let record = vec![7_u8; RECORD_LEN];
        for _ in 0..RECORDS / PUSH {
            let (commit, slots) = self.chain.commit(PUSH);
            let transaction = self.connection.transaction().expect("a transaction");
            {
                let id = &self.chain.space.as_bytes()[..];
                let seq = i64::try_from(self.chain.seq).expect("a number");
                let add = "INSERT INTO commits (space, seq, hash, day, body) VALUES (?1, ?2, ?3, 1, ?4)";
                let mut add = transaction.prepare_cached(add).expect("a statement");
                add.execute(rusqlite::params![id, seq, &commit[..32], &commit[..]]).expect("a commit");
                let set = "INSERT INTO slots (space, slot, seq, epoch, record) VALUES (?1, ?2, ?3, 1, ?4)";
                let mut set = transaction.prepare_cached(set).expect("a statement");
                for slot in slots {
                    set.execute(rusqlite::params![id, &slot.as_bytes()[..], seq, &record[..]])
                        .expect("a record");
                }
                let step = "UPDATE spaces SET seq = ?2, bytes = bytes + 1 WHERE space = ?1";
                transaction
                    .prepare_cached(step)
                    .expect("a statement")
                    .execute(rusqlite::params![id, seq])
                    .expect("a space");
            }
            transaction.commit().expect("a commit");
        }
    }
}

/// 50 accounts push single records: grouped, and one transaction a request.
fn single_pushes(runtime: &Runtime) -> Vec<Row> {
    let mut grouped = Crowd::start(runtime, 256);
    let mut alone = Crowd::start(runtime, 1);
    let row = Row::measure(
        "50 accounts, single pushes",
        "pushes/s",
        f64::from(ACCOUNTS) * EACH as f64,
        Budget::ThroughputAtLeast(5.0),
        FEW,
        "one transaction a request",
        || grouped.push(None),
        || alone.push(None),
    );
    let per_second = row.figure();
    let gap = Duration::from_secs_f64(f64::from(ACCOUNTS) / (per_second / 2.0));
    grouped.latencies.clear();
    for _ in 0..3 {
        grouped.push(Some(gap));
    }
    grouped.latencies.sort_unstable();
    let p99 = grouped.latencies[grouped.latencies.len() * 99 / 100];
    vec![row, Row::limited("p99 of a push at half that load", "ms", p99.as_secs_f64() * 1e3, 10.0)]
}

struct Crowd<'r> {
    runtime: &'r Runtime,
    served: Served,
    people: Vec<(u8, Chain, Option<Client>)>,
    latencies: Vec<Duration>,
}

impl<'r> Crowd<'r> {
    fn start(runtime: &'r Runtime, group_max: usize) -> Self {
        let served = runtime.block_on(Served::start(group_max));
        let people = (0..ACCOUNTS).map(|number| (number, Chain::new(number), None)).collect();
        Self { runtime, served, people, latencies: vec![] }
    }

    /// Each pushes its share; as fast as it can, or one each so long, whether the one before is done or not: then the latency
    /// counts from when it should have begun.
    fn push(&mut self, gap: Option<Duration>) {
        let mut all: Vec<_> = self
            .people
            .drain(..)
            .map(|(number, mut chain, client)| {
                let requests: Vec<_> =
                    (0..EACH).map(|_| self.served.request(number, &chain.request(1))).collect();
                (number, chain, client, requests)
            })
            .collect();
        let address = self.served.address;
        let (people, latencies): (Vec<_>, Vec<_>) = self.runtime.block_on(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for (number, chain, client, requests) in all.drain(..) {
                tasks.spawn(async move {
                    let mut client = match client {
                        Some(client) => client,
                        None => Client::connect(address).await,
                    };
                    let offset = gap.unwrap_or_default().mul_f64(f64::from(number) / f64::from(ACCOUNTS));
                    let begun = Instant::now() + offset;
                    let mut latencies = vec![];
                    for (i, request) in (0..).zip(&requests) {
                        let due = gap.map_or_else(Instant::now, |gap| begun + gap * i);
                        tokio::time::sleep_until(due.into()).await;
                        client.succeed(request).await;
                        latencies.push(due.elapsed());
                    }
                    ((number, chain, Some(client)), latencies)
                });
            }
            tasks.join_all().await.into_iter().unzip()
        });
        self.people = people;
        self.latencies.extend(latencies.into_iter().flatten());
    }
}

/// A pull of 100 changes from a space with a thousand records, and from one with a million.
fn pull(runtime: &Runtime, many: u64) -> Row {
    let served = runtime.block_on(Served::start(256));
    let fill = |number: u8, records: u64| {
        runtime.block_on(async {
            let access = SpaceAccess::owner(&account(number));
            let mut chain = Chain::new(number);
            for _ in 0..records / PUSH {
                chain.push(served.store.as_ref(), access, PUSH).await;
            }
            let after = chain.seq;
            for _ in 0..CHANGES {
                chain.push(served.store.as_ref(), access, 1).await;
            }
            PullFrom {
                space: space(number),
                access,
                after,
                position: Position::start(after, false),
                bytes_max: 1 << 22,
            }
        })
    };
    let (small, large) = (fill(0, 1_000), fill(1, many));
    let pull = |from: &PullFrom| {
        for _ in 0..20 {
            let page = runtime.block_on(served.store.pull(from.clone())).expect("a page");
            assert_eq!((page.slots.len() as u64, page.next), (CHANGES, None));
        }
    };
    let name =
        if many == 1_000_000 { "pull 100 changes of 1,000,000" } else { "pull 100 changes of 100,000" };
    Row::measure(
        name,
        "pulls/s",
        20.0,
        Budget::TimeAtMost(1.5),
        crate::row::MANY,
        "the same from 1,000 records",
        || pull(&large),
        || pull(&small),
    )
}

/// What only a process shows: this program itself, as a server.
fn process() -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a folder");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    #[expect(clippy::zombie_processes, reason = "whoever starts it kills and waits")]
    let start = || {
        let begun = Instant::now();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            .env("ALCOVE_SERVER_LISTEN", format!("127.0.0.1:{port}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        loop {
            if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
                use std::io::{Read, Write};
                stream
                    .write_all(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                    .expect("a request");
                let mut answer = String::new();
                if stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200") {
                    return (child, begun.elapsed());
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let mut starts = vec![];
    let mut memory = 0.0;
    for _ in 0..7 {
        let (mut child, took) = start();
        starts.push(took);
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        memory = resident.trim().trim_end_matches(" kB").parse().unwrap_or(0.0) / 1024.0;
        child.kill().expect("a process");
        child.wait().expect("a process");
    }
    starts.sort_unstable();
    vec![
        Row::limited(
            "cold start to the first answer",
            "ms",
            starts[starts.len() / 2].as_secs_f64() * 1e3,
            100.0,
        ),
        Row::limited("memory when idle", "MiB", memory, 30.0),
    ]
}
