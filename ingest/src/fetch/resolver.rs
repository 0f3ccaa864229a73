//! Names to addresses, inside the process: hickory asks the name servers, this module keeps what they said (present
//! and absent names alike), lets rows that want the same name share one question, and drops every address the
//! [`AddressGuard`] refuses. reqwest connects to exactly what comes out of here, so the checked address is the one
//! connected to and a name that changes its mind between check and connect gains nothing.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use reqwest::dns::{Addrs, Resolve, Resolving};
use tokio::sync::SetOnce;

use super::FetchError;
use super::address::AddressGuard;
use super::config::DnsConfig;
use super::counters::{FetchCounters, add};

/// Why a name gave no address to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("no such name")]
    NotFound,
    #[error("the name has no address")]
    NoAddress,
    #[error("the name servers did not answer")]
    Temporary,
    #[error("its address is not public")]
    Private,
}

type Answer = Result<Arc<[IpAddr]>, ResolveError>;

/// One name's answer, there or on its way.
#[derive(Debug, Default)]
struct Entry {
    answer: SetOnce<(Answer, Instant)>,
}

impl Entry {
    fn is_fresh(&self, now: Instant) -> bool {
        self.answer.get().is_none_or(|(_, expires)| *expires > now)
    }
}

/// Names last asked for, in two generations: once the young one holds half the capacity it becomes the old one and
/// the former old one is forgotten. Names in use move back to the young one, so this is close to
/// least-recently-used at constant cost.
#[derive(Debug, Default)]
struct Cache {
    young: HashMap<Box<str>, Arc<Entry>>,
    old: HashMap<Box<str>, Arc<Entry>>,
    half_capacity: usize,
}

impl Cache {
    fn get(&mut self, name: &str) -> Option<Arc<Entry>> {
        if let Some(entry) = self.young.get(name) {
            return Some(entry.clone());
        }
        let (name, entry) = self.old.remove_entry(name)?;
        self.put(name, entry.clone());
        Some(entry)
    }

    fn put(&mut self, name: Box<str>, entry: Arc<Entry>) {
        if self.young.len() >= self.half_capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, entry);
    }
}

/// The resolver handed to reqwest.
#[derive(Clone)]
pub(super) struct CachingResolver(Arc<Shared>);

struct Shared {
    hickory: TokioResolver,
    cache: Mutex<Cache>,
    guard: AddressGuard,
    config: DnsConfig,
    counters: Arc<FetchCounters>,
}

impl CachingResolver {
    pub fn new(
        config: &DnsConfig,
        guard: AddressGuard,
        counters: Arc<FetchCounters>,
    ) -> Result<Self, FetchError> {
        let cache = Cache { half_capacity: (config.cache_entries / 2).max(1), ..Cache::default() };
        let hickory = hickory(config)?;
        Ok(Self(Arc::new(Shared {
            hickory,
            cache: Mutex::new(cache),
            guard,
            config: config.clone(),
            counters,
        })))
    }

    /// The addresses of `name` that may be connected to.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let answer = match self.entry(&name).answer.wait().await {
            (Ok(addresses), _) => addresses.clone(),
            (Err(error), _) => return Err(error.clone()),
        };
        let permitted: Vec<IpAddr> = answer.iter().copied().filter(|a| self.0.guard.permits(*a)).collect();
        if permitted.is_empty() && !answer.is_empty() { Err(ResolveError::Private) } else { Ok(permitted) }
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = cache.get(name)
            && entry.is_fresh(Instant::now())
        {
            add(&self.0.counters.dns_hits, 1);
            return entry;
        }
        let entry = Arc::new(Entry::default());
        cache.put(name.into(), entry.clone());
        drop(cache);
        // Asked in a task of its own: the answer is wanted even if the row that asked first gives up.
        let (shared, asked, name) = (self.0.clone(), entry.clone(), name.to_owned());
        tokio::spawn(async move {
            let answer = shared.ask(&name).await;
            // Set only here, so never twice.
            let _ = asked.answer.set(answer);
        });
        entry
    }
}

impl Resolve for CachingResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.lookup(name.as_str()).await?;
            // Port 0 stands for the URL's.
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

impl Shared {
    /// Asks the name servers, and says until when the answer holds.
    async fn ask(&self, name: &str) -> (Answer, Instant) {
        add(&self.counters.dns_lookups, 1);
        let Some(full_name) = dns_name(name) else {
            add(&self.counters.dns_failures, 1);
            let ttl = Duration::from_secs(self.config.negative_ttl_s);
            return (Err(ResolveError::NotFound), Instant::now() + ttl);
        };
        // hickory keeps its own deadlines; this one holds whatever it does.
        let longest =
            Duration::from_millis(self.config.timeout_ms.saturating_mul(self.config.retries as u64 + 2));
        let found = tokio::time::timeout(longest, self.hickory.lookup_ip(full_name)).await;
        let now = Instant::now();
        let seconds = Duration::from_secs;
        let (answer, ttl) = match found {
            Ok(Ok(lookup)) => {
                let addresses: Vec<IpAddr> = lookup.iter().collect();
                let ttl = lookup.valid_until().saturating_duration_since(now);
                let (min, max) = (seconds(self.config.min_ttl_s), seconds(self.config.max_ttl_s));
                if addresses.is_empty() {
                    (Err(ResolveError::NoAddress), seconds(self.config.negative_ttl_s))
                } else {
                    (Ok(addresses.into()), ttl.max(min).min(max))
                }
            }
            Ok(Err(error)) => {
                let (error, promised_s) = absent_or_unanswered(&error);
                let ttl = if error == ResolveError::Temporary {
                    Duration::from_millis(self.config.failure_ttl_ms)
                } else {
                    let longest_s = self.config.negative_ttl_s;
                    seconds(promised_s.map_or(longest_s, |s| u64::from(s).min(longest_s)))
                };
                (Err(error), ttl)
            }
            Err(_) => (Err(ResolveError::Temporary), Duration::from_millis(self.config.failure_ttl_ms)),
        };
        if answer.is_err() {
            add(&self.counters.dns_failures, 1);
        }
        (answer, now + ttl)
    }
}

/// A URL's host as the name to ask for. The URL parser has applied the web's rules (letters to punycode, no blanks
/// or delimiters), so any label of 1 to 63 bytes will do: underscores and hyphens stand in names that work, whatever
/// registrars and hickory's own parser allow. `None` is a name that the DNS cannot hold.
fn dns_name(name: &str) -> Option<Name> {
    let mut full_name = Name::from_labels(name.split('.').map(str::as_bytes)).ok()?;
    // A name of several labels is a full one: trying the search domains would send every dead name twice.
    full_name.set_fqdn(name.contains('.'));
    Some(full_name)
}

/// What a failed lookup means, and for how many seconds its zone promised that.
fn absent_or_unanswered(error: &NetError) -> (ResolveError, Option<u32>) {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => (ResolveError::NotFound, none.negative_ttl),
            ResponseCode::NoError => (ResolveError::NoAddress, none.negative_ttl),
            _ => (ResolveError::Temporary, None),
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => (ResolveError::NotFound, None),
        // Nothing that could be asked.
        NetError::Proto(_) => (ResolveError::NotFound, None),
        _ => (ResolveError::Temporary, None),
    }
}

fn hickory(config: &DnsConfig) -> Result<TokioResolver, FetchError> {
    let provider = TokioRuntimeProvider::default();
    let (servers, options) = if config.nameservers.is_empty() {
        system_config()
    } else {
        let servers = config.nameservers.iter().map(|text| nameserver(text)).collect::<Result<_, _>>()?;
        (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
    };
    let mut builder = TokioResolver::builder_with_config(servers, provider).with_options(options);
    let options = builder.options_mut();
    // Our cache is in front, and knows about questions under way.
    options.cache_size = 0;
    options.timeout = Duration::from_millis(config.timeout_ms.max(1));
    options.attempts = config.retries;
    options.use_hosts_file = ResolveHosts::Always;
    options.try_tcp_on_error = true;
    options.max_active_requests = 1_024;
    let ipv6 = config.ipv6.unwrap_or_else(has_ipv6_route);
    options.ip_strategy = if ipv6 { LookupIpStrategy::Ipv4AndIpv6 } else { LookupIpStrategy::Ipv4Only };
    builder.build().map_err(|e| FetchError::Resolver(e.to_string()))
}

/// `/etc/resolv.conf`, or where that is missing or unusable what the C library does: ask 127.0.0.1.
fn system_config() -> (ResolverConfig, ResolverOpts) {
    hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|_| {
        let local = NameServerConfig::udp_and_tcp(IpAddr::from([127, 0, 0, 1]));
        (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
    })
}

fn nameserver(text: &str) -> Result<NameServerConfig, FetchError> {
    let address = text
        .trim()
        .parse::<SocketAddr>()
        .or_else(|_| text.trim().parse().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| FetchError::Nameserver(text.to_owned()))?;
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    Ok(NameServerConfig::new(address.ip(), true, connections.to_vec()))
}

/// Whether the machine would know where to send an IPv6 packet. Connecting a datagram socket sends nothing.
fn has_ipv6_route() -> bool {
    const ANY_GLOBAL: &str = "[2001:4860:4860::8888]:53";
    UdpSocket::bind("[::]:0").and_then(|socket| socket.connect(ANY_GLOBAL)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_stays_bounded_and_keeps_names_in_use() {
        let mut cache = Cache { half_capacity: 8, ..Cache::default() };
        cache.put("hot".into(), Arc::default());
        for i in 0..1_000 {
            cache.put(format!("cold{i}").into(), Arc::default());
            assert!(cache.get("hot").is_some(), "after {i}");
            assert!(cache.young.len() + cache.old.len() <= 17);
        }
        assert!(cache.get("cold0").is_none());
        assert!(cache.get("cold999").is_some());
    }

    #[test]
    fn nameservers_are_addresses_with_or_without_port() {
        assert_eq!(nameserver("9.9.9.9").unwrap().connections[0].port, 53);
        assert_eq!(nameserver("127.0.0.1:5353").unwrap().connections[1].port, 5353);
        assert_eq!(nameserver("::1").unwrap().ip, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        assert!(matches!(nameserver("dns.example"), Err(FetchError::Nameserver(_))));
    }
}
