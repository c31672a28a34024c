//! Networks that fail: a transport that loses, repeats, delays and refuses, and a proxy that cuts at a byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alcove_sdk::net::{BoxFuture, Https, Origin, Request, Response, Transport, Unreachable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It never arrives.
    Lost,
    /// It arrives, and the answer does not.
    AnswerLost,
    /// It arrives twice.
    Twice,
    /// It takes a while.
    Slow,
    /// A proxy answers with a status and a page.
    Status(u16),
}

type Plan = Box<dyn FnMut(&Request) -> Fault + Send>;

/// A network in which a plan says what happens to each request.
pub struct Faulty {
    network: Https,
    plan: Mutex<Plan>,
    sent: AtomicUsize,
}

impl Faulty {
    /// With a plan.
    pub fn new(plan: impl FnMut(&Request) -> Fault + Send + 'static) -> Arc<Self> {
        Arc::new(Self { network: Https::new(), plan: Mutex::new(Box::new(plan)), sent: AtomicUsize::new(0) })
    }

    /// With another plan from now on.
    ///
    /// # Panics
    /// When a plan has panicked.
    pub fn plan(&self, plan: impl FnMut(&Request) -> Fault + Send + 'static) {
        *self.plan.lock().expect("no panic") = Box::new(plan);
    }

    /// How many requests there were.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Transport for Faulty {
    fn send<'a>(
        &'a self,
        origin: &'a Origin,
        request: Request,
    ) -> BoxFuture<'a, Result<Response, Unreachable>> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let fault = (self.plan.lock().expect("no panic"))(&request);
        Box::pin(async move {
            match fault {
                Fault::None => self.network.send(origin, request).await,
                Fault::Lost => Err(Unreachable("lost".into())),
                Fault::AnswerLost => {
                    drop(self.network.send(origin, request).await);
                    Err(Unreachable("the answer was lost".into()))
                }
                Fault::Twice => {
                    drop(self.network.send(origin, request.clone()).await);
                    self.network.send(origin, request).await
                }
                Fault::Slow => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    self.network.send(origin, request).await
                }
                Fault::Status(status) => {
                    let body = b"<html>Bad Gateway</html>".to_vec();
                    Ok(Response { status, retry_after_s: Some(7), body })
                }
            }
        })
    }
}

/// A proxy that hangs up after so many bytes went through it in one direction.
pub struct Proxy {
    /// Its address.
    pub origin: String,
    cut: Arc<Mutex<Option<Cut>>>,
}

/// Where to cut: the direction, and after how many bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// On the way to the server; otherwise on the way back.
    pub to_server: bool,
    /// After so many bytes.
    pub after: usize,
}

impl Proxy {
    /// Before a server.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let server = server.trim_start_matches("http://").to_owned();
        let cut: Arc<Mutex<Option<Cut>>> = Arc::default();
        let shared = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), Arc::clone(&shared)));
            }
        });
        Self { origin, cut }
    }

    /// Cuts once, from now on counted over all connections.
    ///
    /// # Panics
    /// Never.
    pub fn cut(&self, cut: Option<Cut>) {
        *self.cut.lock().expect("no panic") = cut;
    }

    /// Whether the cut is still to come.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.cut.lock().expect("no panic").is_some()
    }
}

async fn carry(mut client: TcpStream, server: String, cut: Arc<Mutex<Option<Cut>>>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let (to_server, read) = tokio::select! {
            read = client.read(&mut up) => (true, read),
            read = server.read(&mut down) => (false, read),
        };
        let Ok(count @ 1..) = read else { return };
        let through = allowed(&cut, to_server, count);
        let (bytes, stream) = if to_server { (&up, &mut server) } else { (&down, &mut client) };
        if stream.write_all(&bytes[..through.unwrap_or(count)]).await.is_err() || through.is_some() {
            return;
        }
    }
}

/// How many of these bytes go through, if it is here that it cuts.
fn allowed(cut: &Mutex<Option<Cut>>, to_server: bool, count: usize) -> Option<usize> {
    let mut cut = cut.lock().expect("no panic");
    let waiting = cut.as_mut().filter(|cut| cut.to_server == to_server)?;
    if waiting.after >= count {
        waiting.after -= count;
        return None;
    }
    let through = waiting.after;
    *cut = None;
    Some(through)
}
