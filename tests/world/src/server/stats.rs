//! What the server has seen: the tests' view of how a client behaves (how many requests at once, to whom, as whom).

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Most distinct paths, and user agents, that are counted one by one; the rest only adds to the totals.
const MAX_PATHS: usize = 65_536;
const MAX_AGENTS: usize = 64;

/// Counts of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostStats {
    /// Address and port.
    pub address: String,
    /// Requests read.
    pub requests: u64,
    /// Most requests in work at once.
    pub max_in_flight: u64,
}

/// Counts since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Requests read.
    pub requests: u64,
    /// Body bytes of whole answers sent.
    pub body_bytes: u64,
    /// Most requests in work at once, all hosts together.
    pub max_in_flight: u64,
    /// Each host, in order.
    pub hosts: Vec<HostStats>,
    /// Requests by `User-Agent` (the first 64 that came).
    pub user_agents: BTreeMap<String, u64>,
    /// Requests by path and query (the first 65,536 that came).
    pub paths: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Host {
    requests: AtomicU64,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
}

#[derive(Default)]
struct Names {
    user_agents: HashMap<String, u64>,
    paths: HashMap<String, u64>,
}

pub(super) struct Counters {
    addresses: Vec<String>,
    hosts: Vec<Host>,
    all: Host,
    connections: AtomicU64,
    body_bytes: AtomicU64,
    names: Mutex<Names>,
}

/// A request in work; ends when dropped.
pub(super) struct InFlight<'a>([&'a AtomicU64; 2]);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        for count in self.0 {
            count.fetch_sub(1, Relaxed);
        }
    }
}

impl Counters {
    pub(super) fn new(addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: addresses.iter().map(SocketAddr::to_string).collect(),
            hosts: addresses.iter().map(|_| Host::default()).collect(),
            all: Host::default(),
            connections: AtomicU64::new(0),
            body_bytes: AtomicU64::new(0),
            names: Mutex::default(),
        }
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn sent(&self, body_bytes: usize) {
        self.body_bytes.fetch_add(body_bytes as u64, Relaxed);
    }

    /// Counts a request until the result is dropped.
    pub(super) fn enter(&self, host: usize, target: &str, user_agent: Option<&str>) -> InFlight<'_> {
        let host = &self.hosts[host];
        for counts in [host, &self.all] {
            counts.requests.fetch_add(1, Relaxed);
            let now = counts.in_flight.fetch_add(1, Relaxed) + 1;
            counts.max_in_flight.fetch_max(now, Relaxed);
        }
        let mut names = self.names();
        bump(&mut names.paths, target, MAX_PATHS);
        bump(&mut names.user_agents, user_agent.unwrap_or(""), MAX_AGENTS);
        InFlight([&host.in_flight, &self.all.in_flight])
    }

    pub(super) fn snapshot(&self) -> Stats {
        let hosts = self.hosts.iter().zip(&self.addresses).map(|(host, address)| HostStats {
            address: address.clone(),
            requests: host.requests.load(Relaxed),
            max_in_flight: host.max_in_flight.load(Relaxed),
        });
        let names = self.names();
        Stats {
            connections: self.connections.load(Relaxed),
            requests: self.all.requests.load(Relaxed),
            body_bytes: self.body_bytes.load(Relaxed),
            max_in_flight: self.all.max_in_flight.load(Relaxed),
            hosts: hosts.collect(),
            user_agents: names.user_agents.iter().map(|(k, v)| (k.clone(), *v)).collect(),
            paths: names.paths.iter().map(|(k, v)| (k.clone(), *v)).collect(),
        }
    }

    pub(super) fn clear(&self) {
        for counts in self.hosts.iter().chain([&self.all]) {
            counts.requests.store(0, Relaxed);
            counts.max_in_flight.store(counts.in_flight.load(Relaxed), Relaxed);
        }
        self.connections.store(0, Relaxed);
        self.body_bytes.store(0, Relaxed);
        *self.names() = Names::default();
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bump(counts: &mut HashMap<String, u64>, name: &str, max: usize) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < max {
        counts.insert(name.to_owned(), 1);
    }
}

/// How often each recovering fault has been asked for.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<String, u32>>);

impl Attempts {
    /// The number of this attempt at `path`, from 1.
    pub(super) fn next(&self, path: &str) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(path.to_owned()).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
