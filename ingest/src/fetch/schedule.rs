//! Decides which row is fetched next. Rows wait in a queue per host; hosts that may be asked now stand in a ring and
//! take turns, one row a turn, so a host with a million rows, a slow one or a dead one never holds up the others.
//! Everything here is one task's own state, and each row costs a constant number of steps (timers: logarithmic).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::TrySendError;
use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::message;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::attempt::{Fetcher, HopEnd, HostFacts, HostSign, Outcome};
use super::classify::AttemptFailure;
use super::config::FetchConfig;
use super::counters::{FetchCounters, add, sub};
use super::host::{BreakerChange, HostTable};
use super::job::Job;
use super::retry::backoff;
use super::{Fetched, Request};

/// The ends of the queues the scheduler stands between.
pub(super) struct Ends {
    pub requests: mpsc::Receiver<Vec<Request>>,
    pub fetched: crossbeam_channel::Sender<Fetched>,
    /// Where a result goes when `fetched` is full: to a thread that may block.
    pub overflow: mpsc::Sender<Fetched>,
    pub cancelled: watch::Receiver<bool>,
}

/// A row that is done, and the permit of its body, which ends when the row is handed over.
struct Done {
    fetched: Fetched,
    _permit: Option<OwnedSemaphorePermit>,
}

/// A hop under way.
struct Running {
    host: usize,
    ticket: u64,
}

/// What a timer does.
enum Alarm {
    /// A host may have become ready, or out of patience.
    Host(usize),
    /// A row's back-off is over.
    Row(Box<Job>),
}

struct Timer {
    at: Instant,
    sequence: u64,
    alarm: Alarm,
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Timer {}

pub(super) struct Scheduler {
    config: FetchConfig,
    fetcher: Arc<Fetcher>,
    counters: Arc<FetchCounters>,
    hosts: HostTable,
    /// Hosts that may be asked now, each at most once.
    ring: VecDeque<usize>,
    timers: BinaryHeap<Reverse<Timer>>,
    num_timers: u64,
    hops: JoinSet<(Box<Job>, HopEnd)>,
    running: HashMap<Id, Running>,
    done: VecDeque<Done>,
    /// Rows taken in and not yet done.
    num_open: usize,
}

type Ended = Result<(Id, (Box<Job>, HopEnd)), JoinError>;

impl Scheduler {
    pub fn new(config: FetchConfig, fetcher: Arc<Fetcher>, counters: Arc<FetchCounters>) -> Self {
        Self {
            config,
            fetcher,
            hosts: HostTable::new(counters.clone()),
            counters,
            ring: VecDeque::new(),
            timers: BinaryHeap::new(),
            num_timers: 0,
            hops: JoinSet::new(),
            running: HashMap::new(),
            done: VecDeque::new(),
            num_open: 0,
        }
    }

    /// Runs until the requests end and every row is handed over, or until cancelled. Dropping what is left stops
    /// the hops under way.
    pub async fn run(mut self, mut ends: Ends) {
        let mut requests_end = false;
        // Results first: while the next stage takes none, none are added.
        while self.hand_over(&mut ends).await {
            self.start_hops();
            if requests_end && self.num_open == 0 && self.done.is_empty() {
                return;
            }
            if !self.done.is_empty() {
                continue;
            }
            let next_timer = self.timers.peek().map(|Reverse(timer)| timer.at);
            tokio::select! {
                () = is_cancelled(&mut ends.cancelled) => return,
                Some(ended) = self.hops.join_next_with_id() => {
                    self.hop_ended(ended);
                    while let Some(ended) = self.hops.try_join_next_with_id() {
                        self.hop_ended(ended);
                    }
                }
                batch = ends.requests.recv(), if !requests_end => match batch {
                    Some(batch) => self.take_in(&batch),
                    None => requests_end = true,
                },
                () = sleep_until(next_timer.unwrap_or_else(Instant::now)), if next_timer.is_some() => self.ring_alarms(),
            }
        }
    }

    /// Hands every finished row to the next stage. False when there is nobody to hand it to any more.
    async fn hand_over(&mut self, ends: &mut Ends) -> bool {
        while let Some(Done { fetched, _permit }) = self.done.pop_front() {
            add(&self.counters.rows, 1);
            match ends.fetched.try_send(fetched) {
                Ok(()) => {}
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(fetched)) => {
                    tokio::select! {
                        biased;
                        () = is_cancelled(&mut ends.cancelled) => return false,
                        sent = ends.overflow.send(fetched) => if sent.is_err() {
                            return false;
                        },
                    }
                }
            }
        }
        true
    }

    fn take_in(&mut self, batch: &[Request]) {
        let now = Instant::now();
        for request in batch {
            self.num_open += 1;
            match Job::new(request, self.config.whole_final_url) {
                Ok(job) => self.enqueue(Box::new(job), Place::Back, now),
                Err(failure) => {
                    let fetched = Fetched {
                        ticket: request.ticket,
                        result: Err(failure),
                        attempts: 0,
                        fetch_ms: 0,
                        final_url: None,
                    };
                    self.finish(fetched, None);
                }
            }
        }
    }

    /// Puts a row into its host's queue, or ends it if the host takes none.
    fn enqueue(&mut self, job: Box<Job>, place: Place, now: Instant) {
        let id = self.hosts.of(&job.target, now);
        let Some(host) = self.hosts.get(id) else { return };
        host.rows_seen += 1;
        if let Some(failure) = host.gives_up_rows(now, &self.config.breaker) {
            return self.finish(job.into_fetched(Err(failure)), None);
        }
        match place {
            Place::Front => host.queue.push_front(job),
            Place::Back => host.queue.push_back(job),
        }
        add(&self.counters.parked, 1);
        self.look_at_host(id, now);
    }

    /// Puts the host into the ring if it may be asked, and ends its rows if they should not wait.
    fn look_at_host(&mut self, id: usize, now: Instant) {
        let Some(host) = self.hosts.get(id) else { return };
        if let Some(failure) = host.gives_up_rows(now, &self.config.breaker) {
            let given_up = std::mem::take(&mut host.queue);
            sub(&self.counters.parked, given_up.len() as u64);
            for job in given_up {
                self.finish(job.into_fetched(Err(failure.clone())), None);
            }
        } else if !host.in_ring && host.may_start(now, self.config.per_host.max(1)) {
            host.in_ring = true;
            self.ring.push_back(id);
        }
    }

    fn start_hops(&mut self) {
        let now = Instant::now();
        while self.running.len() < self.config.concurrency.max(1) {
            let Some(id) = self.ring.pop_front() else { return };
            let Some(host) = self.hosts.get(id) else { continue };
            host.in_ring = false;
            if !host.may_start(now, self.config.per_host.max(1)) {
                continue;
            }
            let Some(mut job) = host.queue.pop_front() else { continue };
            host.in_flight += 1;
            host.breaker.started(job.ticket);
            let facts = HostFacts { single_row: host.rows_seen == 1, has_answered: host.has_answered };
            if self.config.host_interval_ms > 0 {
                let until = now + Duration::from_millis(self.config.host_interval_ms);
                host.pause_until(until);
                self.set_timer(until, Alarm::Host(id));
            }
            self.look_at_host(id, now);
            if job.hops.is_empty() {
                job.attempts += 1;
            }
            job.requests += 1;
            sub(&self.counters.parked, 1);
            add(&self.counters.in_flight, 1);
            let (fetcher, ticket) = (self.fetcher.clone(), job.ticket);
            let task = self.hops.spawn(async move {
                let end = fetcher.run_hop(&mut job, facts).await;
                (job, end)
            });
            self.running.insert(task.id(), Running { host: id, ticket });
        }
    }

    fn hop_ended(&mut self, ended: Ended) {
        let now = Instant::now();
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(Running { host: id, ticket }) = self.running.remove(&task) else { return };
        sub(&self.counters.in_flight, 1);
        let sign = ended.as_ref().map_or(HostSign::Unknown, |(_, (_, end))| end.host);
        let failure = match &ended {
            Ok((_, (_, HopEnd { outcome: Outcome::Failed(failure), .. }))) => Some(failure),
            _ => None,
        };
        self.host_heard(id, ticket, sign, failure, now);
        match ended {
            Ok((_, (job, HopEnd { outcome, .. }))) => match outcome {
                Outcome::Body(body, permit) => self.finish(job.into_fetched(Ok(body)), permit),
                Outcome::Redirect(next) => {
                    add(&self.counters.redirects, 1);
                    let mut job = job;
                    job.follow(next);
                    self.enqueue(job, Place::Front, now);
                }
                Outcome::Failed(failure) => self.failed(job, failure, now),
            },
            // A defect of ours ended the task. The row is still accounted for.
            Err(_) => {
                let failure = Failure::new(FailureClass::HttpOther, message::FETCH_STOPPED);
                let fetched =
                    Fetched { ticket, result: Err(failure), attempts: 1, fetch_ms: 0, final_url: None };
                self.finish(fetched, None);
            }
        }
        self.look_at_host(id, now);
    }

    /// Keeps what a hop said about its host.
    fn host_heard(
        &mut self,
        id: usize,
        ticket: u64,
        sign: HostSign,
        failure: Option<&AttemptFailure>,
        now: Instant,
    ) {
        let Some(host) = self.hosts.get(id) else { return };
        host.in_flight -= 1;
        host.has_answered |= sign == HostSign::Answered;
        let mut wake_ups = [None; 2];
        match failure.and_then(|f| f.retry_after) {
            Some(wait) => {
                let longest = Duration::from_millis(self.config.max_retry_after_ms);
                wake_ups[0] = host.told_to_wait(wait, longest, now, &self.config.breaker);
            }
            None if sign == HostSign::Answered => host.welcomed(),
            None => {}
        }
        let change = host.breaker.ended(ticket, sign, now, &self.config.breaker);
        match change {
            BreakerChange::None => {}
            BreakerChange::Closed => sub(&self.counters.hosts_open, 1),
            BreakerChange::Opened | BreakerChange::Reopened => {
                if change == BreakerChange::Opened {
                    add(&self.counters.hosts_open, 1);
                }
                if let Some((probe_at, patience_ends)) = host.breaker.wake_ups(&self.config.breaker) {
                    wake_ups = [Some(probe_at), Some(patience_ends)];
                }
            }
        }
        for at in wake_ups.into_iter().flatten() {
            self.set_timer(at, Alarm::Host(id));
        }
    }

    /// Tries a row again later, or ends it.
    fn failed(&mut self, mut job: Box<Job>, failure: AttemptFailure, now: Instant) {
        let AttemptFailure { failure, retry, retry_after } = failure;
        let asked = retry_after.unwrap_or_default();
        let worth_it = retry && asked <= Duration::from_millis(self.config.max_retry_after_ms);
        if !worth_it || job.attempts > self.config.retries {
            return self.finish(job.into_fetched(Err(failure)), None);
        }
        job.start_over();
        let base = Duration::from_millis(self.config.backoff_base_ms);
        let longest = Duration::from_millis(self.config.backoff_max_ms);
        let wait = backoff(job.target.as_str(), job.attempts, base, longest).max(asked);
        add(&self.counters.retries, 1);
        add(&self.counters.parked, 1);
        self.set_timer(now + wait, Alarm::Row(job));
    }

    fn finish(&mut self, fetched: Fetched, permit: Option<OwnedSemaphorePermit>) {
        self.num_open -= 1;
        self.done.push_back(Done { fetched, _permit: permit });
    }

    fn set_timer(&mut self, at: Instant, alarm: Alarm) {
        self.num_timers += 1;
        self.timers.push(Reverse(Timer { at, sequence: self.num_timers, alarm }));
    }

    fn ring_alarms(&mut self) {
        let now = Instant::now();
        while self.timers.peek().is_some_and(|Reverse(timer)| timer.at <= now) {
            match self.timers.pop() {
                Some(Reverse(Timer { alarm: Alarm::Host(id), .. })) => self.look_at_host(id, now),
                Some(Reverse(Timer { alarm: Alarm::Row(job), .. })) => {
                    sub(&self.counters.parked, 1);
                    self.enqueue(job, Place::Back, now);
                }
                None => return,
            }
        }
    }
}

/// Where in its host's queue a row goes. A row that was redirected has waited already.
#[derive(Debug, Clone, Copy)]
enum Place {
    Front,
    Back,
}

/// Returns once the stage is cancelled.
async fn is_cancelled(cancelled: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could cancel.
    if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}
