//! Goal: whatever the network does, and wherever a device stops, nothing is lost, nothing is doubled, and the next sync goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use alcove_sdk::{Clock, Error};
use alcove_tests::faults::{Cut, Fault, Faulty, Proxy};
use alcove_tests::phone::{PASSWORD, Phone};
use alcove_tests::server::{Database, TestServer, unlimited};

async fn server() -> (TestServer, Database) {
    let database = Database::sqlite();
    (TestServer::start(&database, unlimited()).await, database)
}

/// Numbers that look random and are the same each time.
fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_loses_repeats_delays_and_refuses() {
    let (server, _database) = server().await;
    let network = Faulty::new(|_| Fault::None);
    let phone = Phone::with("phone", network.clone(), Clock::default()).await;
    phone.alcove.account().sign_up(&server.origin(), "anna", PASSWORD, None).await.unwrap();
    phone.sync().await;
    let tablet = Phone::with("tablet", network.clone(), Clock::default()).await;
    tablet.join("anna", &server.origin()).await;
    let mut dice = dice(7);
    let (mut failed, mut written) = (0, 0);
    for round in 0..120 {
        let roll = dice();
        let mut number = 0;
        let at = roll % 4;
        let fault = [
            Fault::Lost,
            Fault::AnswerLost,
            Fault::Twice,
            Fault::Slow,
            Fault::Status(502),
            Fault::Status(429),
            Fault::Status(302),
        ][usize::try_from(roll / 4 % 7).unwrap()];
        network.plan(move |_| {
            number += 1;
            if number == at + 1 { fault } else { Fault::None }
        });
        let device = if dice().is_multiple_of(2) { &phone } else { &tablet };
        if !dice().is_multiple_of(3) {
            device.write(&format!("entry {round}")).await;
            written += 1;
        }
        match device.alcove.sync().now().await {
            Ok(_) => {}
            Err(Error::Offline(_) | Error::TryLater { .. }) => failed += 1,
            Err(other) => panic!("{fault:?}: {other:?}"),
        }
    }
    network.plan(|_| Fault::None);
    for device in [&phone, &tablet, &phone] {
        device.sync().await;
    }
    assert!(failed > 20, "{failed} syncs failed");
    assert_eq!(phone.bodies().await.len(), written);
    assert_eq!(phone.bodies().await, tablet.bodies().await);
    assert_eq!(phone.alcove.incidents().await.unwrap(), [], "a bad network is no incident");
    let asked = Faulty::new(|_| Fault::Status(429));
    let limited = Phone::with("limited", asked.clone(), Clock::default()).await;
    let refused = limited.alcove.account().sign_up(&server.origin(), "bert", PASSWORD, None).await;
    let Err(Error::TryLater { after }) = refused else { panic!("{refused:?}") };
    assert_eq!(after.unwrap().as_secs(), 7, "as long as was asked for");
    assert_eq!(asked.sent(), 1, "and no request before");
    server.stop().await;
}

/// Cut at each byte of what a push and a pull send and receive, in steps that hit every header and every field.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_at_any_byte() {
    let (server, _database) = server().await;
    let proxy = Proxy::start(&server.origin()).await;
    let writer = Phone::sign_up("anna", &server.origin()).await;
    let phone = Phone::log_in("anna", &server.origin()).await;
    // From here on the phone goes through the proxy.
    let through = Arc::new(Through { proxy: proxy.origin.clone(), network: alcove_sdk::net::Https::new() });
    let phone = phone.through(through).await;
    let (mut written, mut cuts) = (0, 0);
    let id = phone.write("edited on both").await;
    written += 1;
    phone.sync().await;
    writer.sync().await;
    for to_server in [true, false] {
        for after in 0..4_000 {
            // Every byte of the first requests' heads; then in steps of a prime, through the sealed bytes.
            if after > 400 && after % 17 != 0 {
                continue;
            }
            if after % 3 == 0 {
                phone.write(&format!("from the phone, cut {after} {to_server}")).await;
                written += 1;
            } else {
                writer.write(&format!("from the writer, cut {after} {to_server}")).await;
                written += 1;
                writer.sync().await;
            }
            if after % 50 == 0 {
                phone.edit(id, &format!("edited on both\nphone {after} {to_server}")).await;
            }
            proxy.cut(Some(Cut { to_server, after }));
            let synced = phone.alcove.sync().now().await;
            cuts += usize::from(synced.is_err());
            let hit = !proxy.is_waiting();
            proxy.cut(None);
            assert!(hit || synced.is_ok(), "without a cut it succeeds: {synced:?}");
            if !hit {
                break;
            }
            if after % 100 == 0 {
                phone.sync().await;
            }
        }
    }
    phone.sync().await;
    writer.sync().await;
    assert!(cuts > 500, "{cuts} cuts");
    assert_eq!(phone.bodies().await.len(), written);
    assert_eq!(phone.bodies().await, writer.bodies().await);
    assert_eq!(phone.alcove.incidents().await.unwrap(), []);
    server.stop().await;
}

/// Signs for the server's own origin, and goes through a proxy.
struct Through {
    proxy: String,
    network: alcove_sdk::net::Https,
}

impl alcove_sdk::net::Transport for Through {
    fn send<'a>(
        &'a self,
        _: &'a alcove_sdk::net::Origin,
        request: alcove_sdk::net::Request,
    ) -> alcove_sdk::net::BoxFuture<'a, Result<alcove_sdk::net::Response, alcove_sdk::net::Unreachable>> {
        Box::pin(async move {
            let proxy = alcove_sdk::net::Origin::parse(&self.proxy).expect("an origin");
            self.network.send(&proxy, request).await
        })
    }
}

/// Runs a future for so many steps, and drops it there: between two steps of a sync everything that is not on disk is gone.
struct Stopped<F> {
    future: Pin<Box<F>>,
    steps: Arc<AtomicUsize>,
}

impl<F: Future> Future for Stopped<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.steps.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(None);
        }
        self.steps.fetch_sub(1, Ordering::Relaxed);
        self.future.as_mut().poll(context).map(Some)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_stops_between_any_two_steps() {
    let (server, _database) = server().await;
    let writer = Phone::sign_up("anna", &server.origin()).await;
    let mut phone = Phone::log_in("anna", &server.origin()).await;
    let id = phone.write("line one\nline two").await;
    phone.sync().await;
    writer.sync().await;
    let (mut written, mut stopped) = (1, 0);
    for steps in (0..60).flat_map(|steps| [steps, steps]) {
        // Something to pull, something to push, and something to merge.
        writer.write(&format!("writer {written}")).await;
        writer.edit(id, &format!("line one\nwriter {written}")).await;
        writer.sync().await;
        phone.write(&format!("phone {written}")).await;
        phone.edit(id, &format!("phone {written}\nline two")).await;
        written += 2;
        let left = Arc::new(AtomicUsize::new(steps));
        let sync = phone.alcove.sync();
        let ended = Stopped { future: Box::pin(sync.now()), steps: Arc::clone(&left) }.await;
        stopped += usize::from(ended.is_none());
        drop(sync);
        // As after a crash: all that is in memory is gone.
        phone = phone.again().await;
        if steps % 7 == 0 {
            phone.sync().await;
        }
    }
    phone.sync().await;
    writer.sync().await;
    assert!(stopped > 30, "{stopped} syncs were stopped");
    assert_eq!(phone.bodies().await.len(), written);
    assert_eq!(phone.bodies().await, writer.bodies().await);
    assert_eq!(phone.alcove.holdings().await.unwrap().unsent, 0);
    assert_eq!(phone.alcove.incidents().await.unwrap(), []);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_sync_one_store_one_at_a_time() {
    let (server, _database) = server().await;
    let app = Phone::sign_up("anna", &server.origin()).await;
    let widget = app.widget().await;
    let tablet = Phone::log_in("anna", &server.origin()).await;
    let mut busy = 0;
    for round in 0..30 {
        app.write(&format!("app {round}")).await;
        widget.write(&format!("widget {round}")).await;
        let (one, two) = (app.alcove.sync(), widget.alcove.sync());
        let (one, two) = tokio::join!(one.now(), two.now());
        for result in [one, two] {
            match result {
                Ok(_) => {}
                Err(Error::Busy) => busy += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    widget.sync().await;
    app.sync().await;
    tablet.sync().await;
    assert!(busy > 0, "they never met");
    assert_eq!(app.bodies().await.len(), 60);
    assert_eq!(app.bodies().await, widget.bodies().await);
    assert_eq!(app.bodies().await, tablet.bodies().await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_keeps_to_its_budget_and_can_be_cancelled() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    for number in 0..30 {
        phone.write(&format!("{number} {}", "x".repeat(200_000))).await;
    }
    let budget = alcove_sdk::sync::Budget { bytes_max: Some(1_000), time_max: None };
    let report = phone.alcove.sync().within(budget).await.unwrap();
    assert!(!report.complete && report.sent > 0 && report.sent < 30, "{report:?}");
    assert!(phone.sync().await.complete);
    let network = Faulty::new(|_| Fault::Slow);
    let tablet = Phone::with("tablet", network, Clock::default()).await;
    let account = tablet.alcove.account();
    account.log_in(&server.origin(), "anna", PASSWORD, alcove_sdk::LocalData::Ask).await.unwrap();
    let mut rounds = 0;
    loop {
        let report = tablet.alcove.sync().within(budget).await.unwrap();
        rounds += 1;
        if report.complete {
            break;
        }
    }
    assert!(rounds > 1, "what was fetched is kept from one to the next");
    assert_eq!(tablet.bodies().await.len(), 30);
    let sync = tablet.alcove.sync();
    let cancelled = tokio::join!(sync.now(), async {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        sync.cancel();
    });
    assert!(matches!(cancelled.0, Err(Error::Cancelled)), "{:?}", cancelled.0);
    server.stop().await;
}

/// A locked phone delivers what was on its way and fetches what others sent, with the background key alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_phone_carries_ciphertext_and_reads_nothing() {
    use alcove_sdk::sync::{Budget, while_locked};
    use alcove_sdk::vault::{KeyFile, KeyVault, VaultError, VaultKey};

    /// A platform that gives out the background key only.
    struct Locked(KeyFile);

    impl KeyVault for Locked {
        fn load(&self, key: VaultKey) -> Result<Option<Vec<u8>>, VaultError> {
            if key == VaultKey::Background { self.0.load(key) } else { Err(VaultError::Locked) }
        }
        fn save(&self, _: VaultKey, _: Vec<u8>) -> Result<(), VaultError> {
            Err(VaultError::Locked)
        }
        fn erase(&self) -> Result<(), VaultError> {
            Err(VaultError::Locked)
        }
    }

    let (server, _database) = server().await;
    let network = Faulty::new(|_| Fault::None);
    let phone = Phone::with("phone", network.clone(), Clock::default()).await;
    phone.alcove.account().sign_up(&server.origin(), "anna", PASSWORD, None).await.unwrap();
    phone.sync().await;
    let tablet = Phone::log_in("anna", &server.origin()).await;
    phone.sync().await;
    // The phone makes a commit, and is locked before it gets out.
    phone.write("on its way").await;
    network.plan(|request| if request.path.ends_with("/push") { Fault::Lost } else { Fault::None });
    assert!(phone.alcove.sync().now().await.is_err());
    network.plan(|_| Fault::None);
    let locked = || {
        let vault = Locked(KeyFile::new(phone.folder.path().join("keys")));
        while_locked(phone.folder.path().join("store"), vault, network.clone(), Budget::default())
    };
    let opened = alcove_sdk::Options::new(
        phone.folder.path().join("store"),
        Locked(KeyFile::new(phone.folder.path().join("keys"))),
    );
    assert!(matches!(alcove_sdk::Alcove::open(opened).await, Err(Error::Vault(VaultError::Locked))));
    let report = locked().await.unwrap();
    assert!(report.delivered && report.complete, "{report:?}");
    tablet.sync().await;
    assert_eq!(tablet.bodies().await, ["on its way"]);
    tablet.write("fetched while locked").await;
    tablet.sync().await;
    let report = locked().await.unwrap();
    assert!(report.fetched > 0 && report.complete, "{report:?}");
    assert_eq!(phone.bodies().await, ["on its way"], "not verified, so not shown");
    // Unlocked, without asking for the pages again.
    let phone = phone.again().await;
    phone.sync().await;
    assert_eq!(phone.bodies().await, ["fetched while locked", "on its way"]);
    tablet.sync().await;
    assert_eq!(phone.alcove.incidents().await.unwrap(), []);
    assert_eq!(phone.alcove.holdings().await.unwrap().unsent, 0);
    server.stop().await;
}
