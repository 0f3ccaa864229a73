//! The settings of the fetch stage. Every default is a named constant here; the flags and the TOML section
//! `[fetch]` overlay them. Nothing here changes a byte of a successful sample.

use serde::{Deserialize, Serialize};

/// Rows in flight at once; img2dataset's `thread_count`.
pub const DEFAULT_CONCURRENCY: usize = 256;
/// Rows in flight at one host (scheme, name and port). img2dataset has no limit, which is what gets its users
/// blocked; browsers use 6, crawlers 1 to 8; 16 keeps sets that live on a few image CDNs fast.
pub const DEFAULT_PER_HOST: usize = 16;
/// Total deadline of one attempt. img2dataset's `timeout` is 10 s too, but for each socket operation.
pub const DEFAULT_TIMEOUT_MS: u64 = 10_000;
/// Time for name lookup, TCP and TLS handshake together.
pub const DEFAULT_CONNECT_TIMEOUT_MS: u64 = 6_000;
/// Largest body taken.
pub const DEFAULT_MAX_BYTES: u64 = 64 << 20;
/// Slowest body taken, over any window of [`DEFAULT_GRACE_MS`].
pub const DEFAULT_MIN_BYTES_PER_S: u64 = 1_024;
/// Window over which the speed is judged, and so the time before it is judged at all.
pub const DEFAULT_GRACE_MS: u64 = 4_000;
/// Redirects followed; urllib's limit is 10.
pub const DEFAULT_MAX_REDIRECTS: u32 = 10;
/// First back-off, doubled at each further retry.
pub const DEFAULT_BACKOFF_BASE_MS: u64 = 1_000;
/// Longest back-off.
pub const DEFAULT_BACKOFF_MAX_MS: u64 = 30_000;
/// Longest `Retry-After` that is waited for.
pub const DEFAULT_MAX_RETRY_AFTER_MS: u64 = 60_000;
/// Bytes of bodies above 1 MiB held at once.
pub const DEFAULT_LARGE_BODY_BUDGET_BYTES: u64 = 128 << 20;
/// `X-Robots-Tag` directives that forbid the use; img2dataset's list.
pub const DEFAULT_DISALLOWED_HEADER_DIRECTIVES: [&str; 4] = ["noai", "noimageai", "noindex", "noimageindex"];
/// Name in the `User-Agent` header; `--contact` adds how to reach the user. img2dataset pretends to be desktop
/// Firefox, which a site's owner can neither recognise nor reach.
pub const DEFAULT_USER_AGENT: &str = concat!("Pairmill/", env!("CARGO_PKG_VERSION"));

/// How URLs are fetched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchConfig {
    /// Rows in flight at once.
    pub concurrency: usize,
    /// Rows in flight at one host.
    pub per_host: usize,
    /// Total deadline of one attempt: lookup, handshakes, redirects and body. Time a row waits for its turn, for a
    /// large-body permit or for the next stage does not count.
    pub timeout_ms: u64,
    /// Milliseconds between the starts of two requests to one host; 0 is no pause.
    pub host_interval_ms: u64,
    /// Ends of URL paths that stand for a picture that is gone (`/removed.png` at Imgur): a redirection there is a
    /// failure, not a picture.
    pub removed_images: Vec<String>,
    /// Time for lookup, TCP and TLS handshake together, within `timeout_ms`.
    pub connect_timeout_ms: u64,
    /// Largest body taken.
    pub max_bytes: u64,
    /// A body slower than this over any `grace_ms` is given up; 0 takes any speed.
    pub min_bytes_per_s: u64,
    /// Window of `min_bytes_per_s`.
    pub grace_ms: u64,
    /// Redirects followed.
    pub max_redirects: u32,
    /// Whether `final_url` keeps user names, passwords and queries. They may hold secrets, so they are left out.
    pub whole_final_url: bool,
    /// Further attempts after a transient failure; 0 as in img2dataset.
    pub retries: u32,
    /// First back-off; the wait is drawn between 0 and this, doubled at each further retry.
    pub backoff_base_ms: u64,
    /// Longest back-off.
    pub backoff_max_ms: u64,
    /// Longest `Retry-After` that is waited for.
    pub max_retry_after_ms: u64,
    /// Whether addresses that are not public are fetched from.
    pub allow_private_addresses: bool,
    /// Networks (`10.1.0.0/16`, `fd12::/32`, `127.0.0.1`) fetched from although they are not public.
    pub allowed_networks: Vec<String>,
    /// `User-Agent`.
    pub user_agent: String,
    /// Appended to the user agent, and the name agent-scoped `X-Robots-Tag` directives are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent_token: Option<String>,
    /// `X-Robots-Tag` directives that forbid the use; empty turns the check off.
    pub disallowed_header_directives: Vec<String>,
    /// Bytes of bodies above 1 MiB held at once; at least one such body always fits.
    pub large_body_budget_bytes: u64,
    /// Whether certificates go unchecked. TLS 1.2 or 1.3 with ECDHE and AES-GCM or ChaCha20 is spoken all the same:
    /// a server that has only DHE, CBC or older versions cannot be reached.
    pub ignore_tls_errors: bool,
    /// When a host that does not answer is left alone.
    pub breaker: BreakerConfig,
    /// How names become addresses.
    pub dns: DnsConfig,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            concurrency: DEFAULT_CONCURRENCY,
            per_host: DEFAULT_PER_HOST,
            timeout_ms: DEFAULT_TIMEOUT_MS,
            host_interval_ms: 0,
            removed_images: Vec::new(),
            connect_timeout_ms: DEFAULT_CONNECT_TIMEOUT_MS,
            max_bytes: DEFAULT_MAX_BYTES,
            min_bytes_per_s: DEFAULT_MIN_BYTES_PER_S,
            grace_ms: DEFAULT_GRACE_MS,
            max_redirects: DEFAULT_MAX_REDIRECTS,
            whole_final_url: false,
            retries: 0,
            backoff_base_ms: DEFAULT_BACKOFF_BASE_MS,
            backoff_max_ms: DEFAULT_BACKOFF_MAX_MS,
            max_retry_after_ms: DEFAULT_MAX_RETRY_AFTER_MS,
            allow_private_addresses: false,
            allowed_networks: Vec::new(),
            user_agent: DEFAULT_USER_AGENT.to_owned(),
            user_agent_token: None,
            disallowed_header_directives: DEFAULT_DISALLOWED_HEADER_DIRECTIVES.map(str::to_owned).to_vec(),
            large_body_budget_bytes: DEFAULT_LARGE_BODY_BUDGET_BYTES,
            ignore_tls_errors: false,
            breaker: BreakerConfig::default(),
            dns: DnsConfig::default(),
        }
    }
}

/// Failures in a row that open a host's breaker. Above [`DEFAULT_PER_HOST`], so that one lost packet burst over a
/// full set of connections is not taken for a dead host.
pub const DEFAULT_BREAKER_FAILURES: u32 = 20;
/// Pause of a host before it is probed.
pub const DEFAULT_BREAKER_OPEN_MS: u64 = 5_000;
/// How long rows of a dead host wait for it to come back.
pub const DEFAULT_BREAKER_PATIENCE_MS: u64 = 15_000;

/// When a host that does not answer is left alone. Only refused or timed-out connections, lookups that failed for
/// now and missing answers count; any HTTP answer, a 404 or a 503 as well, shows that the host is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// Failures in a row that open the breaker; 0 never opens it. As many answers that forbid coming back soon
    /// (a 429 with a `Retry-After` above `max_retry_after_ms`) end the host's rows as `http_429` until then.
    pub failures: u32,
    /// After this long, one row probes the host.
    pub open_ms: u64,
    /// Rows of a host that has been open for this long end as `host_down`, but for one probe every `open_ms`.
    pub patience_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: DEFAULT_BREAKER_FAILURES,
            open_ms: DEFAULT_BREAKER_OPEN_MS,
            patience_ms: DEFAULT_BREAKER_PATIENCE_MS,
        }
    }
}

/// Names kept in the lookup cache; about 100 bytes each.
pub const DEFAULT_DNS_CACHE_ENTRIES: usize = 100_000;
/// Shortest time an address is kept, whatever its TTL.
pub const DEFAULT_DNS_MIN_TTL_S: u64 = 60;
/// Longest time an address is kept, whatever its TTL.
pub const DEFAULT_DNS_MAX_TTL_S: u64 = 3_600;
/// Longest time the absence of a name is kept.
pub const DEFAULT_DNS_NEGATIVE_TTL_S: u64 = 300;
/// How long a lookup that failed for now is not repeated.
pub const DEFAULT_DNS_FAILURE_TTL_MS: u64 = 1_000;
/// Wait for one answer of a name server.
pub const DEFAULT_DNS_TIMEOUT_MS: u64 = 2_000;
/// Further questions after the first goes unanswered.
pub const DEFAULT_DNS_RETRIES: usize = 1;

/// How names become addresses: a caching resolver in this process, so that no name server of the machine's own is
/// needed (img2dataset's users are told to install one).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Names kept in the cache.
    pub cache_entries: usize,
    /// Shortest time an address is kept, whatever its TTL.
    pub min_ttl_s: u64,
    /// Longest time an address is kept, whatever its TTL.
    pub max_ttl_s: u64,
    /// Longest time the absence of a name is kept.
    pub negative_ttl_s: u64,
    /// How long a lookup that failed for now is not repeated.
    pub failure_ttl_ms: u64,
    /// Wait for one answer of a name server.
    pub timeout_ms: u64,
    /// Further questions after the first goes unanswered.
    pub retries: usize,
    /// Name servers (`9.9.9.9`, `127.0.0.1:5353`, `[::1]:53`). Empty takes those of `/etc/resolv.conf`, and without
    /// a usable one asks 127.0.0.1 as the C library does.
    pub nameservers: Vec<String>,
    /// Whether IPv6 addresses are asked for; absent, only where the machine has an IPv6 route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<bool>,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            cache_entries: DEFAULT_DNS_CACHE_ENTRIES,
            min_ttl_s: DEFAULT_DNS_MIN_TTL_S,
            max_ttl_s: DEFAULT_DNS_MAX_TTL_S,
            negative_ttl_s: DEFAULT_DNS_NEGATIVE_TTL_S,
            failure_ttl_ms: DEFAULT_DNS_FAILURE_TTL_MS,
            timeout_ms: DEFAULT_DNS_TIMEOUT_MS,
            retries: DEFAULT_DNS_RETRIES,
            nameservers: Vec::new(),
            ipv6: None,
        }
    }
}
