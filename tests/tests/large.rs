//! Goal: two people's hands on one entry, a lifetime of entries, and a first sync that can be read before it is done.

use std::time::Duration;

use alcove_sdk::sync::Policy;
use alcove_sdk::{Clock, JournalEntry, LocalData, Query, When};
use alcove_tests::faults::{Fault, Faulty};
use alcove_tests::phone::{PASSWORD, Phone};
use alcove_tests::server::{Database, TestServer, unlimited};

/// Two devices type into one entry, each in a paragraph of its own, while both sync by themselves. Nobody is bothered with a
/// conflict, and every word is there.
#[tokio::test(flavor = "multi_thread")]
async fn typing_on_two_devices_makes_no_false_conflict() {
    let database = Database::sqlite();
    let server = TestServer::start(&database, unlimited()).await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let id = phone.write("Phone:\n\nTablet:\n").await;
    phone.sync().await;
    let tablet = Phone::log_in("anna", &server.origin()).await;
    let policy = Policy {
        debounce: Duration::from_millis(15),
        debounce_max: Duration::from_millis(60),
        every: Duration::from_millis(40),
        retry: Duration::from_millis(10),
        ..Policy::default()
    };
    let type_on = |alcove: alcove_sdk::Alcove, name: &'static str| async move {
        let _syncing = alcove.sync().start(policy);
        for number in 0..150 {
            let typed = format!(" {}{number}", name.to_lowercase());
            let journal = alcove.journal();
            let update = journal.update(id, move |entry| {
                let lines: Vec<String> = entry
                    .body
                    .split_inclusive('\n')
                    .map(|line| match line.strip_suffix('\n') {
                        Some(text) if text.starts_with(name) => format!("{text}{typed}\n"),
                        _ => line.to_owned(),
                    })
                    .collect();
                entry.body = lines.concat();
            });
            update.await.unwrap();
            tokio::time::sleep(Duration::from_millis(number % 17)).await;
        }
    };
    let typing = (
        tokio::spawn(type_on(phone.alcove.clone(), "Phone:")),
        tokio::spawn(type_on(tablet.alcove.clone(), "Tablet:")),
    );
    typing.0.await.unwrap();
    typing.1.await.unwrap();
    for device in [&phone, &tablet, &phone] {
        device.sync().await;
    }
    let expected = |name: &str| {
        let typed: Vec<_> = (0..150).map(|number| format!(" {}{number}", name.to_lowercase())).collect();
        format!("{name}{}", typed.concat())
    };
    let entry = phone.alcove.journal().get(id).await.unwrap().unwrap();
    assert_eq!(entry.value.body, format!("{}\n\n{}\n", expected("Phone:"), expected("Tablet:")));
    assert_eq!(entry.conflicts, []);
    assert_eq!(tablet.alcove.journal().get(id).await.unwrap().unwrap().value, entry.value);
    assert_eq!(phone.alcove.incidents().await.unwrap(), []);
    server.stop().await;
}

fn entries(from: i64, count: i64) -> Vec<JournalEntry> {
    let entry = |number: i64| JournalEntry::new(When::utc(number * 60_000), format!("entry {number}"));
    (from..from + count).map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records() {
    const COUNT: i64 = 100_000;
    let database = Database::sqlite();
    let server = TestServer::start(&database, unlimited()).await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    for from in (0..COUNT).step_by(10_000) {
        phone.alcove.journal().add_all(entries(from, 10_000)).await.unwrap();
    }
    let report = phone.sync().await;
    assert!(report.sent >= 100_000, "{report:?}");
    let tablet = Phone::log_in("anna", &server.origin()).await;
    assert_eq!(tablet.alcove.journal().count(Query::default()).await.unwrap(), 100_000);
    let newest = tablet.alcove.journal().list(Query::default().limit(1)).await.unwrap();
    assert_eq!(newest[0].value.body, "entry 99999");
    let again = tablet.again().await;
    again.alcove.journal().update(newest[0].id, |entry| entry.body = "edited".into()).await.unwrap();
    let report = again.sync().await;
    assert_eq!((report.sent, report.received), (1, 0), "one record is one record, among however many");
    let report = phone.sync().await;
    assert_eq!((report.sent, report.received), (0, 2), "the record, and the name of the tablet");
    assert_eq!(phone.body(newest[0].id).await, "edited");
    server.stop().await;
}

/// The newest days are there first, marked as what they are, while the rest is fetched; cut short, they are taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_shows_the_newest_first() {
    let database = Database::sqlite();
    let server = TestServer::start(&database, unlimited()).await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    for from in (0..3_000).step_by(300) {
        phone.alcove.journal().add_all(entries(from, 300)).await.unwrap();
        phone.sync().await;
    }
    let network = Faulty::new(|_| Fault::None);
    let tablet = Phone::with("tablet", network.clone(), Clock::default()).await;
    let account = tablet.alcove.account();
    account.log_in(&server.origin(), "anna", PASSWORD, LocalData::Ask).await.unwrap();
    // Slow, so that there is something to see meanwhile; and cut before the end.
    let mut pulls = 0;
    network.plan(move |request| {
        pulls += usize::from(request.path.ends_with("/pull"));
        if pulls > 4 { Fault::Lost } else { Fault::Slow }
    });
    let sync = tablet.alcove.sync();
    let looked = async {
        loop {
            let shown = tablet.alcove.journal().list(Query::default()).await.unwrap();
            if !shown.is_empty() {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (result, shown) = tokio::join!(sync.now(), looked);
    assert!(result.is_err());
    assert!(shown.len() >= 200 && shown.len() < 3_000, "{}", shown.len());
    assert_eq!(shown[0].value.body, "entry 2999");
    assert!(shown.iter().all(|entry| !entry.proven && !entry.synced));
    assert!(
        tablet.alcove.journal().list(Query::default()).await.unwrap().is_empty(),
        "not proven, so taken back"
    );
    network.plan(|_| Fault::None);
    let report = tablet.sync().await;
    assert!(report.complete, "{report:?}");
    let entries = tablet.alcove.journal().list(Query::default()).await.unwrap();
    assert_eq!(entries.len(), 3_000);
    assert!(entries.iter().all(|entry| entry.proven && entry.synced));
    server.stop().await;
}
