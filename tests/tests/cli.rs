//! Goal: the terminal journal does what it says, as a real program: for people, for pipes and for programs, and after being killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use alcove_tests::process::{Setup, journal};
use serde_json::Value;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";

/// A journal in a folder of its own.
struct Journal {
    folder: TempDir,
}

impl Journal {
    fn new() -> Self {
        let journal = Self { folder: tempfile::tempdir().unwrap() };
        journal.say(&["init"]);
        std::fs::write(journal.path("password"), format!("{PASSWORD}\n{PASSWORD}\n")).unwrap();
        journal
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(journal());
        command
            .args(arguments)
            .env("ALCOVE_STORE", self.path("store"))
            .env("ALCOVE_KEY_FILE", self.path("keys"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env_remove("VISUAL")
            .env_remove("EDITOR")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.say(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(!output.status.success(), "{arguments:?}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        value["code"].as_str().unwrap().to_owned()
    }

    fn bodies(&self) -> Vec<String> {
        let entries = self.json(&["list", "-n", "1000"]);
        let bodies =
            entries.as_array().unwrap().iter().map(|entry| entry["body"].as_str().unwrap().to_owned());
        let mut bodies: Vec<_> = bodies.collect();
        bodies.sort();
        bodies
    }
}

#[test]
fn a_journal_without_an_account() {
    let journal = Journal::new();
    assert!(journal.say(&["list"]).contains("No entries"));
    journal.say(&["write", "--title", "Rain", "--tag", "weather", "It", "rained"]);
    let mut piped =
        journal.command(&["write", "--at", "2026-01-02 03:04"]).stdin(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all("from a pipe\nand on\n".as_bytes()).unwrap();
    assert!(piped.wait().unwrap().success());
    let entries = journal.json(&["list"]);
    assert_eq!(entries[0]["title"], "Rain");
    assert_eq!(entries[1]["body"], "from a pipe\nand on");
    assert_eq!(journal.json(&["list", "--tag", "weather"]).as_array().unwrap().len(), 1);
    assert_eq!(
        journal.json(&["list", "--from", "2026-01-02", "--to", "2026-01-02"]).as_array().unwrap().len(),
        1
    );
    let id = entries[1]["id"].as_str().unwrap();

    // In an editor, which finds the text in a file of its owner's, in a folder that is memory where there is one.
    let seen = journal.path("seen");
    let script = journal.path("editor");
    let code = format!(
        "#!/bin/sh\nstat -c %a \"$1\" > {0}; dirname \"$1\" >> {0}; echo edited >> \"$1\"\n",
        seen.display()
    );
    std::fs::write(&script, code).unwrap();
    Command::new("chmod").arg("+x").arg(&script).status().unwrap();
    let edit = journal.command(&["edit", &id[..6]]).env("EDITOR", &script).status().unwrap();
    assert!(edit.success());
    assert_eq!(journal.json(&["show", id])["body"], "from a pipe\nand onedited");
    let seen = std::fs::read_to_string(seen).unwrap();
    let (mode, folder) = seen.trim().split_once('\n').unwrap();
    assert_eq!(mode, "600");
    assert!(!Path::new(folder).exists(), "nothing is left of it");
    let failing = journal.command(&["edit", id]).env("EDITOR", "false").output().unwrap();
    assert!(!failing.status.success());

    journal.say(&["mood", "4", "--emotion", "calm", "--trigger", "sun", "--note", "a good one"]);
    assert_eq!(journal.refused(&["mood", "9"]), "failed");
    assert!(journal.say(&["mood"]).contains("●●●●○  calm  sun  a good one"));
    let found = journal.json(&["search", "GOOD", "one"]);
    assert_eq!((found.as_array().unwrap().len(), &found[0]["kind"]), (1, &"mood".into()));
    let status = journal.json(&["status"]);
    assert_eq!((&status["records"], &status["account"]), (&3.into(), &Value::Null));

    // Out and into another journal; twice adds nothing.
    journal.say(&["export", "export.json"]);
    assert!(!journal.run(&["export", "export.json"]).status.success(), "no file is overwritten");
    let other = Journal::new();
    let file = journal.path("export.json");
    let file = file.to_str().unwrap();
    assert_eq!(other.json(&["import", file]), serde_json::json!({ "added": 3, "kept": 0 }));
    assert_eq!(other.json(&["import", file]), serde_json::json!({ "added": 0, "kept": 3 }));
    assert_eq!(other.bodies(), journal.bodies());
    std::fs::write(journal.path("bad.json"), "{}").unwrap();
    assert!(!journal.run(&["import", "bad.json"]).status.success());
    assert!(journal.say(&["export", "--format", "markdown"]).contains("## Rain"));

    journal.say(&["delete", id]);
    assert_eq!(journal.refused(&["show", id]), "not_found");
    assert_eq!(journal.refused(&["init"]), "usage");
    assert_eq!(journal.refused(&["sync"]), "no_account");
    assert!(journal.say(&["doctor"]).contains("ok  the journal is not damaged"));
}

#[test]
fn passwords_come_from_a_terminal_or_a_file_and_from_nowhere_else() {
    let journal = Journal::new();
    let output = journal.run(&["sign-up", "anna"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--password-file"));
    for argument in ["--password", "--passphrase", "-p"] {
        assert!(!journal.run(&["sign-up", "anna", argument, "secret"]).status.success());
    }
    // A journal behind a passphrase.
    let folder = tempfile::tempdir().unwrap();
    let with = |passphrase: &str, arguments: &[&str]| {
        std::fs::write(folder.path().join("passphrase"), passphrase).unwrap();
        let mut command = Command::new(alcove_tests::process::journal());
        command.args(arguments).args(["--json", "--password-file"]).arg(folder.path().join("passphrase"));
        command.env("ALCOVE_STORE", folder.path().join("store")).env_remove("ALCOVE_KEY_FILE");
        command.stdin(Stdio::null()).output().unwrap().status.success()
    };
    assert!(with("horse", &["init"]));
    assert!(with("horse", &["write", "behind it"]));
    assert!(!with("house", &["list"]));
    assert!(with("horse", &["list"]));
}

#[test]
fn completions_and_a_manual_page() {
    let journal = Journal::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(journal.say(&["completions", shell]).contains("sign-up"), "{shell}");
    }
    let manual = journal.say(&["man"]);
    assert!(manual.contains(".TH alcove") && manual.contains("sign\\-up"));
}

#[test]
fn two_devices_and_a_server() {
    let server = Setup::new().start();
    let (phone, tablet) = (Journal::new(), Journal::new());
    let with_password = |journal: &Journal, arguments: &[&str]| {
        let file = journal.path("password");
        let arguments =
            [arguments, &["--server", &server.origin(), "--password-file", file.to_str().unwrap()]];
        journal.say(&arguments.concat())
    };
    phone.say(&["write", "on the phone"]);
    let said = with_password(&phone, &["sign-up", "anna"]);
    assert!(said.contains("Your recovery code"), "{said}");
    let said = with_password(&tablet, &["log-in", "anna", "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["needs_confirmation"], &report["complete"]), (&true.into(), &true.into()));
    tablet.say(&["write", "on the tablet"]);
    tablet.say(&["sync", "--confirm"]);
    phone.say(&["sync"]);
    assert_eq!(phone.bodies(), ["on the phone", "on the tablet"]);

    // A third one by a code, while the first waits.
    let laptop = Journal::new();
    let file = phone.path("password");
    let arguments = ["devices", "invite", "--json", "--password-file", file.to_str().unwrap()];
    let mut inviting = phone.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(inviting.stdout.take().unwrap()).lines();
    let code: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    laptop.say(&["join", code["code"].as_str().unwrap()]);
    assert!(inviting.wait().unwrap().success());
    assert_eq!(laptop.bodies(), phone.bodies());
    let devices = phone.json(&["devices"]);
    assert_eq!(devices.as_array().unwrap().len(), 3);

    let tablet_id = tablet.json(&["devices"]);
    let tablet_id = tablet_id.as_array().unwrap().iter().find(|device| device["is_this"] == true).unwrap();
    let tablet_id = tablet_id["id"].as_str().unwrap();
    phone.say(&["devices", "revoke", &tablet_id[..8], "--password-file", file.to_str().unwrap()]);
    assert_eq!(tablet.refused(&["sync"]), "sign_in_again");
    phone.say(&["password", "--password-file", file.to_str().unwrap()]);

    // What the others write is seen as it comes.
    let mut watching =
        laptop.command(&["watch", "--every", "1", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    std::thread::sleep(Duration::from_millis(500));
    phone.say(&["write", "seen at once"]);
    phone.say(&["sync"]);
    let seen = lines.find(|line| line.as_ref().unwrap().contains("seen at once"));
    assert!(seen.is_some());
    watching.kill().unwrap();
    watching.wait().unwrap();
    phone.say(&["delete-account", "--password-file", file.to_str().unwrap()]);
    assert_eq!(phone.refused(&["sync"]), "account_deleted");
    assert_eq!(phone.bodies().len(), 3);
}

/// Killed at any moment of writing and syncing: what was acknowledged is there, and the next sync goes on.
#[test]
fn a_journal_that_is_killed_again_and_again() {
    let server = Setup::new().start();
    let (phone, tablet) = (Journal::new(), Journal::new());
    let file = phone.path("password");
    let account = ["--server", &server.origin(), "--password-file", file.to_str().unwrap()];
    phone.say(&[&["sign-up", "anna"][..], &account].concat());
    tablet.say(&[&["log-in", "anna"][..], &account].concat());
    tablet.say(&["sync", "--confirm"]);
    let mut written = Vec::new();
    for round in 0..25_u64 {
        for (name, journal) in [("phone", &phone), ("tablet", &tablet)] {
            let body = format!("{name} {round}");
            let mut writing =
                journal.command(&["write", &body, "--json"]).stdout(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(round * 7 % 23));
            writing.kill().ok();
            let said = writing.wait_with_output().unwrap();
            // Killed before it could say so: it may be there or not.
            if said.status.success() {
                written.push(body);
            }
            let mut syncing =
                journal.command(&["sync"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(round * 11 % 31));
            syncing.kill().ok();
            syncing.wait().unwrap();
        }
    }
    for journal in [&phone, &tablet, &phone] {
        journal.say(&["sync"]);
    }
    let bodies = phone.bodies();
    assert_eq!(bodies, tablet.bodies());
    assert!(
        !written.is_empty() && written.iter().all(|body| bodies.contains(body)),
        "{written:?} {bodies:?}"
    );
    assert!(bodies.windows(2).all(|pair| pair[0] != pair[1]), "nothing is doubled");
    assert_eq!(phone.json(&["status"])["incidents"], 0);
}

#[test]
fn the_tour_shows_both_sides_and_leaves_nothing() {
    let setup = Setup::new();
    let server = setup.start();
    let journal = Journal::new();
    let said = journal.say(&["demo", "--server", &server.origin()]);
    assert!(said.matches("I walked along the wide river. / It was cold, and bright.").count() >= 2, "{said}");
    assert!(said.contains("1097 bytes"), "{said}");
    let (_, stats) = setup.run(&["stats"]);
    assert!(stats.contains("accounts") && !stats.contains("tour-"), "{stats}");
    assert!(!journal.run(&["demo", "--server", "http://example.org"]).status.success());
}
