//! Goal: an operator can run the program: settings, secrets, backups, the commands; and a server that was restored from a
//! backup is given back what it lost.

use alcove_crypto::ids::SlotId;
use alcove_protocol::ErrorCode;
use alcove_tests::client::{Api, Device, Person};
use alcove_tests::postgres::Postgres;
use alcove_tests::process::{Server, Setup};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

async fn somebody(name: &str, server: &Server, rng: &mut StdRng) -> (Person, Device, Api) {
    Person::join(name, &[server.origin()], rng).await.unwrap()
}

fn slot(number: u8) -> SlotId {
    SlotId::new([number; 16])
}

/// Attacks 15 and 38, the server's part: everything after the backup comes back from the devices.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_brought_up_to_date_by_the_devices() {
    let setup = Setup::new();
    let mut rng = StdRng::seed_from_u64(9);
    let server = setup.start();
    let (mut anna, mut first, mut api) = somebody("anna", &server, &mut rng).await;
    first.push(&mut api, &[(slot(1), Some(b"one"))], &mut rng).await.unwrap();
    let backup = setup.path("backup.db").display().to_string();
    let (made, text) = setup.run(&["backup", &backup]);
    assert!(made && text.contains("secrets"), "{text}");
    let (again, _) = setup.run(&["backup", &backup]);
    assert!(!again, "a backup replaces nothing");

    // After the backup: a second device, a new password, a push, and somebody new.
    let mut logged_in = anna.log_in(&mut api, false, &mut rng).await.unwrap();
    let mut second = logged_in.enrol(&mut api, &mut rng).await.unwrap();
    second.sign_in(&mut api).await.unwrap();
    let logged_in = anna.log_in(&mut api, false, &mut rng).await.unwrap();
    anna.change_password(&mut api, &logged_in, "another", &mut rng).await.unwrap();
    anna.confirm_password(&mut api, &mut rng).await.unwrap();
    second.learn_states(&mut api).await.unwrap();
    let newest = anna.log_in(&mut api, false, &mut rng).await.unwrap();
    second.set = newest.set;
    second.pull(&mut api, false, None).await.unwrap();
    let prepared = second.prepare(&[(slot(2), Some(b"two"))], &mut rng);
    let lost = prepared.request.clone();
    let pushed = second.send(&mut api, &lost).await.unwrap();
    second.acknowledge(prepared, &pushed);
    let (ben, mut bens, _) = somebody("ben", &server, &mut rng).await;
    bens.push(&mut api, &[(slot(5), Some(b"five"))], &mut rng).await.unwrap();

    let (restored, text) = setup.run(&["restore", &backup]);
    assert!(!restored && text.contains("stop the server"), "{text}");
    assert!(tokio::task::spawn_blocking(|| server.terminate()).await.unwrap().success());
    let (restored, text) = setup.run(&["restore", &backup]);
    assert!(restored, "{text}");
    let server = setup.start();
    let mut api = Api::new(&[server.origin()]);

    // The device is unknown; it gives back the states, with the credentials, and is known.
    assert_eq!(second.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::NotFound);
    assert!(anna.log_in(&mut api, false, &mut rng).await.is_err(), "the old password is back");
    assert_eq!(second.restore(&mut api, None).await.unwrap().version, 3);
    assert_eq!(second.restore(&mut api, None).await.unwrap().version, 3, "again is no error");
    second.sign_in(&mut api).await.unwrap();
    assert_eq!(second.send(&mut api, &lost).await.unwrap(), pushed, "the same bytes again");
    assert!(anna.log_in(&mut api, false, &mut rng).await.is_ok(), "the new password");
    assert!(anna.recover(&mut api).await.is_ok());
    anna.password = "correct horse".into();
    assert!(anna.log_in(&mut api, true, &mut rng).await.is_err());
    let mut afresh = second.afresh();
    afresh.pull(&mut api, false, None).await.unwrap();
    assert!(afresh.records == second.records && afresh.records.len() == 2);

    // An account that was founded after the backup comes back under its id and name.
    assert_eq!(bens.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(
        bens.restore(&mut api, None).await.unwrap_err().code(),
        ErrorCode::NotFound,
        "without its name"
    );
    bens.restore(&mut api, Some(&ben.name)).await.unwrap();
    bens.sign_in(&mut api).await.unwrap();
    bens.create_space(&mut api).await.unwrap();
    assert!(ben.log_in(&mut api, false, &mut rng).await.is_ok());

    // Where registration is closed, only if the operator says so.
    assert!(tokio::task::spawn_blocking(|| server.terminate()).await.unwrap().success());
    assert!(setup.run(&["restore", &backup]).0);
    let closed = setup.clone().with("ALCOVE_REGISTRATION_MODE", "closed");
    let server = closed.start();
    assert_eq!(
        bens.restore(&mut api, Some(&ben.name)).await.unwrap_err().code(),
        ErrorCode::RegistrationClosed
    );
    drop(server);
    let server = closed.with("ALCOVE_REGISTRATION_READMIT", "true").start();
    bens.restore(&mut api, Some(&ben.name)).await.unwrap();
    // Credentials of somebody else are not taken with states that do not name them.
    let mut forged = bens.afresh();
    forged.states = second.states.clone();
    assert_eq!(forged.restore(&mut api, Some(&ben.name)).await.unwrap_err().code(), ErrorCode::Invalid);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_garbage_backup_is_refused_and_nothing_is_replaced() {
    let setup = Setup::new();
    drop(setup.start());
    let garbage = setup.path("garbage");
    std::fs::write(&garbage, vec![7; 100_000]).unwrap();
    let before = std::fs::read(setup.path("alcove.db")).unwrap();
    for path in [garbage.display().to_string(), setup.path("missing").display().to_string()] {
        assert!(!setup.run(&["restore", &path]).0);
    }
    assert!(std::fs::read(setup.path("alcove.db")).unwrap() == before);
}

#[test]
fn every_mistake_in_the_settings_is_named() {
    let setup = Setup::new()
        .with("ALCOVE_SERVER_LISTEN_ON", "x")
        .with("DATABASE_URL", "mysql://x")
        .with("ALCOVE_LOG_LEVEL", "loud");
    let (good, text) = setup.run(&["--check-config"]);
    assert!(!good);
    for name in ["ALCOVE_SERVER_LISTEN_ON", "DATABASE_URL", "ALCOVE_LOG_LEVEL"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    assert!(!setup.path("secrets").exists(), "nothing was made");
    let setup = Setup::new();
    assert!(setup.run(&["--check-config"]).0);
    assert!(!setup.path("alcove.db").exists());
    let missing = Setup::new().with("ALCOVE_CONFIG", "/nowhere/alcove.toml").run(&["check"]);
    assert!(!missing.0 && missing.1.contains("/nowhere/alcove.toml"), "{}", missing.1);
}

#[test]
fn a_database_is_not_used_with_other_secrets() {
    let urls = std::iter::once(None).chain(Postgres::shared().map(|postgres| Some(postgres.database())));
    for url in urls {
        let setup = match url {
            Some(url) => Setup::new().with("DATABASE_URL", url),
            None => Setup::new(),
        };
        let (good, text) = setup.run(&["check"]);
        assert!(good, "{text}");
        let secrets = setup.path("secrets");
        let kept = std::fs::read_to_string(&secrets).unwrap();
        // None where there were some: nothing is made in their place.
        std::fs::remove_file(&secrets).unwrap();
        let (good, text) = setup.run(&["check"]);
        assert!(!good && text.contains("belongs to other secrets"), "{text}");
        assert!(!secrets.exists());
        // Those of another server.
        let other = Setup::new();
        assert!(other.run(&["check"]).0);
        let theirs = std::fs::read_to_string(other.path("secrets")).unwrap();
        let (good, text) = setup.clone().with("ALCOVE_SECRETS", theirs).run(&["serve"]);
        assert!(!good && text.contains("belongs to other secrets"), "{text}");
        // By the environment.
        let (good, text) = setup.with("ALCOVE_SECRETS", kept).run(&["check"]);
        assert!(good, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_do_what_they_say() {
    let setup = Setup::new();
    let mut rng = StdRng::seed_from_u64(9);
    let server = setup.start();
    let (_, mut device, mut api) = somebody("anna", &server, &mut rng).await;
    device.push(&mut api, &[(slot(1), Some(b"one"))], &mut rng).await.unwrap();
    assert_eq!(setup.run(&["accounts", "count"]).1.trim(), "1");
    let list = setup.run(&["accounts", "list"]).1;
    let id = list.split_whitespace().next().unwrap().to_owned();
    assert!(list.contains("1 of 500000 records"), "{list}");
    assert!(setup.run(&["stats"]).1.contains("records         1"));
    assert!(setup.run(&["accounts", "quota", &id, "--bytes", "1", "--records", "1"]).0);
    let refused = device.push(&mut api, &[(slot(2), Some(b"two"))], &mut rng).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::QuotaExceeded);
    assert!(!setup.run(&["accounts", "quota", "AAAAAAAAAAAAAAAAAAAAAA", "--bytes", "1", "--records", "1"]).0);
    assert!(!setup.run(&["accounts", "delete", "garbage"]).0);
    assert!(setup.run(&["accounts", "delete", &id]).0);
    assert_eq!(device.sign_in(&mut api).await.unwrap_err().code(), ErrorCode::AccountDeleted);
    assert_eq!(setup.run(&["accounts", "count"]).1.trim(), "0");
    assert!(setup.run(&["purge"]).0);
    assert!(setup.run(&["openapi"]).1.contains("\"openapi\": \"3.1.0\""));
    assert!(setup.run(&["--help"]).1.contains("--check-config"));
    drop(server);

    // An invitation works once; a closed server says what opens it.
    let invited = setup.clone().with("ALCOVE_REGISTRATION_MODE", "invite");
    let code = invited.run(&["invite"]).1.trim().to_owned();
    let server = invited.start();
    assert!(server.log().contains("alcove-server invite"));
    let mut person = Person::new("ben", "password", &mut rng);
    person.invite = Some(code);
    let mut api = Api::new(&[server.origin()]);
    assert!(person.sign_up(&mut api, &mut rng).await.is_ok());
    drop(server);
    let server = setup.with("ALCOVE_REGISTRATION_MODE", "closed").start();
    assert!(server.log().contains("registration.mode = \"open\""));
}

/// The words that people send stand nowhere in what the server keeps or says.
#[tokio::test(flavor = "multi_thread")]
async fn names_addresses_and_ids_are_in_no_log_and_no_database() {
    let setup = Setup::new()
        .with("ALCOVE_LOG_LEVEL", "debug")
        .with("ALCOVE_LOG_FORMAT", "json")
        .with("ALCOVE_SERVER_TRUSTED_PROXIES", "127.0.0.1");
    let mut rng = StdRng::seed_from_u64(9);
    let server = setup.start();
    let (person, mut device, mut api) = somebody("rumpelstilzchen", &server, &mut rng).await;
    device.push(&mut api, &[(slot(1), Some(b"haselnuss"))], &mut rng).await.unwrap();
    let logged_in = person.log_in(&mut api, false, &mut rng).await.unwrap();
    let address = server.origin().replace("http://", "");
    let sent = std::process::Command::new("curl")
        .args([
            "-s",
            "-A",
            "zauberspiegel",
            "-H",
            "X-Forwarded-For: 203.0.113.77",
            &format!("http://{address}/v1/schneewittchen?x=1"),
        ])
        .output();
    drop(sent);
    let printed = [setup.run(&["support"]).1, setup.run(&["accounts", "list"]).1].concat();
    let id = alcove_tests::client::path(alcove_protocol::endpoint::PUSH, Some(device.space().as_bytes()));
    let id = id.split('/').nth(3).unwrap().to_owned();
    drop(logged_in);
    let _ = tokio::task::spawn_blocking(|| server.terminate()).await.unwrap();
    let log = std::fs::read_to_string(setup.path("log")).unwrap();
    assert!(log.contains("/v1/spaces/{space}/push"), "requests are logged at this level");
    let files = std::fs::read_dir(setup.path(".")).unwrap();
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.file_name().unwrap() != "log");
    let database: Vec<u8> = files.flat_map(|path| std::fs::read(path).unwrap()).collect();
    assert!(database.len() > 100_000);
    for word in
        ["rumpelstilzchen", "haselnuss", "zauberspiegel", "203.0.113.77", "schneewittchen", "127.0.0.1:5"]
    {
        assert!(!log.contains(word) && !printed.contains(word), "{word}");
        assert!(
            !database.windows(word.len()).any(|window| window == word.as_bytes()),
            "{word} is on the disk"
        );
    }
    assert!(!log.contains(&id), "ids are not for logs");
}
