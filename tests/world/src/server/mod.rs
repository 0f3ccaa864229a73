//! The web itself: an HTTP/1.1 server on the loopback that serves the world's pictures, a folder of real files, and
//! every fault. Written on the bare socket, since most faults are things a proper HTTP library refuses to do; and
//! kept cheap per request, since benchmarks measure the client beside it.
//!
//! request → `connection` (parse) → `route` (what to answer: a `Reply`) → `wire` (how it misbehaves on the way).

mod cache;
mod connection;
mod fault_reply;
mod files;
mod reply;
mod route;
mod stats;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

pub use stats::{HostStats, Stats};

use crate::error::{Error, Result};
use crate::world::{World, WorldConfig};

/// How one host (loopback address) of the world behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostBehaviour {
    /// Answers at once.
    #[default]
    Normal,
    /// Answers everything this much later.
    Slow {
        /// Milliseconds.
        latency_ms: u64,
    },
    /// Resets every connection when the request has come.
    Down,
    /// Answers everything with 503.
    Unavailable,
}

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The world.
    pub world: WorldConfig,
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// One host per entry: the first is 127.0.0.1, the next 127.0.0.2, and so on (at most 250), on the same port.
    pub hosts: Vec<HostBehaviour>,
    /// Folder whose files are served from memory under `/files/<name>`.
    pub root: Option<PathBuf>,
    /// Delay before every answer, milliseconds.
    pub latency_ms: u64,
    /// Bytes of pictures kept in memory, so that fetching one again costs no painting.
    pub max_cache_bytes: usize,
    /// Threads that serve; large pictures are painted on two more.
    pub num_threads: usize,
}

/// Default of [`ServerConfig::max_cache_bytes`].
pub const DEFAULT_MAX_CACHE_BYTES: usize = 256 << 20;

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            world: WorldConfig::default(),
            port: 0,
            hosts: vec![HostBehaviour::Normal],
            root: None,
            latency_ms: 0,
            max_cache_bytes: DEFAULT_MAX_CACHE_BYTES,
            num_threads: 2,
        }
    }
}

/// What every connection of a server shares.
struct State {
    world: World,
    hosts: Vec<HostBehaviour>,
    addresses: Vec<SocketAddr>,
    latency: Duration,
    cache: cache::BodyCache,
    files: files::Files,
    stats: stats::Counters,
    attempts: stats::Attempts,
}

/// The miniature web, served.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds, then serves on a thread of its own until the handle is dropped.
    ///
    /// # Errors
    /// [`Error::Listen`] where the port is taken, [`Error::Io`] where the root folder cannot be read,
    /// [`Error::Config`] for no host or too many.
    pub fn start(config: ServerConfig) -> Result<ServerHandle> {
        if config.hosts.is_empty() || config.hosts.len() > 250 {
            return Err(Error::Config(format!("{} hosts; give 1 to 250", config.hosts.len())));
        }
        let files = match &config.root {
            Some(root) => files::Files::load(root)?,
            None => files::Files::default(),
        };
        let listeners = bind(config.port, config.hosts.len())?;
        let addresses = addresses(&listeners)?;
        let state = Arc::new(State {
            world: World::new(config.world),
            stats: stats::Counters::new(&addresses),
            addresses,
            hosts: config.hosts,
            latency: Duration::from_millis(config.latency_ms),
            cache: cache::BodyCache::new(config.max_cache_bytes),
            files,
            attempts: stats::Attempts::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.num_threads.max(1))
            .max_blocking_threads(2)
            .thread_name("world")
            .enable_all()
            .build()
            .map_err(|source| Error::Listen { address: "127.0.0.1".to_owned(), source })?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            runtime.block_on(accept_all(listeners, shared, stopped));
            // Open connections, endless ones included, end here.
            runtime.shutdown_timeout(Duration::from_millis(200));
        });
        Ok(ServerHandle { state, stop, thread: Some(thread) })
    }
}

/// Binds the same port on 127.0.0.1, 127.0.0.2, …; a free one must be free on all of them.
fn bind(port: u16, num_hosts: usize) -> Result<Vec<std::net::TcpListener>> {
    let listen = |host: usize, port: u16| {
        let address = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host as u8 + 1), port));
        std::net::TcpListener::bind(address)
            .map_err(|source| Error::Listen { address: address.to_string(), source })
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let first = listen(0, port)?;
        let chosen = first.local_addr().map_or(port, |a| a.port());
        let rest: Result<Vec<_>> = (1..num_hosts).map(|host| listen(host, chosen)).collect();
        match rest {
            Ok(rest) => return Ok(std::iter::once(first).chain(rest).collect()),
            Err(error) if port != 0 || tries >= 20 => return Err(error),
            Err(_) => {}
        }
    }
}

fn addresses(listeners: &[std::net::TcpListener]) -> Result<Vec<SocketAddr>> {
    let failed = |source| Error::Listen { address: "127.0.0.1".to_owned(), source };
    listeners
        .iter()
        .map(|listener| listener.set_nonblocking(true).and_then(|()| listener.local_addr()).map_err(failed))
        .collect()
}

async fn accept_all(
    listeners: Vec<std::net::TcpListener>,
    state: Arc<State>,
    mut stopped: watch::Receiver<bool>,
) {
    for (host, listener) in listeners.into_iter().enumerate() {
        tokio::spawn(accept(listener, host, Arc::clone(&state)));
    }
    // An error means that the handle is gone, which is the same wish.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn accept(listener: std::net::TcpListener, host: usize, state: Arc<State>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                state.stats.connected();
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    // A client that goes away mid-answer is part of the game.
                    let _ = connection::serve(stream, host, &state).await;
                });
            }
            // Out of file descriptors, most likely: let some connections end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A running world. Dropping it stops the server.
#[must_use = "the server stops when its handle is dropped"]
pub struct ServerHandle {
    state: Arc<State>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl ServerHandle {
    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.state.addresses[0])
    }

    /// The address of every host, in order.
    pub fn base_urls(&self) -> Vec<String> {
        self.state.addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// The first host's socket address.
    pub fn address(&self) -> SocketAddr {
        self.state.addresses[0]
    }

    /// The world it serves.
    pub fn world(&self) -> &World {
        &self.state.world
    }

    /// Names of the files served under `/files/`, sorted.
    pub fn file_names(&self) -> Vec<String> {
        self.state.files.names().map(str::to_owned).collect()
    }

    /// What has happened since the start or the last [`ServerHandle::reset`].
    pub fn stats(&self) -> Stats {
        self.state.stats.snapshot()
    }

    /// Forgets the counts and the attempts that faults such as `503-then-ok` have seen.
    pub fn reset(&self) {
        self.state.stats.clear();
        self.state.attempts.clear();
    }

    /// Stops serving, ends open connections and returns the final counts.
    pub fn shutdown(mut self) -> Stats {
        self.stop_and_join();
        self.state.stats.snapshot()
    }

    fn stop_and_join(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}
