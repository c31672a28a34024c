//! A real PostgreSQL for tests, as an ordinary user, in a folder that goes when the test does.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A cluster of one's own.
pub struct Postgres {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Stops the cluster and removes the folder when its input is closed: when this process ends, however it ends.
    _watcher: Child,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Postgres {
    /// The cluster of this test process. Without PostgreSQL on this machine there is none, and a line says so; in CI that is a
    /// failure.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(Self::start_own).as_ref()
    }

    /// Another cluster, for a test that stops it.
    ///
    /// # Panics
    /// In CI, when there is no PostgreSQL on this machine; anywhere, when it does not start.
    #[must_use]
    pub fn start_own() -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL is missing, and CI must not do without");
            eprintln!("skipped on PostgreSQL: it is not installed here");
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("alcove-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        if is_root() {
            run(Command::new("chown").args(["nobody:nogroup"]).arg(&folder));
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let watcher = watch(&binaries, &folder);
        let postgres = Self { binaries, folder, port, _watcher: watcher };
        let data = postgres.data();
        run(postgres
            .command("initdb")
            .args(["-A", "trust", "-N", "--locale=C.UTF-8", "-U", "postgres", "-D"])
            .arg(data));
        postgres.start();
        Some(postgres)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A command of PostgreSQL's, as an ordinary user: it refuses to run as root.
    fn command(&self, program: &str) -> Command {
        as_nobody(&self.binaries.join(program), &self.folder)
    }

    /// Starts it, after it was stopped, on the same port.
    pub fn start(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=60",
            self.port,
            self.folder.display()
        );
        let log = self.folder.join("log");
        run(self
            .command("pg_ctl")
            .args(["-w", "start", "-o", &options, "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(log));
    }

    /// Stops it as a power failure would.
    pub fn stop(&self) {
        run(self.command("pg_ctl").args(["-w", "stop", "-m", "immediate", "-D"]).arg(self.data()));
    }

    /// Makes an empty database and gives its URL.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let port = self.port.to_string();
        let create = format!("CREATE DATABASE {name}");
        run(self.command("psql").args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, "-c", &create]));
        format!("postgres://postgres@127.0.0.1:{port}/{name}")
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn as_nobody(program: &Path, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn watch(binaries: &Path, folder: &Path) -> Child {
    let stop = as_nobody(&binaries.join("pg_ctl"), folder);
    let words: Vec<_> = std::iter::once(stop.get_program())
        .chain(stop.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!(
        "trap '' INT TERM HUP; read _; {} -m immediate -D '{}' stop; rm -rf '{}'",
        words.join(" "),
        folder.join("data").display(),
        folder.display()
    );
    Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

fn binaries() -> Option<PathBuf> {
    let has = |folder: &PathBuf| folder.join("initdb").exists();
    let mut debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(has)
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find(has);
    debian.pop().or(in_path)
}

fn run(command: &mut Command) {
    // What it starts must not hold our pipes open, so nothing is captured but in a file.
    let log = tempfile::NamedTempFile::new().expect("a file");
    let (out, err) = (log.reopen().expect("a file"), log.reopen().expect("a file"));
    let status =
        command.stdout(out).stderr(err).status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if !status.success() {
        let text = std::fs::read_to_string(log.path()).unwrap_or_default();
        std::io::stderr().write_all(text.as_bytes()).ok();
        panic!("{command:?} failed");
    }
}
