//! Goal: a server that shows two histories, or loses its own, is found out; both branches are kept, and joined on request; and
//! a store that was copied stops writing.

use alcove_sdk::{Error, IncidentKind};
use alcove_server::config::DatabaseUrl;
use alcove_server::secrets::Secrets;
use alcove_tests::phone::{PASSWORD, Phone};
use alcove_tests::server::{Database, TestServer, unlimited};

/// A server whose database can be exchanged: one that shows other histories.
struct Liar {
    database: Database,
    secrets: String,
    server: Option<TestServer>,
    address: std::net::SocketAddr,
}

impl Liar {
    async fn start() -> Self {
        let (database, secrets) = (Database::sqlite(), Secrets::make().unwrap().to_text().to_string());
        let server =
            TestServer::start_with(&database, unlimited(), Secrets::parse(&secrets, "test").unwrap()).await;
        let address = server.address;
        Self { database, secrets, server: Some(server), address }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn file(&self) -> std::path::PathBuf {
        let DatabaseUrl::Sqlite(path) = &self.database.url else { panic!("SQLite") };
        path.clone()
    }

    /// Keeps the history of now under a name.
    fn keep(&self, name: &str) {
        let copy = self.file().with_extension(name);
        std::fs::remove_file(&copy).ok();
        let sql = rusqlite::Connection::open(self.file()).unwrap();
        sql.execute_batch(&format!("VACUUM INTO '{}'", copy.display())).unwrap();
    }

    /// Shows a history that was kept.
    async fn show(&mut self, name: &str) {
        self.server.take().unwrap().stop().await;
        for rest in ["-wal", "-shm"] {
            std::fs::remove_file(format!("{}{rest}", self.file().display())).ok();
        }
        std::fs::copy(self.file().with_extension(name), self.file()).unwrap();
        let secrets = Secrets::parse(&self.secrets, "test").unwrap();
        let server = TestServer::start_at(self.address, &self.database, unlimited(), secrets).await;
        self.server = Some(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_are_found_out_kept_and_joined_on_request() {
    let mut liar = Liar::start().await;
    let phone = Phone::sign_up("anna", &liar.origin()).await;
    let tablet = Phone::log_in("anna", &liar.origin()).await;
    let shared = phone.write("shared\nby both").await;
    let doomed = phone.write("deleted on one side").await;
    for number in 0..20 {
        phone.write(&format!("common {number}")).await;
        phone.sync().await;
    }
    tablet.sync().await;
    liar.keep("common");
    // Ten commits each, apart.
    for number in 0..10 {
        phone.write(&format!("phone {number}")).await;
        phone.edit(shared, &format!("shared\nby both, phone {number}")).await;
        phone.sync().await;
    }
    phone.alcove.journal().delete(doomed).await.unwrap();
    phone.sync().await;
    liar.keep("phone");
    liar.show("common").await;
    for number in 0..10 {
        tablet.write(&format!("tablet {number}")).await;
        tablet.edit(shared, &format!("shared by tablet {number}\nby both")).await;
        tablet.sync().await;
    }
    // At first contact it is noticed, and nothing is merged or lost.
    liar.show("phone").await;
    let unsent = tablet.write("not sent yet").await;
    let (before, sent) = (tablet.bodies().await, tablet.alcove.holdings().await.unwrap().unsent);
    for _ in 0..3 {
        let forked = tablet.alcove.sync().now().await;
        assert!(matches!(forked, Err(Error::Incident(IncidentKind::Fork))), "{forked:?}");
        assert_eq!(tablet.bodies().await, before);
        assert_eq!(tablet.alcove.holdings().await.unwrap().unsent, sent);
    }
    let incident = tablet.alcove.incidents().await.unwrap().remove(0);
    assert_eq!((incident.kind, incident.count, incident.evidence.len()), (IncidentKind::Fork, 3, 64));
    assert!(incident.detail.contains("part after commit"), "{}", incident.detail);

    let report = tablet.alcove.sync().merge_fork().await.unwrap();
    assert!(report.complete && report.merged >= 1, "{report:?}");
    phone.sync().await;
    tablet.sync().await;
    for device in [&phone, &tablet] {
        let bodies = device.bodies().await;
        assert_eq!(bodies.len(), 1 + 20 + 10 + 10 + 1, "{bodies:?}");
        assert!(bodies.contains(&"not sent yet".to_owned()));
        assert!(device.alcove.journal().get(doomed).await.unwrap().is_none(), "a deletion stays one");
        let entry = device.alcove.journal().get(shared).await.unwrap().unwrap();
        let everything = format!("{} {:?}", entry.value.body, entry.conflicts);
        assert!(everything.contains("phone 9") && everything.contains("tablet 9"), "{everything}");
        let report = device.sync().await;
        assert_eq!((report.sent, report.received), (0, 0), "repairing the repaired writes nothing");
    }
    assert_eq!(tablet.body(unsent).await, "not sent yet");

    // Whoever had followed the other branch finds that it was joined, and goes on without a question.
    liar.keep("joined");
    liar.server.take().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_joined_is_left_without_a_question() {
    let mut liar = Liar::start().await;
    let phone = Phone::sign_up("anna", &liar.origin()).await;
    let tablet = Phone::log_in("anna", &liar.origin()).await;
    let laptop = Phone::log_in("anna", &liar.origin()).await;
    phone.sync().await;
    tablet.sync().await;
    liar.keep("common");
    tablet.write("on the other branch").await;
    tablet.sync().await;
    laptop.sync().await;
    liar.keep("other");
    liar.show("common").await;
    phone.write("on the first branch").await;
    phone.sync().await;
    let forked = tablet.alcove.sync().now().await;
    assert!(matches!(forked, Err(Error::Incident(IncidentKind::Fork))), "{forked:?}");
    tablet.alcove.sync().merge_fork().await.unwrap();
    // The laptop has exactly the branch that was joined.
    laptop.write("on the laptop").await;
    laptop.sync().await;
    phone.sync().await;
    tablet.sync().await;
    for device in [&phone, &tablet, &laptop] {
        assert_eq!(device.bodies().await, ["on the first branch", "on the laptop", "on the other branch"]);
    }
    assert_eq!(laptop.alcove.incidents().await.unwrap(), []);
    liar.server.take().unwrap().stop().await;
}

/// The server is back before the account itself; and a device that nobody had asked is the first to come.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_vanished_is_founded_again_under_its_id() {
    let mut liar = Liar::start().await;
    liar.keep("empty");
    let phone = Phone::sign_up("anna", &liar.origin()).await;
    // The tablet comes after a change of password: it has to have learned what was before its time.
    let account = phone.alcove.account();
    account.change_password(PASSWORD, "for a while only", alcove_sdk::OtherDevices::Keep).await.unwrap();
    account.change_password("for a while only", PASSWORD, alcove_sdk::OtherDevices::Keep).await.unwrap();
    let tablet = Phone::log_in("anna", &liar.origin()).await;
    for number in 0..5 {
        phone.write(&format!("phone {number}")).await;
        phone.sync().await;
    }
    tablet.sync().await;
    liar.show("empty").await;
    let tablet = tablet.again().await;
    tablet.write("the first to come").await;
    let report = tablet.sync().await;
    assert!(report.noticed.contains(&IncidentKind::AccountRollback), "{report:?}");
    assert!(report.noticed.contains(&IncidentKind::Rollback), "{report:?}");
    let phone = phone.again().await;
    phone.sync().await;
    assert_eq!(phone.bodies().await.len(), 6);
    assert_eq!(phone.bodies().await, tablet.bodies().await);
    let fresh = Phone::log_in("anna", &liar.origin()).await;
    assert_eq!(fresh.bodies().await, phone.bodies().await);
    liar.server.take().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_store_is_noticed_and_begins_anew_under_keys_of_its_own() {
    let mut liar = Liar::start().await;
    let phone = Phone::sign_up("anna", &liar.origin()).await;
    phone.write("before the copy").await;
    phone.sync().await;
    let copy = phone.copy().await;
    phone.write("on the phone").await;
    phone.sync().await;
    copy.write("on the copy").await;
    let noticed = copy.alcove.sync().now().await;
    assert!(matches!(noticed, Err(Error::Incident(IncidentKind::Cloned))), "{noticed:?}");
    assert!(matches!(copy.alcove.sync().now().await, Err(Error::SignInAgain(_))), "it stops writing");
    assert_eq!(copy.bodies().await, ["before the copy", "on the copy", "on the phone"]);
    copy.join("anna", &liar.origin()).await;
    phone.sync().await;
    assert_eq!(phone.bodies().await, copy.bodies().await);
    assert_eq!(phone.alcove.account().devices().await.unwrap().len(), 2);
    liar.server.take().unwrap().stop().await;
}

/// Commits that are no longer kept are not asked for: a device that was away for longer takes a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_away_for_a_year_comes_back() {
    let mut liar = Liar::start().await;
    let phone = Phone::sign_up("anna", &liar.origin()).await;
    let tablet = Phone::log_in("anna", &liar.origin()).await;
    let gone = phone.write("deleted while the tablet was away").await;
    phone.sync().await;
    tablet.sync().await;
    for number in 0..8 {
        phone.write(&format!("entry {number}")).await;
        phone.sync().await;
    }
    phone.alcove.journal().delete(gone).await.unwrap();
    phone.sync().await;
    let server = liar.server.take().unwrap();
    server.hands.shift(365 * 24 * 60 * 60);
    let tablet = tablet.again().await;
    let phone = phone.again().await;
    // A push makes the server forget what is old.
    for number in 0..3 {
        phone.write(&format!("a year later {number}")).await;
        phone.sync().await;
    }
    tablet.write("written while away").await;
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(tablet.bodies().await.len(), 12);
    assert_eq!(phone.bodies().await, tablet.bodies().await);
    assert_eq!(tablet.alcove.incidents().await.unwrap(), []);
    server.stop().await;
}
