//! An HTTP client that costs next to nothing: a connection, requests that are bytes already, the least of reading.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: vec![0; 64 * 1024] }
    }

    /// Sends a request and reads an answer, which must be a success.
    pub(crate) async fn succeed(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the server");
        let mut filled = 0;
        let end = loop {
            filled += self.stream.read(&mut self.buffer[filled..]).await.expect("the server");
            assert!(filled > 0, "the server has hung up");
            if let Some(end) = find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let line = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let whole = end + line.parse::<usize>().expect("a number");
        while filled < whole {
            filled += self.stream.read(&mut self.buffer[filled..]).await.expect("the server");
        }
        let body = String::from_utf8_lossy(&self.buffer[end..whole]);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}{body}");
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
