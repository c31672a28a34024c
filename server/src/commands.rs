//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::secrets::{Secrets, SecretsError};
use crate::store::{self, Options, Store, StoreError};
use crate::tls::TlsError;

mod accounts;
mod backup;
mod operate;
mod serve;

/// Alcove's server: signs people in by OPAQUE and holds ciphertext.
///
/// Without arguments it serves on 127.0.0.1:8787 with SQLite in ./data and secrets in ./secrets, all of which it makes.
/// Settings come from variables (ALCOVE_SERVER_LISTEN, DATABASE_URL, …), then from a file; `sample` prints every one.
#[derive(Parser)]
#[command(name = "alcove-server", version, max_term_width = 110)]
struct Cli {
    /// A file with settings; ALCOVE_CONFIG means the same
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings, name every mistake, and do nothing else
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (this is what happens without a command)
    Serve,
    /// Check settings, secrets and database, without changing anything but the schema
    Check,
    /// Write a backup of the SQLite database while the server runs
    Backup {
        /// The file to write
        to: PathBuf,
    },
    /// Put a backup of the SQLite database back; the server must not run
    Restore {
        /// The backup
        from: PathBuf,
    },
    /// Count, list or delete accounts, or change what they may store
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Make an invitation
    Invite {
        /// How many accounts may be founded with it
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// For how many days it is good
        #[arg(long, default_value_t = 14)]
        days: u32,
    },
    /// Do now what is done in the background: sweep deleted accounts, forget old history
    Purge,
    /// Totals
    Stats,
    /// Print the description of the API (OpenAPI)
    Openapi,
    /// Print a file with every setting, its meaning and its default
    Sample,
    /// Print a summary without secrets, names or addresses, to be sent along with a question
    Support,
}

/// Why a command failed.
#[derive(Debug, Error)]
enum Failure {
    #[error("the settings have mistakes:\n{}", .0.iter().map(|error| format!("  {error}")).collect::<Vec<_>>().join("\n"))]
    Config(Vec<ConfigError>),
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Randomness(#[from] crate::tokens::NoRandomness),
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
    #[error(
        "this database belongs to other secrets than those in {secrets}.\n\
         Put the secrets back with which it was made (they are not in a backup), or use another database.\n\
         With other secrets nobody could log in by name and password."
    )]
    OtherSecrets { secrets: String },
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::io("cannot start")(error)),
    };
    match runtime.block_on(command(Cli::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("alcove-server: {failure}");
    ExitCode::FAILURE
}

async fn command(cli: Cli) -> Result<(), Failure> {
    // What needs no settings works also when they are wrong.
    match &cli.command {
        Some(Command::Openapi) => return print(&crate::api::openapi::document()),
        Some(Command::Sample) => return print(&Config::sample()),
        _ => {}
    }
    let config = load(cli.config)?;
    if cli.check_config {
        return operate::check_config(&config);
    }
    crate::logging::start(&config.log);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(config).await,
        Command::Check => operate::check(config).await,
        Command::Backup { to } => backup::backup(&config, &to).await,
        Command::Restore { from } => backup::restore(&config, &from).await,
        Command::Accounts(command) => accounts::run(config, command).await,
        Command::Invite { uses, days } => accounts::invite(config, uses, days).await,
        Command::Purge => operate::purge(config).await,
        Command::Stats => operate::stats(config).await,
        Command::Support => operate::support(config).await,
        Command::Openapi | Command::Sample => Ok(()),
    }
}

/// Prints; a reader that has gone away, as in `… | head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot print")(error))
        }
        _ => Ok(()),
    }
}

fn load(path: Option<PathBuf>) -> Result<Config, Failure> {
    let path = path.or_else(|| std::env::var_os("ALCOVE_CONFIG").map(PathBuf::from));
    let text = match &path {
        Some(path) => {
            let what = format!("the settings in {} cannot be read", path.display());
            Some(std::fs::read_to_string(path).map_err(Failure::io(what))?)
        }
        None => None,
    };
    // A variable that is no text is a mistake for whatever reads it; it is not left out.
    let variables = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    Config::load(text.as_deref(), variables).map_err(Failure::Config)
}

/// What was made on the way.
struct Opened {
    app: App,
    made_secrets: bool,
}

/// Opens secrets and database, which must belong together. Secrets are made only for a database that has none.
async fn open(config: Config) -> Result<Opened, Failure> {
    let file = &config.secrets.file;
    let known = match std::env::var_os("ALCOVE_SECRETS") {
        Some(text) => Some(Secrets::parse(&text.to_string_lossy(), "ALCOVE_SECRETS")?),
        None => Secrets::read(file)?,
    };
    let metrics = Arc::default();
    let options = Options {
        connections_max: config.database.connections_max,
        metrics: Arc::clone(&metrics),
        ..Options::default()
    };
    let store = store::open(&config.database.url, &options).await?;
    let bound = store.bound_secrets().await?;
    let made_secrets = known.is_none();
    let secrets = match known {
        Some(secrets) => secrets,
        None if bound.is_some() => {
            return Err(Failure::OtherSecrets { secrets: format!("{} (there are none)", file.display()) });
        }
        None => {
            let secrets = Secrets::make()?;
            secrets.write(file)?;
            secrets
        }
    };
    bind(store.as_ref(), &secrets, &config).await?;
    let app = App::new(store, secrets, config, Clock::default(), metrics)?;
    Ok(Opened { app, made_secrets })
}

async fn bind(store: &dyn Store, secrets: &Secrets, config: &Config) -> Result<(), Failure> {
    let fingerprint = secrets.fingerprint();
    if store.bind_secrets(fingerprint.clone()).await? == fingerprint {
        return Ok(());
    }
    Err(Failure::OtherSecrets { secrets: config.secrets.file.display().to_string() })
}
