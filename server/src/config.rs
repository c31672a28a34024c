//! Settings: environment over file over default. Every mistake is named at once, and nothing falls back in silence.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use alcove_protocol::limits::{HISTORY_DAYS, QUOTA_BYTES_DEFAULT, QUOTA_RECORDS_DEFAULT};
use alcove_protocol::server::Registration;
use thiserror::Error;

pub use crate::config::values::{Cidr, DatabaseUrl, LogFormat};

mod table;
mod values;

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// How it listens.
    pub server: Server,
    /// Certificate and key, if it speaks TLS itself.
    pub tls: Option<Tls>,
    /// Where it remembers.
    pub database: Database,
    /// Where its secrets are.
    pub secrets: Secrets,
    /// Who may found an account.
    pub registration: RegistrationPolicy,
    /// What an account may store.
    pub quota: Quota,
    /// How often somebody may ask.
    pub limits: Limits,
    /// How long commits and the ids of deleted slots are kept.
    pub history: History,
    /// What it writes down.
    pub log: Log,
}

/// How the server listens.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// Origins that clients dial.
    pub origins: Vec<String>,
    /// Where metrics are served, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Connections at most.
    pub connections_max: u32,
    /// Memory for bodies that are being read.
    pub body_memory_mib: u32,
    /// How long one request may take.
    pub request_timeout_s: u32,
    /// How long a connection may be idle, and how long its next request's head may take.
    pub idle_timeout_s: u32,
    /// How long requests under way have when the server is told to stop.
    pub shutdown_timeout_s: u32,
}

/// Files for TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain in PEM.
    pub certificate: PathBuf,
    /// Private key in PEM.
    pub key: PathBuf,
}

/// Where the server remembers.
#[derive(Clone, Debug)]
pub struct Database {
    /// Which database.
    pub url: DatabaseUrl,
    /// Connections at most.
    pub connections_max: u32,
}

/// Where the secrets are.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Their file.
    pub file: PathBuf,
}

/// Who may found an account.
#[derive(Clone, Debug)]
pub struct RegistrationPolicy {
    /// Anybody, nobody, or who was invited.
    pub mode: Registration,
    /// Whether accounts that vanished with a restored backup may come back although registration is not open.
    pub readmit: bool,
}

/// What an account may store.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

/// How often somebody may ask; 0 is no limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests of one address.
    pub requests_per_minute: u32,
    /// Requests of one account.
    pub account_requests_per_minute: u32,
    /// Registrations, logins, recoveries and restorations of one address.
    pub logins_per_minute: u32,
    /// Logins under one name.
    pub logins_per_hour: u32,
}

/// How long history is kept.
#[derive(Clone, Debug)]
pub struct History {
    /// In days.
    pub days: u32,
}

/// What the server writes down.
#[derive(Clone, Debug)]
pub struct Log {
    /// As text or JSON.
    pub format: LogFormat,
    /// From which level on.
    pub level: tracing::Level,
}

impl Server {
    /// Whether clients may reach this server under an origin: one that is listed, or the loopback of this machine when
    /// none is.
    #[must_use]
    pub fn is_origin(&self, origin: &str) -> bool {
        if self.origins.is_empty() {
            values::is_loopback_origin(origin)
        } else {
            self.origins.iter().any(|one| one == origin)
        }
    }

    /// Whether an address is a proxy that is believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxy| proxy.contains(address))
    }
}

/// A mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// The setting or variable.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server {
                listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
                origins: vec![],
                metrics_listen: None,
                trusted_proxies: vec![],
                connections_max: 10_000,
                body_memory_mib: 64,
                request_timeout_s: 30,
                idle_timeout_s: 75,
                shutdown_timeout_s: 30,
            },
            tls: None,
            database: Database { url: DatabaseUrl::Sqlite("data/alcove.db".into()), connections_max: 8 },
            secrets: Secrets { file: "secrets/alcove.secrets".into() },
            registration: RegistrationPolicy { mode: Registration::Open, readmit: false },
            quota: Quota { bytes: QUOTA_BYTES_DEFAULT, records: QUOTA_RECORDS_DEFAULT },
            limits: Limits {
                requests_per_minute: 600,
                account_requests_per_minute: 1_200,
                logins_per_minute: 10,
                logins_per_hour: 20,
            },
            history: History { days: HISTORY_DAYS },
            log: Log { format: LogFormat::Text, level: tracing::Level::INFO },
        }
    }
}

#[cfg(test)]
mod tests;
