use proptest::prelude::*;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Vec<_>>().into_iter()
}

fn places(result: Result<Config, Vec<ConfigError>>) -> Vec<String> {
    result.err().unwrap_or_default().into_iter().map(|error| error.place).collect()
}

#[test]
fn the_sample_holds_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/alcove.sample.toml");
    if std::env::var_os("UPDATE_SAMPLE").is_some() {
        std::fs::write(path, Config::sample()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), Config::sample(), "UPDATE_SAMPLE=1 writes it");
    let read = Config::load(Some(&Config::sample()), variables(&[])).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", Config::default()));
}

#[test]
fn variables_go_before_the_file() {
    let file =
        "[server]\nlisten = \"127.0.0.1:1\"\norigins = [\"https://a.example\"]\n[quota]\nbytes = \"5MiB\"\n";
    let config =
        Config::load(Some(file), variables(&[("ALCOVE_SERVER_LISTEN", "127.0.0.1:2"), ("HOME", "/")]));
    let config = config.unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!((config.quota.bytes, config.server.origins.len()), (5 << 20, 1));
}

#[test]
fn every_mistake_is_named_at_once() {
    let file = "stray = 1\n[server]\nlisten = 7\nlisen = \"x\"\n[limits]\nlogins_per_hour = -1\n[tls]\nkey = \"k\"\n";
    let found = Config::load(
        Some(file),
        variables(&[
            ("DATABASE_URL", "mysql://db"),
            ("ALCOVE_LOG_LEVEL", "loud"),
            ("ALCOVE_REGISTRATION_MOD", "open"),
        ]),
    );
    let errors = found.clone().unwrap_err();
    let mut places = places(found);
    places.sort();
    let expected = [
        "ALCOVE_LOG_LEVEL",
        "ALCOVE_REGISTRATION_MOD",
        "DATABASE_URL",
        "limits.logins_per_hour",
        "server.lisen",
        "server.listen",
        "stray",
        "tls.certificate",
    ];
    assert_eq!(places, expected);
    let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(
        text.contains(&"server.lisen: there is no such setting; did you mean server.listen?".to_owned()),
        "{text:?}"
    );
    assert!(text.iter().any(|line| line.contains("did you mean ALCOVE_REGISTRATION_MODE?")), "{text:?}");
}

#[test]
fn an_unusable_database_is_a_mistake_and_never_another_database() {
    for url in ["", "sqlite:", "sqlite:a.db?mode=memory", "postgres://host:port/x", "postgre://x", "a.db"] {
        let found = Config::load(None, variables(&[("DATABASE_URL", url)]));
        assert_eq!(places(found), ["DATABASE_URL"], "{url}");
    }
    let two = [("DATABASE_URL", "sqlite:a"), ("ALCOVE_DATABASE_URL", "sqlite:b")];
    assert_eq!(places(Config::load(None, variables(&two))), ["DATABASE_URL"]);
}

#[test]
fn passwords_are_never_shown() {
    for url in [
        "postgres://anna:hunter2@db/alcove",
        "postgresql://anna:hunter2@db/alcove?sslmode=require",
        "postgres://db/alcove?user=anna&password=hunter2",
        "postgres://anna:other@db/alcove?password=hunter2",
    ] {
        let config = Config::load(None, variables(&[("DATABASE_URL", url)])).unwrap();
        let shown = format!("{config:?} {} {:?}", config.database.url, config.redacted());
        assert!(!shown.contains("hunter2") && !shown.contains("other"), "{shown}");
    }
    for line in ["url = \"postgres://anna:hunter2@db", "url = postgres://anna:hunter2@db/alcove"] {
        let errors = Config::load(Some(&format!("[database]\n{line}\n")), variables(&[])).unwrap_err();
        assert_eq!(errors[0].place, "the file, line 2");
        assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn origins_are_exact() {
    let mut server = Config::default().server;
    for good in ["http://127.0.0.1:8787", "http://localhost", "https://[::1]:8443"] {
        assert!(server.is_origin(good), "{good}");
    }
    for bad in [
        "https://example.org",
        "http://localhost/",
        "http://localhost@evil.org",
        "localhost",
        "ftp://localhost",
        "http://127.0.0.1.evil.org",
    ] {
        assert!(!server.is_origin(bad), "{bad}");
    }
    server.origins = vec!["https://sync.example.org".into()];
    assert!(server.is_origin("https://sync.example.org") && !server.is_origin("http://127.0.0.1:8787"));
    for bad in [
        "http://sync.example.org",
        "https://sync.example.org/",
        "https://a@b",
        "sync.example.org",
        "https://:8443",
        "https://sync.example.org:",
        "https://sync.example.org:99999",
        "https://sync.example.org:0",
        "https://*.example.org",
    ] {
        assert_eq!(
            places(Config::load(None, variables(&[("ALCOVE_SERVER_ORIGINS", bad)]))).len(),
            1,
            "{bad}"
        );
    }
}

#[test]
fn only_listed_proxies_are_believed() {
    let found =
        Config::load(None, variables(&[("ALCOVE_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,fd00::/8")]));
    let server = found.unwrap().server;
    for (address, trusted) in [
        ("10.9.8.7", true),
        ("11.0.0.1", false),
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("fd12::1", true),
        ("fe80::1", false),
        ("::ffff:10.1.1.1", true),
    ] {
        assert_eq!(server.trusts(address.parse().unwrap()), trusted, "{address}");
    }
    for bad in ["10.0.0.0/33", "fd00::/129", "all", "10.0.0.0/x"] {
        assert_eq!(places(Config::load(None, variables(&[("ALCOVE_SERVER_TRUSTED_PROXIES", bad)]))).len(), 1);
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_without_panic(file: String, name: String, text: String) {
        drop(Config::load(Some(&file), [(format!("ALCOVE_{name}"), text.clone())].into_iter()));
        for key in ["SERVER_LISTEN", "SERVER_ORIGINS", "SERVER_TRUSTED_PROXIES", "DATABASE_URL", "QUOTA_BYTES", "HISTORY_DAYS"] {
            drop(Config::load(None, [(format!("ALCOVE_{key}"), text.clone())].into_iter()));
        }
    }
}
