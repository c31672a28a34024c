//! Goal: everything that happens to an account through the SDK leaves the right devices reading and writing, and no others.

use alcove_sdk::{Error, LocalData, OnLogOut, OtherDevices};
use alcove_tests::phone::{PASSWORD, Phone};
use alcove_tests::server::{Database, TestServer, unlimited};

const NEW: &str = "another horse battery";

async fn server() -> (TestServer, Database) {
    let database = Database::sqlite();
    (TestServer::start(&database, unlimited()).await, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_added_by_a_code() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    phone.write("on the phone").await;
    let inviting = phone.alcove.account().invite_device().await.unwrap();
    let code = inviting.code();
    let tablet = Phone::new("tablet").await;
    for bad in ["", "alcove:", "alcove:AAAA.AAAA@http://127.0.0.1:1", "https://example.org"] {
        let refused = tablet.alcove.account().join(bad, LocalData::Ask).await;
        assert!(matches!(refused, Err(Error::EnrolmentFailed(_))), "{bad}");
    }
    let account = tablet.alcove.account();
    let (asked, joined) = tokio::join!(inviting.wait(), account.join(&code, LocalData::Ask));
    let (asked, joined) = (asked.unwrap(), joined.unwrap());
    assert_eq!(asked.device(), joined.device());
    // One try a code.
    let late = Phone::new("late").await;
    let refused = late.alcove.account().join(&code, LocalData::Ask).await;
    assert!(matches!(refused, Err(Error::EnrolmentFailed(_))));
    let wrong = asked.approve("wrong horse battery").await;
    assert!(matches!(wrong, Err(Error::WrongPassword)), "{wrong:?}");
    asked.approve(PASSWORD).await.unwrap();
    joined.finish().await.unwrap();
    let report = tablet.sync().await;
    assert!(!report.needs_confirmation, "the code leaves no gap: {report:?}");
    assert_eq!(tablet.bodies().await, ["on the phone"]);
    tablet.write("on the tablet").await;
    tablet.sync().await;
    phone.sync().await;
    assert_eq!(phone.bodies().await, ["on the phone", "on the tablet"]);
    let names: Vec<_> = phone.alcove.account().devices().await.unwrap();
    let names: Vec<_> = names.into_iter().map(|device| (device.name.unwrap(), device.is_this)).collect();
    assert_eq!(names, [("phone".into(), true), ("tablet".into(), false)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_out_and_the_others_go_on() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let tablet = Phone::log_in("anna", &server.origin()).await;
    let laptop = Phone::log_in("anna", &server.origin()).await;
    tablet.write("while it was ours").await;
    tablet.sync().await;
    laptop.write("written offline, in the old epoch").await;
    let devices = phone.alcove.account().devices().await.unwrap();
    assert_eq!(devices.len(), 1, "what is known here is what was synced");
    phone.sync().await;
    let devices = phone.alcove.account().devices().await.unwrap();
    assert_eq!(devices.len(), 3);
    let tablet_id = tablet.alcove.account().devices().await.unwrap();
    let tablet_id = tablet_id.into_iter().find(|device| device.is_this).unwrap().id;
    let wrong = phone.alcove.account().revoke(&tablet_id, "wrong horse battery").await;
    assert!(matches!(wrong, Err(Error::WrongPassword)));
    phone.alcove.account().revoke(&tablet_id, PASSWORD).await.unwrap();

    tablet.write("after the revocation").await;
    let refused = tablet.alcove.sync().now().await;
    assert!(matches!(refused, Err(Error::SignInAgain(_))), "{refused:?}");
    assert_eq!(tablet.bodies().await.len(), 2, "what it has, it keeps");

    phone.write("in the new epoch").await;
    phone.sync().await;
    laptop.sync().await;
    laptop.sync().await;
    phone.sync().await;
    for device in [&phone, &laptop] {
        let expected = ["in the new epoch", "while it was ours", "written offline, in the old epoch"];
        assert_eq!(device.bodies().await, expected);
        assert_eq!(device.alcove.incidents().await.unwrap(), []);
    }
    // Doing it again changes nothing; the device may come back with the password, as a new one.
    phone.alcove.account().revoke(&tablet_id, PASSWORD).await.unwrap();
    tablet.join("anna", &server.origin()).await;
    phone.sync().await;
    assert!(phone.bodies().await.contains(&"after the revocation".to_owned()));
    assert_eq!(phone.bodies().await, tablet.bodies().await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_change_and_other_devices_stay_or_go() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let tablet = Phone::log_in("anna", &server.origin()).await;
    let account = phone.alcove.account();
    let short = account.change_password(PASSWORD, "short", OtherDevices::Keep).await;
    assert!(matches!(short, Err(Error::BadCredentials(_))));
    account.change_password(PASSWORD, NEW, OtherDevices::Keep).await.unwrap();
    tablet.write("still in").await;
    tablet.sync().await;
    account.change_password(NEW, PASSWORD, OtherDevices::Revoke).await.unwrap();
    let refused = tablet.alcove.sync().now().await;
    assert!(matches!(refused, Err(Error::SignInAgain(_))), "{refused:?}");
    phone.write("goes on").await;
    phone.sync().await;
    assert_eq!(phone.bodies().await, ["goes on", "still in"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_code_opens_everything_and_is_exchanged() {
    let (server, _database) = server().await;
    let phone = Phone::new("phone").await;
    let account = phone.alcove.account();
    let code = account.sign_up(&server.origin(), "anna", PASSWORD, None).await.unwrap();
    let wrong = account.confirm_recovery_code("0000-0000-0000-0000-0000-0000-0000-0000-0000").await;
    assert!(matches!(wrong, Err(Error::WrongRecoveryCode(_))));
    account.confirm_recovery_code(&code.to_lowercase().replace('-', " ")).await.unwrap();
    phone.write("years of it").await;
    phone.sync().await;

    let fresh = Phone::new("fresh").await;
    let account = fresh.alcove.account();
    let other = if code.ends_with('X') { 'Y' } else { 'X' };
    let mistyped = format!("{}{other}", &code[..code.len() - 1]);
    let refused = account.recover(&server.origin(), "anna", &mistyped, NEW, LocalData::Ask).await;
    assert!(matches!(refused, Err(Error::WrongRecoveryCode(_))));
    let renewed = account.recover(&server.origin(), "anna", &code, NEW, LocalData::Ask).await.unwrap();
    assert_ne!(*renewed, *code);
    assert!(fresh.sync().await.needs_confirmation);
    account.confirm_view().await.unwrap();
    fresh.write("recovered").await;
    fresh.sync().await;
    assert_eq!(fresh.bodies().await, ["recovered", "years of it"]);

    // The old password, the old code and the old device open nothing any more.
    let other = Phone::new("other").await;
    let account = other.alcove.account();
    let old = account.log_in(&server.origin(), "anna", PASSWORD, LocalData::Ask).await;
    assert!(matches!(old, Err(Error::WrongPassword)), "{old:?}");
    let old = account.recover(&server.origin(), "anna", &code, NEW, LocalData::Ask).await;
    assert!(matches!(old, Err(Error::WrongRecoveryCode(_))), "{old:?}");
    let refused = phone.alcove.sync().now().await;
    assert!(matches!(refused, Err(Error::SignInAgain(_))), "{refused:?}");
    // It comes back with the new password, and brings what it had not sent.
    phone.write("not sent before").await;
    let account = phone.alcove.account();
    account.log_in(&server.origin(), "anna", NEW, LocalData::Ask).await.unwrap();
    phone.sync().await;
    fresh.sync().await;
    assert_eq!(fresh.bodies().await, ["not sent before", "recovered", "years of it"]);
    assert_eq!(phone.bodies().await, fresh.bodies().await);

    // "Compromised", on a device of the account.
    let code = fresh.alcove.account().renew(NEW, PASSWORD).await.unwrap();
    fresh.alcove.account().confirm_recovery_code(&code).await.unwrap();
    fresh.write("after it").await;
    fresh.sync().await;
    assert!(matches!(phone.alcove.sync().now().await, Err(Error::SignInAgain(_))));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_keeps_or_wipes_and_deleting_ends_it() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    let id = phone.write("kept").await;
    phone.sync().await;
    phone.alcove.account().log_out(OnLogOut::Keep).await.unwrap();
    assert!(matches!(phone.alcove.sync().now().await, Err(Error::SignInAgain(_))));
    phone.edit(id, "kept, and edited without an account").await;
    let phone = phone.again().await;
    assert_eq!(phone.body(id).await, "kept, and edited without an account");
    phone.alcove.account().log_in(&server.origin(), "anna", PASSWORD, LocalData::Ask).await.unwrap();
    let report = phone.sync().await;
    assert!(!report.needs_confirmation, "it has seen this account before: {report:?}");

    let tablet = Phone::log_in("anna", &server.origin()).await;
    assert_eq!(tablet.body(id).await, "kept, and edited without an account");
    let store = tablet.folder.path().join("store");
    tablet.alcove.account().log_out(OnLogOut::Wipe).await.unwrap();
    assert!(!store.join("alcove.db").exists() && !tablet.folder.path().join("keys").exists());

    let wrong = phone.alcove.account().delete("wrong horse battery").await;
    assert!(matches!(wrong, Err(Error::WrongPassword)));
    phone.alcove.account().delete(PASSWORD).await.unwrap();
    let gone = phone.alcove.sync().now().await;
    assert!(matches!(gone, Err(Error::AccountDeleted)), "{gone:?}");
    assert_eq!(phone.body(id).await, "kept, and edited without an account", "what is here stays here");
    // And can become another account's.
    phone.alcove.account().sign_up(&server.origin(), "bert", PASSWORD, None).await.unwrap();
    phone.sync().await;
    let tablet = Phone::log_in("bert", &server.origin()).await;
    assert_eq!(tablet.bodies().await, ["kept, and edited without an account"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_account_is_refused() {
    let (server, _database) = server().await;
    let phone = Phone::sign_up("anna", &server.origin()).await;
    assert!(matches!(
        phone.alcove.account().log_in(&server.origin(), "anna", PASSWORD, LocalData::Ask).await,
        Err(Error::HasAccount)
    ));
    let other = Phone::new("other").await;
    let account = other.alcove.account();
    let origin = server.origin();
    let sign_up = |name: &'static str, password: &'static str| account.sign_up(&origin, name, password, None);
    assert!(matches!(sign_up("ANNA", PASSWORD).await, Err(Error::NameTaken)));
    assert!(matches!(sign_up("a b", PASSWORD).await, Err(Error::BadCredentials(_))));
    assert!(matches!(sign_up("bert", "short").await, Err(Error::BadCredentials(_))));
    assert!(matches!(other.alcove.sync().now().await, Err(Error::NoAccount)));
    let nowhere = account.log_in("http://127.0.0.1:9", "anna", PASSWORD, LocalData::Ask).await;
    assert!(matches!(nowhere, Err(Error::Offline(_))), "{nowhere:?}");
    server.stop().await;
}

/// The recovery code finds the account without a name; whoever then gives a wrong one has still changed the password.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_name_beside_the_right_code_locks_nobody_out() {
    let (server, _database) = server().await;
    let phone = Phone::new("phone").await;
    let code = phone.alcove.account().sign_up(&server.origin(), "anna", PASSWORD, None).await.unwrap();
    phone.write("years of it").await;
    phone.sync().await;
    let fresh = Phone::new("fresh").await;
    let account = fresh.alcove.account();
    let wrong = account.recover(&server.origin(), "anne", &code, NEW, LocalData::Ask).await;
    assert!(matches!(wrong, Err(Error::BadCredentials(_))), "{wrong:?}");
    account.log_in(&server.origin(), "anna", NEW, LocalData::Ask).await.unwrap();
    let report = fresh.sync().await;
    assert!(report.complete, "{report:?}");
    assert_eq!(fresh.bodies().await, ["years of it"], "{report:?}");
}
