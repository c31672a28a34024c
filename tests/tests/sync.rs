//! Goal: devices that write offline come to hold the same, with nothing lost, whichever way they meet.

use alcove_sdk::{Error, IncidentKind, LocalData};
use alcove_server::secrets::Secrets;
use alcove_tests::phone::{PASSWORD, Phone};
use alcove_tests::server::{Database, TestServer, unlimited};

async fn server() -> (TestServer, Database) {
    let database = Database::sqlite();
    (TestServer::start(&database, unlimited()).await, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_writes_another_reads() {
    let (server, _database) = server().await;
    let phone = Phone::new("phone").await;
    // Before any account, and without a network.
    let first = phone.write("before the account").await;
    let code = phone.alcove.account().sign_up(&server.origin(), "anna", PASSWORD, None).await.unwrap();
    phone.alcove.account().confirm_recovery_code(&code).await.unwrap();
    let report = phone.sync().await;
    assert!(report.complete && report.sent >= 2, "{report:?}");

    let tablet = Phone::new("tablet").await;
    tablet.alcove.account().log_in(&server.origin(), "Anna", PASSWORD, LocalData::Ask).await.unwrap();
    let report = tablet.sync().await;
    assert!(report.complete && report.needs_confirmation, "{report:?}");
    assert_eq!(tablet.body(first).await, "before the account");
    let view = tablet.alcove.account().info().await.unwrap().unwrap().view.unwrap();
    assert_eq!((view.device_name.as_deref(), view.confirmed), (Some("phone"), false));
    // Nothing goes out before the user has confirmed what is shown.
    tablet.write("from the tablet").await;
    assert!(tablet.sync().await.needs_confirmation);
    phone.sync().await;
    assert_eq!(phone.bodies().await, ["before the account"]);
    tablet.alcove.account().confirm_view().await.unwrap();
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(phone.bodies().await, ["before the account", "from the tablet"]);

    // And back: edits, deletions.
    phone.edit(first, "before the account, edited").await;
    phone.sync().await;
    tablet.sync().await;
    assert_eq!(tablet.body(first).await, "before the account, edited");
    tablet.alcove.journal().delete(first).await.unwrap();
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(phone.bodies().await, ["from the tablet"]);
    // Nothing is left to do, on either side.
    for device in [&phone, &tablet] {
        let report = device.sync().await;
        assert_eq!((report.received, report.sent, report.merged), (0, 0, 0));
        assert_eq!(device.alcove.holdings().await.unwrap().unsent, 0);
        assert_eq!(device.alcove.incidents().await.unwrap(), []);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_edits_merge_and_keep_what_loses() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let id = phone.write("I feel good today\nand it rains").await;
    phone.sync().await;
    let tablet = Phone::log_in("anna", &server.origin()).await;
    phone.edit(id, "I feel great today\nand it rains").await;
    tablet.edit(id, "I feel good today\nand it snows").await;
    let other = phone.write("offline on the phone").await;
    tablet.write("offline on the tablet").await;
    phone.sync().await;
    let report = tablet.sync().await;
    assert_eq!(report.merged, 1, "{report:?}");
    phone.sync().await;
    for device in [&phone, &tablet] {
        assert_eq!(device.body(id).await, "I feel great today\nand it snows");
        assert_eq!(device.bodies().await.len(), 3);
    }
    // The same word: the later edit stands, the other is kept.
    phone.edit(id, "I feel bad today\nand it snows").await;
    tablet.edit(id, "I feel well today\nand it snows").await;
    phone.sync().await;
    tablet.sync().await;
    phone.sync().await;
    let entry = phone.alcove.journal().get(id).await.unwrap().unwrap();
    assert_eq!(entry.value.body, "I feel well today\nand it snows");
    assert_eq!(entry.conflicts.len(), 1);
    assert_eq!(entry.conflicts[0].value, "I feel bad today\nand it snows".into());
    // An edit beats a deletion.
    phone.alcove.journal().delete(other).await.unwrap();
    tablet.edit(other, "edited meanwhile").await;
    phone.sync().await;
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(phone.body(other).await, "edited meanwhile");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_joins_an_account_that_has_another() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    phone.write("in the account").await;
    phone.sync().await;
    let tablet = Phone::new("tablet").await;
    let local = tablet.write("written before").await;
    let account = tablet.alcove.account();
    let asked = account.log_in(&server.origin(), "anna", PASSWORD, LocalData::Ask).await;
    assert!(matches!(asked, Err(Error::LocalDataExists(1))), "{asked:?}");
    let wrong = account.log_in(&server.origin(), "anna", "wrong horse battery", LocalData::Merge).await;
    assert!(matches!(wrong, Err(Error::WrongPassword)), "{wrong:?}");
    account.log_in(&server.origin(), "anna", PASSWORD, LocalData::Merge).await.unwrap();
    assert_eq!(tablet.body(local).await, "written before", "it can be read at once");
    tablet.sync().await;
    account.confirm_view().await.unwrap();
    tablet.sync().await;
    phone.sync().await;
    for device in [&phone, &tablet] {
        assert_eq!(device.bodies().await, ["in the account", "written before"]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_given_back_what_it_lost() {
    let (database, secrets) = (Database::sqlite(), Secrets::make().unwrap().to_text());
    let secrets = || Secrets::parse(&secrets, "test").unwrap();
    let server = TestServer::start_with(&database, unlimited(), secrets()).await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let entry = phone.write("old").await;
    phone.sync().await;
    let alcove_server::config::DatabaseUrl::Sqlite(path) = &database.url else { panic!() };
    let backup = path.with_extension("backup");
    let sql = format!("VACUUM INTO '{}'", backup.display());
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch(&sql).unwrap();
    drop(connection);
    // Fifty commits, a device, and a new password come after it.
    for number in 0..50 {
        phone.edit(entry, &format!("edit {number}")).await;
        phone.write(&format!("entry {number}")).await;
        phone.sync().await;
    }
    let tablet = Phone::log_in("anna", &server.origin()).await;
    phone
        .alcove
        .account()
        .change_password(PASSWORD, "another horse battery", alcove_sdk::OtherDevices::Keep)
        .await
        .unwrap();
    phone.sync().await;
    tablet.sync().await;
    // Logged out when it happens, and the first to come after it.
    let laptop = Phone::new("laptop").await;
    let account = laptop.alcove.account();
    account.log_in(&server.origin(), "anna", "another horse battery", LocalData::Ask).await.unwrap();
    laptop.sync().await;
    account.log_out(alcove_sdk::OnLogOut::Keep).await.unwrap();
    let address = server.address;
    server.stop().await;
    for rest in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{rest}", path.display())).ok();
    }
    std::fs::rename(&backup, path).unwrap();
    let server = TestServer::start_at(address, &database, unlimited(), secrets()).await;

    let account = laptop.alcove.account();
    let wrong = account.log_in(&server.origin(), "anna", "wrong horse battery", LocalData::Ask).await;
    assert!(matches!(wrong, Err(Error::WrongPassword)), "{wrong:?}");
    account.log_in(&server.origin(), "anna", "another horse battery", LocalData::Ask).await.unwrap();
    tablet.write("after the restore").await;
    let tablet = tablet.again().await;
    let report = tablet.sync().await;
    assert!(report.noticed.contains(&IncidentKind::Rollback), "{report:?}");
    phone.sync().await;
    for device in [&phone, &tablet] {
        let bodies = device.bodies().await;
        assert_eq!(bodies.len(), 52);
        assert!(bodies.contains(&"after the restore".to_owned()) && bodies.contains(&"edit 49".to_owned()));
        let report = device.sync().await;
        assert_eq!((report.sent, report.received, report.noticed), (0, 0, vec![]), "once is enough");
    }
    // A fresh device sees everything, and the new password is the one that counts.
    let fresh = Phone::new("fresh").await;
    let account = fresh.alcove.account();
    let old = account.log_in(&server.origin(), "anna", PASSWORD, LocalData::Ask).await;
    assert!(matches!(old, Err(Error::WrongPassword)), "{old:?}");
    account.log_in(&server.origin(), "anna", "another horse battery", LocalData::Ask).await.unwrap();
    fresh.sync().await;
    assert_eq!(fresh.bodies().await.len(), 52);
    server.stop().await;
}
