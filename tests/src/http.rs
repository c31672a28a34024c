//! A small HTTP client that keeps its connection, over several nodes in turn.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Debug)]
pub struct Answered {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Why there was no answer: the server was away, or cut the connection.
#[derive(Debug)]
pub struct NoAnswer;

/// A client.
pub struct Http {
    nodes: Vec<(String, Option<SendRequest<Full<Bytes>>>)>,
    next: usize,
}

impl Http {
    /// Of one node, or of several in turn.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        let nodes =
            origins.iter().map(|origin| (origin.trim_start_matches("http://").to_owned(), None)).collect();
        Self { nodes, next: 0 }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When no answer came.
    ///
    /// # Panics
    /// When it is no request.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answered, NoAnswer> {
        let count = self.nodes.len();
        let (address, connection) = &mut self.nodes[self.next % count];
        self.next += 1;
        // A connection that the server has closed meanwhile is no failure.
        let usable = match connection {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(&*address).await.map_err(|_| NoAnswer)?;
            stream.set_nodelay(true).ok();
            let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer)?;
            tokio::spawn(async move { drop(driver.await) });
            *connection = Some(sender);
        }
        let (mut parts, body) = request.into_parts();
        parts.headers.insert("host", address.parse().expect("a host"));
        let sender = connection.as_mut().expect("just connected");
        let sent = sender.send_request(Request::from_parts(parts, body)).await;
        let Ok(answer) = sent else {
            *connection = None;
            return Err(NoAnswer);
        };
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| NoAnswer)?.to_bytes();
        Ok(Answered { status: parts.status, headers: parts.headers, body })
    }
}
