//! HTTP/1.1 over TLS, or in the clear to this machine: connections that are kept, limits, time-outs, and no redirects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alcove_protocol::limits::ANSWER_LEN_MAX;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{BoxFuture, Origin, Request, Response, Transport, Unreachable};

const MEDIA_TYPE: &str = "application/cbor";
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long a server may think, and how long it may pause within an answer.
const ANSWER_WAIT: Duration = Duration::from_mins(1);
/// Connections to one server that are kept while they are not used.
const IDLE_MAX: usize = 4;

type Connection = SendRequest<Full<Bytes>>;

/// The network.
pub struct Https {
    tls: TlsConnector,
    idle: Mutex<HashMap<Origin, Vec<Connection>>>,
}

impl Https {
    /// Trusts the authorities that browsers trust.
    #[must_use]
    pub fn new() -> Self {
        Self::trusting(&[])
    }

    /// Trusts these certificates, in DER, beside the authorities that browsers trust: for a server with its own.
    ///
    /// # Panics
    /// Never: ring speaks TLS 1.2 and 1.3.
    #[must_use]
    pub fn trusting(certificates: &[Vec<u8>]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let (_added, _ignored) =
            roots.add_parsable_certificates(certificates.iter().map(|der| CertificateDer::from_slice(der)));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), idle: Mutex::default() }
    }

    fn take_idle(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(origin)?;
        while let Some(connection) = connections.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, origin: &Origin, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.entry(origin.clone()).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(connection);
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<Connection, Unreachable> {
        let host = origin.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, origin.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let connection = if origin.tls {
            let name = ServerName::try_from(host.to_owned()).map_err(unreachable)?;
            let stream = self.tls.connect(name, stream).await.map_err(unreachable)?;
            let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
            tokio::spawn(async move { drop(driver.await) });
            connection
        } else {
            let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
            tokio::spawn(async move { drop(driver.await) });
            connection
        };
        Ok(connection)
    }

    async fn exchange(&self, origin: &Origin, request: Request) -> Result<Response, Unreachable> {
        let mut request = build(origin, request)?;
        let mut idle = self.take_idle(origin);
        let (mut connection, answer) = loop {
            let reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => timeout(CONNECT_WAIT, self.connect(origin)).await.map_err(unreachable)??,
            };
            match timeout(ANSWER_WAIT, connection.try_send_request(request)).await.map_err(unreachable)? {
                Ok(answer) => break (connection, answer),
                // The server had closed it before anything was sent.
                Err(mut error) if reused => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(unreachable(error.into_error())),
                },
                Err(error) => return Err(unreachable(error.into_error())),
            }
        };
        let status = answer.status().as_u16();
        let header = answer.headers().get(hyper::header::RETRY_AFTER);
        let retry_after_s = header.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        let mut incoming = answer.into_body();
        let expected = usize::try_from(incoming.size_hint().lower()).unwrap_or(ANSWER_LEN_MAX);
        let mut body = Vec::with_capacity(expected.min(ANSWER_LEN_MAX));
        while let Some(frame) = timeout(ANSWER_WAIT, incoming.frame()).await.map_err(unreachable)? {
            let frame = frame.map_err(unreachable)?;
            let Some(data) = frame.data_ref() else { continue };
            if body.len() + data.len() > ANSWER_LEN_MAX {
                return Err(Unreachable("the answer is longer than any may be".into()));
            }
            body.extend_from_slice(data);
        }
        if connection.ready().await.is_ok() {
            self.keep(origin, connection);
        }
        Ok(Response { status, retry_after_s, body })
    }
}

impl Default for Https {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for Https {
    fn send<'a>(
        &'a self,
        origin: &'a Origin,
        request: Request,
    ) -> BoxFuture<'a, Result<Response, Unreachable>> {
        Box::pin(self.exchange(origin, request))
    }
}

fn build(origin: &Origin, request: Request) -> Result<hyper::Request<Full<Bytes>>, Unreachable> {
    let authority = origin.to_string();
    let authority = authority.split_once("://").map_or(authority.as_str(), |(_, authority)| authority);
    let mut built = hyper::Request::builder()
        .method(request.method)
        .uri(request.path)
        .header(hyper::header::HOST, authority)
        .header(hyper::header::ACCEPT, MEDIA_TYPE);
    if request.body.is_some() {
        built = built.header(hyper::header::CONTENT_TYPE, MEDIA_TYPE);
    }
    if let Some(token) = request.token {
        built = built.header(hyper::header::AUTHORIZATION, format!("Bearer {token}"));
    }
    built.body(Full::new(request.body.unwrap_or_default().into())).map_err(unreachable)
}

fn unreachable(error: impl std::fmt::Display) -> Unreachable {
    Unreachable(error.to_string())
}
