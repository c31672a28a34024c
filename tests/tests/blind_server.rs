//! Goal: the server cannot open a record, because the code that could is not in it.
//!
//! Everything that seals or opens stands in `alcove-crypto` behind the feature `client`. Only crates that run on a user's
//! device, and our own tests and benches, may enable it: whatever else is or joins the workspace must not, directly or
//! through another crate.

use alcove_tests::{cargo_metadata, run};

/// The crates that may open records.
const READERS: &[&str] =
    &["alcove-sdk", "alcove", "alcove-ffi", "alcove-tests", "alcove-bench", "alcove-crypto"];

fn members() -> Vec<String> {
    let metadata = cargo_metadata();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect()
}

/// The features of `alcove-crypto` that a build of this package alone turns on, by cargo's own resolution.
fn crypto_features(package: &str) -> Vec<String> {
    let tree = run(
        env!("CARGO"),
        &[
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}\t{f}",
        ],
    );
    tree.lines()
        .filter(|line| line.starts_with("alcove-crypto "))
        .filter_map(|line| line.split('\t').nth(1))
        .flat_map(|features| features.split(','))
        .map(|feature| feature.trim_end_matches(" (*)").trim().to_owned())
        .filter(|feature| !feature.is_empty())
        .collect()
}

#[test]
fn no_crate_that_a_server_is_built_from_can_open_a_record() {
    let blind: Vec<_> = members().into_iter().filter(|name| !READERS.contains(&name.as_str())).collect();
    assert!(blind.contains(&"alcove-protocol".to_owned()), "the server's crates are missing: {blind:?}");
    for package in blind {
        let features = crypto_features(&package);
        assert!(features.is_empty(), "{package} enables {features:?} of alcove-crypto");
    }
}

/// The test above would be worth nothing if it could not see the feature where it is on.
#[test]
fn the_feature_is_seen_where_it_is_on() {
    assert!(crypto_features("alcove-bench").contains(&"client".to_owned()));
}

/// And the feature would be worth nothing if the modules did not stand behind it.
#[test]
fn without_the_feature_nothing_seals_or_opens() {
    let docs = alcove_tests::workspace_root().join("crypto/src/lib.rs");
    let source = std::fs::read_to_string(docs).unwrap();
    for module in ["attachment", "hpke", "local", "padding", "sealed"] {
        let gated = format!("#[cfg(feature = \"client\")]\npub mod {module};");
        let private = gated.replace("pub mod", "mod");
        assert!(source.contains(&gated) || source.contains(&private), "{module} is not behind the feature");
    }
    let tree = run(
        env!("CARGO"),
        &["tree", "--locked", "--package", "alcove-crypto", "--edges", "normal", "--prefix", "none"],
    );
    for sealing in ["ring ", "hpke ", "chacha20poly1305 ", "x25519-dalek "] {
        let found = tree.lines().any(|line| line.starts_with(sealing));
        assert!(!found, "alcove-crypto without features is built with {sealing}");
    }
}
