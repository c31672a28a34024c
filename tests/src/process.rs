//! Our programs as real processes: started, killed, started again.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::workspace_root;

/// How long a server may take to say that it is ready.
const READY_WAIT: Duration = Duration::from_secs(20);

/// How a process is started; clones share the folder.
#[derive(Clone)]
pub struct Setup {
    folder: std::sync::Arc<tempfile::TempDir>,
    port: u16,
    variables: Vec<(String, String)>,
    /// A program with arguments that runs the server: `prlimit …`.
    wrapper: Vec<String>,
}

impl Setup {
    /// With a folder, a port, and no limits of rate. The database is SQLite, unless a variable says something else.
    ///
    /// # Panics
    /// When there is no folder or port to be had.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let variables = [
            ("DATABASE_URL", format!("sqlite:{}", path("alcove.db"))),
            ("ALCOVE_SECRETS_FILE", path("secrets")),
            ("ALCOVE_LIMITS_REQUESTS_PER_MINUTE", "0".into()),
            ("ALCOVE_LIMITS_ACCOUNT_REQUESTS_PER_MINUTE", "0".into()),
            ("ALCOVE_LIMITS_LOGINS_PER_MINUTE", "0".into()),
            ("ALCOVE_LIMITS_LOGINS_PER_HOUR", "0".into()),
        ];
        let variables = variables.map(|(name, text)| (name.to_owned(), text)).to_vec();
        Self { folder: folder.into(), port, variables, wrapper: vec![] }
    }

    /// With a variable.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), text.into()));
        self
    }

    /// Another node: the same but for the port.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { port: free_port(), ..self.clone() }
    }

    /// Run by another program.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// A path in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.wrapper.split_first() {
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(binary());
                command
            }
            None => Command::new(binary()),
        };
        command.args(arguments).current_dir(self.folder.path()).envs(self.variables.iter().cloned());
        command.env("ALCOVE_SERVER_LISTEN", format!("127.0.0.1:{}", self.port)).stdin(Stdio::null());
        command
    }

    /// Runs a command of the server's to its end; gives whether it succeeded, and all that it printed.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments).output().expect("the server's program");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start(&self) -> Server {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let mut command = self.command(&["serve"]);
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        let mut server =
            Server { child: command.spawn().expect("the server's program"), setup: self.clone() };
        let begun = Instant::now();
        while !server.is_ready() {
            let ended = server.child.try_wait().expect("a process");
            assert!(
                ended.is_none() && begun.elapsed() < READY_WAIT,
                "the server does not serve:\n{}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A process that serves.
pub struct Server {
    child: Child,
    setup: Setup,
}

impl Server {
    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.setup.port)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it and those before it have written.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.setup.path("log")).unwrap_or_default()
    }

    /// The most memory that it has used, in KiB.
    #[must_use]
    pub fn memory_peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    }

    fn is_ready(&self) -> bool {
        use std::io::{Read as _, Write as _};
        let ask = || {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.setup.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
        };
        ask().unwrap_or(false)
    }

    /// Kills it as a power failure would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("a process");
        self.child.wait().expect("a process");
    }

    /// Tells it to stop, and waits.
    ///
    /// # Panics
    /// When it cannot be told.
    #[must_use]
    pub fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        self.child.wait().expect("a process")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The server's program, built once.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| program("alcove-server", "ALCOVE_SERVER_BIN"))
}

/// The terminal journal, built once.
pub fn journal() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| program("alcove", "ALCOVE_BIN"))
}

/// A program of the workspace, or the one that a variable names.
fn program(package: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "-q", "--locked", "-p", package, "--message-format=json"])
        .current_dir(workspace_root())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{package} does not build");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("an executable")
}
