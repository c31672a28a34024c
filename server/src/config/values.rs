//! How each kind of value is read and shown.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use alcove_protocol::server::Registration;
use axum::http::Uri;

/// A value, or what is wrong with it.
pub(super) type Parsed<T> = Result<T, String>;

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by its URL.
    Postgres(String),
}

impl DatabaseUrl {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

/// Without password, which may stand before the host or among the parameters.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let place = url.split(['?', '#']).next().unwrap_or_default();
                match place.rsplit_once('@') {
                    Some((_, host)) => write!(f, "postgres://…@{host}"),
                    None => f.write_str(place),
                }
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: u128,
    bits: u32,
}

impl Cidr {
    /// Reads `192.0.2.1`, `10.0.0.0/8`, `fd00::/8`.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let offset = if address.is_ipv4() { 96 } else { 0 };
        let bits = bits.map_or(Some(128), |bits| bits.checked_add(offset).filter(|bits| *bits <= 128))?;
        Some(Self { address: mapped(address), bits })
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let difference = self.address ^ mapped(address);
        difference.leading_zeros() >= self.bits
    }
}

/// IPv4 as IPv6 maps it.
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| format!("{text:?} is no address with a port, such as 127.0.0.1:8787"))
}

pub(super) fn optional_address(text: &str) -> Parsed<Option<SocketAddr>> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    optional(text).ok_or_else(|| "is empty".into())
}

pub(super) fn optional(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

pub(super) fn count(text: &str) -> Parsed<u32> {
    text.parse().map_err(|_| format!("{text:?} is no whole number"))
}

pub(super) fn positive(text: &str) -> Parsed<u32> {
    match count(text)? {
        0 => Err("is 0; it has to be at least 1".into()),
        number => Ok(number),
    }
}

/// One push and its decoded form must fit.
pub(super) fn memory(text: &str) -> Parsed<u32> {
    match count(text)? {
        mib @ 16..=65_536 => Ok(mib),
        mib => Err(format!("{mib} is not between 16 and 65536")),
    }
}

pub(super) fn days(text: &str) -> Parsed<u32> {
    match count(text)? {
        days @ 1..=3_650 => Ok(days),
        days => Err(format!("{days} is not between 1 and 3650")),
    }
}

pub(super) fn number(text: &str) -> Parsed<u64> {
    text.parse().map_err(|_| format!("{text:?} is no whole number"))
}

pub(super) fn bytes(text: &str) -> Parsed<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(format!("{text:?} is no size, such as 1073741824, 500MiB or 1GiB")),
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    size.ok_or_else(|| format!("{text:?} is no size, such as 1073741824, 500MiB or 1GiB"))
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

pub(super) fn registration(text: &str) -> Parsed<Registration> {
    match text {
        "open" => Ok(Registration::Open),
        "closed" => Ok(Registration::Closed),
        "invite" => Ok(Registration::Invite),
        _ => Err(format!("{text:?} is none of open, closed, invite")),
    }
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither text nor json")),
    }
}

pub(super) fn level(text: &str) -> Parsed<tracing::Level> {
    match text {
        "error" => Ok(tracing::Level::ERROR),
        "warn" => Ok(tracing::Level::WARN),
        "info" => Ok(tracing::Level::INFO),
        "debug" => Ok(tracing::Level::DEBUG),
        _ => Err(format!("{text:?} is none of error, warn, info, debug")),
    }
}

/// A URL that is not understood is a mistake, never another database.
pub(super) fn database_url(text: &str) -> Parsed<DatabaseUrl> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let usable = !path.is_empty() && !path.contains('?') && path != ":memory:";
        return usable
            .then(|| DatabaseUrl::Sqlite(path.into()))
            .ok_or_else(|| "names no file: write sqlite:PATH, without options".into());
    }
    let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if is_postgres && text.parse::<sqlx::postgres::PgConnectOptions>().is_ok() {
        return Ok(DatabaseUrl::Postgres(text.to_owned()));
    }
    // The text may hold a password.
    Err("is neither sqlite:PATH nor a postgres:// URL that can be read".into())
}

pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

pub(super) fn cidrs(text: &str) -> Parsed<Vec<Cidr>> {
    let read = |part: &str| {
        Cidr::parse(part).ok_or_else(|| format!("{part:?} is no address or network, such as 10.0.0.0/8"))
    };
    list(text).map(read).collect()
}

pub(super) fn origins(text: &str) -> Parsed<Vec<String>> {
    let read = |part: &str| {
        if is_https_origin(part) || is_loopback_origin(part) {
            Ok(part.to_owned())
        } else {
            Err(format!(
                "{part:?} is no origin, such as https://sync.example.org (http:// only for loopback; no path)"
            ))
        }
    };
    list(text).map(read).collect()
}

fn is_https_origin(origin: &str) -> bool {
    is_bare(origin) && origin.starts_with("https://")
}

/// `http://127.0.0.1:8787`, `http://localhost`, `https://[::1]:8443`.
pub(super) fn is_loopback_origin(origin: &str) -> bool {
    let uri: Uri = match origin.parse() {
        Ok(uri) if is_bare(origin) => uri,
        _ => return false,
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Scheme, host, perhaps a port, and nothing else.
fn is_bare(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    // `Uri` takes `https://:1`, `https://host:`, `https://host:99999` and `https://*`, which nobody can dial.
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    ["http", "https"].contains(&scheme)
        && !authority.as_str().contains(['@', '*'])
        && !authority.host().is_empty()
        && (port.is_empty() || authority.port_u16().is_some_and(|port| port != 0))
        && format!("{scheme}://{authority}") == origin
}

/// How a value is written, so that reading it gives the same.
pub(super) trait Show {
    fn show(&self) -> String;
}

macro_rules! show_as_displayed {
    ($($type:ty)*) => {$(
        impl Show for $type {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
show_as_displayed!(SocketAddr u32 u64 bool DatabaseUrl);

impl Show for PathBuf {
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Show for Option<SocketAddr> {
    fn show(&self) -> String {
        self.map(|address| address.to_string()).unwrap_or_default()
    }
}

impl Show for Vec<String> {
    fn show(&self) -> String {
        self.join(",")
    }
}

impl Show for Vec<Cidr> {
    fn show(&self) -> String {
        if self.is_empty() { String::new() } else { format!("{} of them", self.len()) }
    }
}

impl Show for Registration {
    fn show(&self) -> String {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Invite => "invite",
        }
        .into()
    }
}

impl Show for LogFormat {
    fn show(&self) -> String {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
        .into()
    }
}

impl Show for tracing::Level {
    fn show(&self) -> String {
        self.as_str().to_lowercase()
    }
}

/// A value for a file: numbers and truths bare, everything else quoted.
pub(super) fn toml(text: String) -> String {
    if text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok() { text } else { format!("{text:?}") }
}

/// A value from a file, as a variable would hold it.
pub(super) fn flatten(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Array(parts) => parts.into_iter().map(flatten).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// How many characters apart two words are (Levenshtein).
pub(super) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
