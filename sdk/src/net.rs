//! The way to a server: one trait over requests that are bytes already, so that a simulation can stand in for a network.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::str::FromStr;

use crate::error::{Error, Result};

mod api;
mod https;

pub(crate) use api::{Api, Failure};
pub use https::Https;

/// A future that may be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// HTTP method.
    pub method: &'static str,
    /// Path with query.
    pub path: String,
    /// For the `Authorization` header.
    pub token: Option<String>,
    /// A body in CBOR.
    pub body: Option<Vec<u8>>,
}

/// An answer, read whole and within the limit.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

/// No answer came: there is no network, no such server, or it hung up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Carries requests to a server and answers back. It follows no redirect and reads no more than the protocol's limit.
pub trait Transport: Send + Sync {
    /// Sends a request.
    fn send<'a>(
        &'a self,
        origin: &'a Origin,
        request: Request,
    ) -> BoxFuture<'a, Result<Response, Unreachable>>;
}

/// Where a server is, in the one form that devices sign: lower case, no default port, no path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// Reads an address. Plain HTTP is for loopback only.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::BadServerUrl(format!("{text:?}: {what}"));
        let uri = http::Uri::from_str(text.trim()).map_err(|_| bad("not an address"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it begins with https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("only a host and a port belong in it"));
        }
        let host = authority.host().to_ascii_lowercase();
        let rest = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            None if rest.is_empty() => {
                if tls {
                    443
                } else {
                    80
                }
            }
            _ => return Err(bad("no such port")),
        };
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if !tls && !is_loopback(&host) {
            return Err(bad("plain HTTP is only for this very machine"));
        }
        Ok(Self { tls, host, port })
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port } = self;
        match (tls, port) {
            (true, 443) => write!(f, "https://{host}"),
            (true, port) => write!(f, "https://{host}:{port}"),
            (false, 80) => write!(f, "http://{host}"),
            (false, port) => write!(f, "http://{host}:{port}"),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_form() {
        let table = [
            ("https://Sync.Example.org", "https://sync.example.org"),
            ("HTTPS://sync.example.org:443/", "https://sync.example.org"),
            ("https://sync.example.org:8443", "https://sync.example.org:8443"),
            (" http://127.0.0.1:8787/ ", "http://127.0.0.1:8787"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:8787", "http://[::1]:8787"),
        ];
        for (typed, normal) in table {
            let origin = Origin::parse(typed).unwrap();
            assert_eq!(origin.to_string(), normal);
            assert_eq!(Origin::parse(normal).unwrap(), origin);
        }
    }

    #[test]
    fn what_no_secret_may_go_to_is_refused() {
        for typed in [
            "",
            "sync.example.org",
            "ftp://sync.example.org",
            "http://sync.example.org",
            "http://127.0.0.1.example.org",
            "http://10.0.0.1",
            "https://user@sync.example.org",
            "https://sync.example.org/path",
            "https://sync.example.org?query",
            "https://sync.example.org:0",
            "https://sync.example.org:99999",
            "https://",
            "https://a b",
        ] {
            assert!(matches!(Origin::parse(typed), Err(Error::BadServerUrl(_))), "{typed}");
        }
    }
}
