//! The listener: accepts connections, finds out where requests come from, writes the log, and ends in good order.
//!
//! HTTP/1.1 only: a proxy that speaks HTTP/2 to the world speaks this to us, and there is less to get wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alcove_protocol::endpoint::Endpoint;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use crate::app::App;
use crate::config::Server;
use crate::limiter::AddressKey;
use crate::stall::Stalling;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How long a client may take over the TLS handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Connections of one address, unless it is a proxy that is believed: nobody takes every place.
const OF_ONE_ADDRESS_MAX: u32 = 500;

/// How long to wait after `accept` failed, as when no descriptors are left.
const ACCEPT_WAIT: Duration = Duration::from_millis(50);

/// What one connection may have read and not yet passed on: the head of a request, a piece of its body.
const READ_LEN_MAX: usize = 128 * 1024;

/// Where a request comes from, behind the proxies that are believed. Kept in memory while it is answered.
#[derive(Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// Which endpoint answered: for the log and the metrics, which know patterns and never paths.
#[derive(Clone, Copy)]
pub(crate) struct Served(pub(crate) Endpoint);

/// Serves until the shutdown begins, and then finishes what was accepted, as long as that may take.
pub async fn serve(
    listener: TcpListener,
    app: App,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: impl Future<Output = ()>,
) {
    let router = crate::api::router(&app);
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(app.config.server.connections_max as usize));
    let seats = Arc::default();
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let place = tokio::select! {
            () = &mut shutdown => break,
            place = places.clone().acquire_owned() => place,
        };
        let (stream, peer) = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_WAIT).await;
                    continue;
                }
            },
        };
        let connection =
            Connection { app: app.clone(), router: router.clone(), peer, stopping: stopping.clone() };
        let Some(seat) = Seat::take(&seats, peer, app.config.server.trusts(peer)) else { continue };
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            connection.run(stream, acceptor).await;
            drop((place, seat));
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    stop.send_replace(true);
    let limit = Duration::from_secs(app.config.server.shutdown_timeout_s.into());
    let finished = tokio::time::timeout(limit, async { while connections.join_next().await.is_some() {} });
    if finished.await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut off: they took too long to finish");
    }
}

/// How many connections each address has.
type Seats = Arc<Mutex<HashMap<AddressKey, u32>>>;

/// A connection of an address, counted until it is dropped.
struct Seat {
    seats: Seats,
    address: AddressKey,
}

impl Seat {
    fn take(seats: &Seats, peer: IpAddr, trusted: bool) -> Option<Self> {
        let address = AddressKey::of(peer);
        let mut taken = seats.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(address).or_default();
        if *count >= OF_ONE_ADDRESS_MAX && !trusted {
            return None;
        }
        *count += 1;
        Some(Self { seats: seats.clone(), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

struct Connection {
    app: App,
    router: Router,
    peer: IpAddr,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        let app = self.app.clone();
        let _counted = app.metrics.connected();
        // Answers are small and complete: waiting to fill a packet only delays them.
        drop(stream.set_nodelay(true));
        match acceptor {
            None => self.speak(stream, false).await,
            Some(acceptor) => match tokio::time::timeout(HANDSHAKE_WAIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream, true).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }

    async fn speak(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, secure: bool) {
        let idle = Duration::from_secs(self.app.config.server.idle_timeout_s.into());
        let (app, router, peer) = (self.app, self.router, self.peer);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (app, router) = (app.clone(), router.clone());
            async move {
                Ok::<_, std::convert::Infallible>(
                    answer(&app, router, peer, secure, request.map(Body::new)).await,
                )
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(READ_LEN_MAX)
            .serve_connection(TokioIo::new(Stalling::new(stream, idle)), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stopped(&mut self.stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender goes away only with the whole server.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

async fn answer(app: &App, router: Router, peer: IpAddr, secure: bool, mut request: Request) -> Response {
    let begun = Instant::now();
    let _counted = app.metrics.in_flight();
    let id = format!("{:016x}", u64::from_be_bytes(app.tokens.random().unwrap_or_default()));
    let method = request.method().clone();
    let address = client_address(&app.config.server, peer, request.headers());
    request.extensions_mut().insert(ClientAddress(address));
    let span = tracing::error_span!("request", id);
    let mut response = match router.oneshot(request).instrument(span.clone()).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let path = response.extensions().get::<Served>().map_or("other", |served| served.0.path);
    let (status, took) = (response.status(), begun.elapsed());
    app.metrics.answered(method.as_str(), path, status.as_u16(), took);
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let _in_span = span.enter();
    if status.is_server_error() {
        tracing::warn!(%method, path, status = status.as_u16(), took_us, "answered");
    } else {
        tracing::debug!(%method, path, status = status.as_u16(), took_us, "answered");
    }
    add_headers(response.headers_mut(), &id, secure);
    response
}

fn add_headers(headers: &mut HeaderMap, id: &str, secure: bool) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy = "default-src 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if secure {
        let year = "max-age=31536000";
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(year));
    }
}

/// The peer, unless it is a proxy that is believed: then the last address in its list that is not another such proxy.
fn client_address(server: &Server, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !server.trusts(peer) {
        return peer;
    }
    let lists = headers.get_all(X_FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or_default());
    let entries: Vec<_> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
    let mut nearest = peer;
    for entry in entries.iter().rev() {
        let Ok(address) = entry.parse::<IpAddr>() else { break };
        nearest = address;
        if !server.trusts(address) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn one_address_takes_so_many_seats_and_gives_them_back() {
        let seats = Seats::default();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let taken: Vec<_> =
            (0..OF_ONE_ADDRESS_MAX).map(|_| Seat::take(&seats, one, false).unwrap()).collect();
        assert!(Seat::take(&seats, one, false).is_none());
        assert!(Seat::take(&seats, other, false).is_some() && Seat::take(&seats, one, true).is_some());
        drop(taken);
        assert!(Seat::take(&seats, one, false).is_some());
        assert!(seats.lock().unwrap().is_empty());
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let variables = [("ALCOVE_SERVER_TRUSTED_PROXIES".to_owned(), "10.0.0.0/8".to_owned())];
        let server = Config::load(None, variables.into_iter()).unwrap().server;
        for (peer, forwarded, client) in [
            ("192.0.2.9", vec!["203.0.113.1"], "192.0.2.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["198.51.100.7, 203.0.113.1, 10.2.2.2"], "203.0.113.1"),
            ("10.0.0.1", vec!["198.51.100.7", "203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["203.0.113.1, garbage"], "10.0.0.1"),
            ("10.0.0.1", vec!["10.3.3.3"], "10.3.3.3"),
            ("10.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for list in &forwarded {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_str(list).unwrap());
            }
            let found = client_address(&server, peer.parse().unwrap(), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}
