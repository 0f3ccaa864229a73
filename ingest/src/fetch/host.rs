//! What is known about each host: the rows waiting for it, and whether it wants to be, or can be, asked now.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::message;
use reqwest::Url;
use tokio::time::Instant;

use super::attempt::HostSign;
use super::config::BreakerConfig;
use super::counters::{FetchCounters, add, sub};
use super::job::Job;

/// Hosts without rows that are remembered (for their failures, and whether they come up again). Above it the
/// unremarkable ones are forgotten; a few hundred bytes each.
const IDLE_HOSTS: usize = 16_384;

/// One scheme, name and port.
pub(super) struct Host {
    name: Arc<str>,
    pub queue: VecDeque<Box<Job>>,
    pub in_flight: usize,
    /// Whether the scheduler's ring holds the host.
    pub in_ring: bool,
    pub rows_seen: u64,
    pub has_answered: bool,
    /// By a `Retry-After` worth waiting for.
    paused_until: Option<Instant>,
    /// By too many with a `Retry-After` not worth waiting for.
    closed_until: Option<Instant>,
    long_refusals: u32,
    pub breaker: Breaker,
}

impl Host {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            queue: VecDeque::new(),
            in_flight: 0,
            in_ring: false,
            rows_seen: 0,
            has_answered: false,
            paused_until: None,
            closed_until: None,
            long_refusals: 0,
            breaker: Breaker::default(),
        }
    }

    /// Whether a waiting row may be started.
    pub fn may_start(&self, now: Instant, per_host: usize) -> bool {
        !self.queue.is_empty()
            && self.in_flight < per_host
            && self.paused_until.is_none_or(|until| until <= now)
            && self.breaker.permits(now)
    }

    /// Why rows of this host should not wait any longer, if so.
    pub fn gives_up_rows(&self, now: Instant, config: &BreakerConfig) -> Option<Failure> {
        if self.closed_until.is_some_and(|until| until > now) {
            return Some(Failure::new(FailureClass::Http429, message::http_error(429)));
        }
        self.breaker
            .is_out_of_patience(now, config)
            .then(|| Failure::new(FailureClass::HostDown, message::HOST_DOWN))
    }

    /// Heeds a `Retry-After` of `wait`. Returns until when the host is left alone.
    pub fn told_to_wait(
        &mut self,
        wait: Duration,
        longest: Duration,
        now: Instant,
        config: &BreakerConfig,
    ) -> Option<Instant> {
        if wait <= longest {
            self.long_refusals = 0;
            let until = now + wait;
            self.pause_until(until);
            return self.paused_until;
        }
        // A single such answer may be meant for one URL. A host that gives nothing else is left alone.
        self.long_refusals += 1;
        if config.failures > 0 && self.long_refusals >= config.failures {
            // One day stands for any longer wait, and keeps the sum in range.
            self.closed_until = Some(now + wait.min(Duration::from_secs(86_400)));
        }
        None
    }

    /// An answer that did not ask us to stay away.
    pub fn welcomed(&mut self) {
        self.long_refusals = 0;
        self.closed_until = None;
    }

    /// Leaves the host alone until `until`, if it is not left alone for longer already.
    pub fn pause_until(&mut self, until: Instant) {
        self.paused_until = Some(self.paused_until.map_or(until, |t| t.max(until)));
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0 && !self.in_ring
    }

    fn is_unremarkable(&self, now: Instant) -> bool {
        self.paused_until.is_none_or(|until| until <= now)
            && self.closed_until.is_none_or(|until| until <= now)
            && !self.breaker.is_open()
    }
}

/// Opens after failures in a row, lets one row probe after a pause, closes at the first answer.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open: Option<Opened>,
}

#[derive(Debug)]
struct Opened {
    since: Instant,
    probe_at: Instant,
    /// Ticket of the row that probes.
    probe: Option<u64>,
}

/// What a hop's end did to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerChange {
    None,
    Opened,
    /// A probe failed, or said nothing.
    Reopened,
    Closed,
}

impl Breaker {
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn permits(&self, now: Instant) -> bool {
        self.open.as_ref().is_none_or(|open| open.probe.is_none() && open.probe_at <= now)
    }

    /// When to look again while open: the next probe, and the end of patience.
    pub fn wake_ups(&self, config: &BreakerConfig) -> Option<(Instant, Instant)> {
        let open = self.open.as_ref()?;
        Some((open.probe_at, open.since + Duration::from_millis(config.patience_ms)))
    }

    /// Whether rows should not wait: open for longer than their patience, and no probe wanted.
    fn is_out_of_patience(&self, now: Instant, config: &BreakerConfig) -> bool {
        self.open.as_ref().is_some_and(|open| now >= open.since + Duration::from_millis(config.patience_ms))
            && !self.permits(now)
    }

    /// A row starts.
    pub fn started(&mut self, ticket: u64) {
        if let Some(open) = &mut self.open {
            open.probe = Some(ticket);
        }
    }

    /// A row's hop ended.
    pub fn ended(
        &mut self,
        ticket: u64,
        sign: HostSign,
        now: Instant,
        config: &BreakerConfig,
    ) -> BreakerChange {
        let pause = Duration::from_millis(config.open_ms);
        match (sign, &mut self.open) {
            (HostSign::Answered, open) => {
                self.failures = 0;
                if open.take().is_some() { BreakerChange::Closed } else { BreakerChange::None }
            }
            (HostSign::Unknown, Some(open)) if open.probe == Some(ticket) => {
                // The probe did not get as far as the host: let another row try at once.
                *open = Opened { since: open.since, probe_at: now, probe: None };
                BreakerChange::Reopened
            }
            (HostSign::Silent, Some(open)) if open.probe == Some(ticket) => {
                *open = Opened { since: open.since, probe_at: now + pause, probe: None };
                BreakerChange::Reopened
            }
            // Rows that were under way when it opened say nothing new.
            (HostSign::Unknown | HostSign::Silent, Some(_)) | (HostSign::Unknown, None) => {
                BreakerChange::None
            }
            (HostSign::Silent, None) => {
                self.failures += 1;
                if config.failures == 0 || self.failures < config.failures {
                    return BreakerChange::None;
                }
                self.open = Some(Opened { since: now, probe_at: now + pause, probe: None });
                BreakerChange::Opened
            }
        }
    }
}

/// All hosts with rows, and some more.
pub(super) struct HostTable {
    slots: Vec<Option<Host>>,
    free: Vec<usize>,
    index: HashMap<Arc<str>, usize>,
    sweep_above: usize,
    /// Reused for building names.
    name: String,
    counters: Arc<FetchCounters>,
}

impl HostTable {
    pub fn new(counters: Arc<FetchCounters>) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            sweep_above: IDLE_HOSTS,
            name: String::new(),
            counters,
        }
    }

    pub fn get(&mut self, id: usize) -> Option<&mut Host> {
        self.slots.get_mut(id)?.as_mut()
    }

    /// The host of `url`, new if need be.
    pub fn of(&mut self, url: &Url, now: Instant) -> usize {
        self.name.clear();
        let port = url.port_or_known_default().unwrap_or(0);
        // Writing to a String does not fail.
        let _ = write!(self.name, "{}://{}:{port}", url.scheme(), url.host_str().unwrap_or(""));
        if let Some(id) = self.index.get(self.name.as_str()) {
            return *id;
        }
        if self.index.len() >= self.sweep_above {
            self.sweep(now);
        }
        let name: Arc<str> = self.name.as_str().into();
        let host = Some(Host::new(name.clone()));
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id] = host;
                id
            }
            None => {
                self.slots.push(host);
                self.slots.len() - 1
            }
        };
        self.index.insert(name, id);
        add(&self.counters.hosts, 1);
        id
    }

    /// Forgets idle hosts: the unremarkable ones, and if those are few, all. Each call frees at least half of what
    /// was added since the last or doubles the bound, so the cost per host added is constant.
    fn sweep(&mut self, now: Instant) {
        for keep_remarkable in [true, false] {
            for (id, slot) in self.slots.iter_mut().enumerate() {
                if slot.as_ref().is_some_and(|h| h.is_idle() && (h.is_unremarkable(now) || !keep_remarkable))
                    && let Some(host) = slot.take()
                {
                    self.index.remove(&host.name);
                    self.free.push(id);
                    sub(&self.counters.hosts, 1);
                    sub(&self.counters.hosts_open, u64::from(host.breaker.is_open()));
                }
            }
            if self.index.len() <= self.sweep_above / 2 {
                break;
            }
        }
        self.sweep_above = IDLE_HOSTS.max(2 * self.index.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig { failures: 3, open_ms: 1_000, patience_ms: 5_000 };

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn breaker_opens_probes_and_closes() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let end = |b: &mut Breaker, ticket, sign, ms| b.ended(ticket, sign, at(start, ms), &CONFIG);
        assert_eq!(end(&mut breaker, 1, HostSign::Silent, 0), BreakerChange::None);
        assert_eq!(end(&mut breaker, 2, HostSign::Silent, 0), BreakerChange::None);
        assert_eq!(
            end(&mut breaker, 3, HostSign::Answered, 0),
            BreakerChange::None,
            "an answer starts the count anew"
        );
        for ticket in 4..6 {
            assert_eq!(end(&mut breaker, ticket, HostSign::Silent, 0), BreakerChange::None);
        }
        assert_eq!(end(&mut breaker, 6, HostSign::Silent, 0), BreakerChange::Opened);
        assert!(!breaker.permits(at(start, 999)) && breaker.permits(at(start, 1_000)));
        breaker.started(7);
        assert!(!breaker.permits(at(start, 1_000)), "one probe at a time");
        assert_eq!(
            end(&mut breaker, 5, HostSign::Silent, 1_100),
            BreakerChange::None,
            "late failures change nothing"
        );
        assert_eq!(end(&mut breaker, 7, HostSign::Silent, 1_500), BreakerChange::Reopened);
        assert!(!breaker.is_out_of_patience(at(start, 2_400), &CONFIG));
        breaker.started(8);
        assert!(breaker.is_out_of_patience(at(start, 5_000), &CONFIG));
        assert_eq!(end(&mut breaker, 8, HostSign::Answered, 5_001), BreakerChange::Closed);
        assert!(breaker.permits(at(start, 5_001)) && !breaker.is_out_of_patience(at(start, 9_000), &CONFIG));
    }

    #[test]
    fn repeated_long_refusals_close_the_host_and_single_ones_do_not() {
        let now = Instant::now();
        let longest = Duration::from_secs(60);
        let mut host = Host::new("http://a.test:80".into());
        let hour = Duration::from_secs(3_600);
        for _ in 0..2 {
            assert_eq!(host.told_to_wait(hour, longest, now, &CONFIG), None);
        }
        assert_eq!(host.gives_up_rows(now, &CONFIG), None);
        host.welcomed();
        for _ in 0..2 {
            host.told_to_wait(hour, longest, now, &CONFIG);
        }
        assert_eq!(host.gives_up_rows(now, &CONFIG), None);
        host.told_to_wait(hour, longest, now, &CONFIG);
        assert_eq!(host.gives_up_rows(now, &CONFIG).map(|f| f.class), Some(FailureClass::Http429));
        assert_eq!(host.gives_up_rows(now + hour, &CONFIG), None);
    }

    #[test]
    fn host_table_forgets_idle_hosts_but_not_open_ones() {
        let now = Instant::now();
        let mut table = HostTable::new(Arc::default());
        let dead = table.of(&Url::parse("http://dead.test/").unwrap(), now);
        for ticket in 0..3 {
            table.get(dead).unwrap().breaker.ended(ticket, HostSign::Silent, now, &CONFIG);
        }
        for i in 0..(IDLE_HOSTS + 100) {
            table.of(&Url::parse(&format!("http://h{i}.test/")).unwrap(), now);
        }
        assert!(table.index.len() < 200, "{}", table.index.len());
        assert_eq!(table.of(&Url::parse("http://dead.test:80/other").unwrap(), now), dead);
        assert!(table.get(dead).unwrap().breaker.is_open());
        let http = table.of(&Url::parse("http://a.test/").unwrap(), now);
        assert_ne!(http, table.of(&Url::parse("https://a.test/").unwrap(), now));
        assert_ne!(http, table.of(&Url::parse("http://a.test:8080/").unwrap(), now));
    }
}
