//! Fetch: URLs → bytes, or a typed failure. The only asynchronous stage.
//!
//! Requests come in over a bounded queue in the order of the table and leave over another in the order they finish;
//! the runtime's threads are its own. Inside, in flow order: [`job`] parses the URL, [`schedule`] picks the next row
//! over all hosts ([`host`]: limit, pause and breaker of each), [`attempt`] makes one request with the [`client`],
//! whose [`resolver`] gives out only addresses that pass [`address`]; [`robots`] reads the opt-out, [`body`] takes
//! the bytes under its limits, [`classify`] names what went wrong in the words of
//! [`message`](pairmill_shards::table::message), and [`retry`] says when to try again. [`lenient`] asks for answers that
//! hyper finds too crooked to read.
//!
//! Memory is bounded whatever the servers do: `concurrency` bodies of up to 1 MiB, plus larger ones up to
//! `large_body_budget_bytes`, plus what the caller lets wait (it bounds the rows it sends before it has taken their
//! results).

mod address;
mod attempt;
mod body;
mod classify;
mod client;
pub mod config;
mod counters;
mod host;
#[cfg(any(test, feature = "fuzzing"))]
pub mod hostile;
mod job;
mod lenient;
mod open_files;
mod resolver;
mod retry;
mod robots;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, select};
use pairmill_shards::status::Failure;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};

pub use self::address::{Network, is_public};
pub use self::config::{BreakerConfig, DEFAULT_USER_AGENT, DnsConfig, FetchConfig};
pub use self::counters::{FetchCounters, FetchSnapshot};

use self::address::AddressGuard;
use self::attempt::Fetcher;
use self::body::BodyLimits;
use self::lenient::LenientClient;
use self::resolver::CachingResolver;
use self::robots::RobotsPolicy;
use self::schedule::{Ends, Scheduler};

/// Requests taken from the queue at once, and batches of them that may wait for the scheduler.
const BATCH: usize = 64;
const BATCHES: usize = 4;
/// Longest wait for tasks that do not end at once when the runtime stops.
const RUNTIME_STOPS_WITHIN: Duration = Duration::from_millis(500);

/// One row to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The caller's number for the row; comes back with the result.
    pub ticket: u64,
    /// As in the table.
    pub url: String,
}

/// One row's result. Every request taken gives exactly one, unless the stage is cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The request's.
    pub ticket: u64,
    /// The body, or why there is none.
    pub result: Result<Body, Failure>,
    /// Requests begun, those of redirects and of further attempts among them: 0 when the URL was bad or the host known
    /// to be down.
    pub attempts: u32,
    /// Time the attempts were under way; waiting for the host's turn or for a retry not counted.
    pub fetch_ms: u32,
    /// Where redirects led, when they did; without user name, password and query unless the settings keep them.
    pub final_url: Option<String>,
}

/// The body of an answer with status 2xx, as served: any `Content-Encoding` is left on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// At most `max_bytes`; may be empty.
    pub bytes: Vec<u8>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
}

/// Why the stage did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The operating system gave no thread or no event queue.
    #[error("the fetch threads did not start: {0}; lower --thread-count or raise the limits (ulimit -u, -n)")]
    Start(io::Error),
    /// `user_agent` or `user_agent_token` cannot be sent.
    #[error(
        "{0:?} cannot be a User-Agent header; use printable ASCII in fetch.user_agent and --user-agent-token"
    )]
    UserAgent(String),
    /// `dns.nameservers` holds something else.
    #[error("fetch.dns.nameservers: `{0}` is no IP address with or without port (9.9.9.9, 127.0.0.1:5353)")]
    Nameserver(String),
    /// `allowed_networks` holds something else.
    #[error("fetch.allowed_networks: `{0}` is no network (10.1.0.0/16, fd12::/32) and no address")]
    Network(String),
    /// The resolver could not be set up.
    #[error("the DNS resolver did not start: {0}; set fetch.dns.nameservers")]
    Resolver(String),
    /// The HTTP client could not be set up.
    #[error("the HTTP client did not start: {0}")]
    Client(String),
    /// A thread of the stage ended that should not have.
    #[error("internal: thread `{0}` of the fetch stage stopped; please report this")]
    Stopped(&'static str),
}

impl FetchError {
    /// Whether a setting is at fault rather than the machine.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::UserAgent(_) | Self::Nameserver(_) | Self::Network(_))
    }
}

/// A running fetch stage. Dropping it lets the stage run on.
#[derive(Debug)]
pub struct FetchHandle {
    cancel: Arc<Cancel>,
    /// Each says whether it ended as it should.
    threads: Vec<(&'static str, JoinHandle<bool>)>,
}

impl FetchHandle {
    /// Stops the stage: takes no more requests, drops those it has, aborts what is in flight and closes the queue of
    /// results. Returns at once.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits until the requests have ended and all results are handed over, or the stage is cancelled.
    ///
    /// # Errors
    /// When a thread of the stage panicked.
    pub fn join(self) -> Result<(), FetchError> {
        let mut result = Ok(());
        for (name, thread) in self.threads {
            if !thread.join().is_ok_and(|well| well) {
                result = result.and(Err(FetchError::Stopped(name)));
            }
        }
        result
    }
}

/// One signal in two forms: for tasks that await, and for threads that block on queues.
#[derive(Debug)]
struct Cancel {
    tasks: watch::Sender<bool>,
    /// Dropping it wakes the threads.
    threads: Mutex<Option<Sender<()>>>,
}

impl Cancel {
    fn cancel(&self) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tasks.send_replace(true);
    }
}

/// Starts the stage on threads of its own: `runtime_threads` for the work, two that wait on the queues.
///
/// Takes [`Request`]s until that queue closes, and gives one [`Fetched`] for each, in the order they finish; then it
/// closes `fetched`. When nobody takes results any more, it stops as if cancelled. The soft limit on open files is
/// raised as far as the system lets it.
///
/// # Errors
/// When a setting cannot be used, or threads cannot be started.
pub fn start(
    config: FetchConfig,
    requests: Receiver<Request>,
    fetched: Sender<Fetched>,
    counters: Arc<FetchCounters>,
    runtime_threads: usize,
) -> Result<FetchHandle, FetchError> {
    let runtime = build_runtime(runtime_threads).map_err(FetchError::Start)?;
    let fetcher = {
        let _context = runtime.enter();
        build_fetcher(&config, counters.clone())?
    };
    let (batches, requests_in) = mpsc::channel(BATCHES);
    let (overflow, overflow_out) = mpsc::channel(1);
    let (wake, woken) = crossbeam_channel::bounded(0);
    let (tasks, cancelled) = watch::channel(false);
    let cancel = Arc::new(Cancel { tasks, threads: Mutex::new(Some(wake)) });

    let taker = spawn("fetch-in", {
        let woken = woken.clone();
        move || {
            pass_requests(&requests, &batches, &woken);
            true
        }
    })?;
    let giver = spawn("fetch-out", {
        let fetched = fetched.clone();
        move || pass_overflow(overflow_out, &fetched, &woken)
    })?;
    let scheduler = Scheduler::new(config, Arc::new(fetcher), counters);
    let ends = Ends { requests: requests_in, fetched, overflow, cancelled };
    let worker = spawn("fetch", {
        let cancel = cancel.clone();
        move || {
            let ended = runtime.block_on(async { tokio::spawn(scheduler.run(ends)).await });
            runtime.shutdown_timeout(RUNTIME_STOPS_WITHIN);
            // The last results are still on their way through `fetch-out`; then nothing may block any more.
            let given = giver.join();
            cancel.cancel();
            ended.is_ok() && given.is_ok()
        }
    })?;
    Ok(FetchHandle { cancel, threads: vec![("fetch", worker), ("fetch-in", taker)] })
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, FetchError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(FetchError::Start)
}

fn build_runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.worker_threads(threads.max(1)).thread_name("fetch-io").enable_all().build()
}

fn build_fetcher(config: &FetchConfig, counters: Arc<FetchCounters>) -> Result<Fetcher, FetchError> {
    let allowed_networks = config
        .allowed_networks
        .iter()
        .map(|text| text.parse().map_err(|()| FetchError::Network(text.clone())))
        .collect::<Result<_, _>>()?;
    let guard = AddressGuard { allow_private: config.allow_private_addresses, allowed_networks };
    let resolver = CachingResolver::new(&config.dns, guard.clone(), counters.clone())?;
    let large_bodies = (config.large_body_budget_bytes / config.max_bytes.max(1)).max(1);
    Ok(Fetcher {
        lenient: LenientClient::new(config, resolver.clone())?,
        client: client::build(config, resolver, open_files::raise_limit())?,
        guard,
        robots: RobotsPolicy::new(&config.disallowed_header_directives, config.user_agent_token.as_deref()),
        timeout: Duration::from_millis(config.timeout_ms),
        max_redirects: config.max_redirects as usize,
        removed_images: config.removed_images.clone(),
        limits: BodyLimits {
            max_bytes: config.max_bytes,
            min_bytes_per_s: config.min_bytes_per_s,
            window: Duration::from_millis(config.grace_ms),
        },
        large_bodies: Arc::new(Semaphore::new((large_bodies as usize).min(Semaphore::MAX_PERMITS))),
        counters,
    })
}

/// Moves requests from the caller's queue, where taking blocks, to the scheduler, in batches to wake it less often.
fn pass_requests(
    requests: &Receiver<Request>,
    batches: &mpsc::Sender<Vec<Request>>,
    cancelled: &Receiver<()>,
) {
    loop {
        let mut batch = select! {
            recv(requests) -> request => match request {
                Ok(request) => vec![request],
                Err(_) => return,
            },
            recv(cancelled) -> _ => return,
        };
        batch.extend(requests.try_iter().take(BATCH - 1));
        if batches.blocking_send(batch).is_err() {
            return;
        }
    }
}

/// Moves results to the caller's queue while that is full, where giving blocks.
fn pass_overflow(mut overflow: mpsc::Receiver<Fetched>, fetched: &Sender<Fetched>, cancelled: &Receiver<()>) {
    while let Some(row) = overflow.blocking_recv() {
        select! {
            send(fetched, row) -> sent => if sent.is_err() {
                return;
            },
            recv(cancelled) -> _ => return,
        }
    }
}
