//! One request and its answer: check the address, ask, judge the status and headers, take the body. A redirect ends
//! the hop: the scheduler queues the row at the next host, so that one is asked no more often than its limit allows.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pairmill_shards::status::FailureClass;
use pairmill_shards::table::message;
use reqwest::header::{CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::{Instant, timeout_at};

use super::Body;
use super::address::AddressGuard;
use super::body::{BodyLimits, NoBody, read_body};
use super::classify::{AttemptFailure, is_unreadable, no_answer};
use super::client::Clients;
use super::counters::{FetchCounters, add, sub};
use super::job::{Job, MAX_URL_BYTES, is_http};
use super::lenient::LenientClient;
use super::memory::{BodyMemory, Held};
use super::retry::retry_after;
use super::robots::RobotsPolicy;
use super::shortage::Shortage;
use crate::address::percent_encoded;

/// Error pages up to this size are read to keep their connection usable; longer ones cost more than a connection.
const DRAINED_BYTES: u64 = 16 << 10;
const DRAINED_WITHIN: Duration = Duration::from_millis(250);

/// What all hops share.
pub(super) struct Fetcher {
    pub clients: Clients,
    /// For answers that [`Fetcher::clients`] cannot read.
    pub lenient: LenientClient,
    pub guard: AddressGuard,
    pub robots: RobotsPolicy,
    pub timeout: Duration,
    pub max_redirects: usize,
    /// Ends of paths that stand for a picture that is gone.
    pub removed_images: Vec<String>,
    pub limits: BodyLimits,
    pub memory: Arc<BodyMemory>,
    pub shortage: Shortage,
    pub counters: Arc<FetchCounters>,
}

/// What the scheduler knows about the host a hop goes to.
#[derive(Debug, Clone)]
pub(super) struct HostFacts {
    /// Whether the connection may be a kept one, and may be kept.
    pub keep: bool,
    /// Whether the host has answered before, so that a connection to it may have been kept, and closed by it just now.
    /// Shared by all hops, since one of them may leave its connection to another that is under way.
    pub has_answered: Arc<AtomicBool>,
}

/// How a hop ended.
#[derive(Debug)]
pub(super) struct HopEnd {
    pub outcome: Outcome,
    pub host: HostSign,
}

/// What a hop brought.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The body, and the memory it holds until it is handed over.
    Body(Body, Held),
    Redirect(Url),
    /// There was no memory for the body; worth trying again when there are so many bytes.
    PutOff(u64),
    Failed(AttemptFailure),
}

/// What a hop says about its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostSign {
    Answered,
    Silent,
    /// Nothing was asked, or the failure was not the host's.
    Unknown,
}

/// The time left to an attempt, which stands still while the attempt waits for us.
pub(super) struct Clock {
    started: Instant,
    pub deadline: Instant,
    waited: Duration,
}

impl Clock {
    fn start(left: Duration) -> Self {
        let started = Instant::now();
        Self { started, deadline: started + left, waited: Duration::ZERO }
    }

    /// When the hop began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Gives back time that was not the network's.
    pub fn forgive(&mut self, wait: Duration) {
        self.deadline += wait;
        self.waited += wait;
    }

    fn active(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.waited)
    }
}

impl Fetcher {
    /// Runs the next hop of `job` and charges it the time.
    pub async fn run_hop(&self, job: &mut Job, facts: HostFacts) -> HopEnd {
        let mut clock = Clock::start(self.timeout.saturating_sub(job.spent));
        let end = self.hop(job, &facts, &mut clock).await;
        job.total += clock.active();
        if !matches!(end.outcome, Outcome::PutOff(_)) {
            job.spent += clock.active();
        }
        end
    }

    async fn hop(&self, job: &Job, facts: &HostFacts, clock: &mut Clock) -> HopEnd {
        // Names are checked by the resolver; a literal address never gets there.
        if let Some(address) = literal_address(&job.target)
            && !self.guard.permits(address)
        {
            let failure = AttemptFailure::lasting(FailureClass::PrivateAddress, message::PRIVATE_ADDRESS);
            return HopEnd { outcome: Outcome::Failed(failure), host: HostSign::Unknown };
        }
        match self.send(&job.target, facts, clock).await {
            Ok(response) => {
                facts.has_answered.store(true, Ordering::Relaxed);
                let outcome = match self.judge(job, response, clock).await {
                    Ok(outcome) => outcome,
                    Err(NoBody::Failed(failure)) => Outcome::Failed(failure),
                    Err(NoBody::PutOff(needs)) => Outcome::PutOff(needs),
                };
                HopEnd { outcome, host: HostSign::Answered }
            }
            Err((failure, host_silent)) => {
                let is_unsupported = failure.failure.message == message::NO_COMMON_CIPHER;
                add(&self.counters.tls_unsupported, u64::from(is_unsupported));
                HopEnd {
                    outcome: Outcome::Failed(failure),
                    host: if host_silent { HostSign::Silent } else { HostSign::Unknown },
                }
            }
        }
    }

    async fn send(
        &self,
        url: &Url,
        facts: &HostFacts,
        clock: &mut Clock,
    ) -> Result<Response, (AttemptFailure, bool)> {
        let mut pauses = self.shortage.pauses();
        loop {
            let mut answer = self.send_once(url, facts.keep, clock).await;
            // Most likely the host closed a kept connection just as we used it: no fault of anyone's, and a client
            // without kept connections would not have seen it. Ask once more, on a connection that is new for sure.
            if let Err(Some(error)) = &answer
                && facts.keep
                && facts.has_answered.load(Ordering::Relaxed)
                && lost_unanswered(error)
            {
                answer = self.send_once(url, false, clock).await;
            }
            let has_answered = facts.has_answered.load(Ordering::Relaxed);
            let timed_out =
                || (AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_CONNECTING), true);
            let lacks: Box<dyn Error + Send + Sync> = match answer {
                Ok(response) => {
                    self.shortage.is_over();
                    return Ok(response);
                }
                Err(Some(error)) if Shortage::is_cause_of(&error, has_answered) => error.into(),
                // Not HTTP, or HTTP that browsers would take: the second look tells.
                Err(Some(error)) if is_unreadable(&error) => {
                    add(&self.counters.requests, 1);
                    match timeout_at(clock.deadline, self.lenient.get(url)).await {
                        Ok(Ok(response)) => return Ok(response),
                        Ok(Err(second)) if Shortage::is_cause_of(&*second, has_answered) => second,
                        Ok(Err(_)) => return Err(no_answer(&error)),
                        Err(_) => return Err(timed_out()),
                    }
                }
                Err(Some(error)) => return Err(no_answer(&error)),
                Err(None) => return Err(timed_out()),
            };
            // It did not get as far as a request.
            sub(&self.counters.requests, 1);
            let asleep = Instant::now();
            pauses.wait(&*lacks).await;
            clock.forgive(asleep.elapsed());
        }
    }

    /// Asks over a kept connection, if there is one and `keep` says so, or else over a new one. `Err(None)` is the
    /// deadline.
    async fn send_once(
        &self,
        url: &Url,
        keep: bool,
        clock: &Clock,
    ) -> Result<Response, Option<reqwest::Error>> {
        let mut request = reqwest::Request::new(Method::GET, url.clone());
        let client = if keep {
            &self.clients.keeping
        } else {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            &self.clients.single
        };
        add(&self.counters.requests, 1);
        match timeout_at(clock.deadline, client.execute(request)).await {
            Ok(answer) => answer.map_err(Some),
            Err(_) => Err(None),
        }
    }

    async fn judge(&self, job: &Job, response: Response, clock: &mut Clock) -> Result<Outcome, NoBody> {
        let status = response.status();
        match status.as_u16() {
            204 | 205 => {}
            200..=299 => return self.take_body(response, clock).await,
            301 | 302 | 303 | 307 | 308 => {
                let target = self.redirect_target(job, &response);
                drain(response, clock).await;
                return Ok(Outcome::Redirect(target?));
            }
            _ => {}
        }
        let wait = retry_after(response.headers(), SystemTime::now());
        drain(response, clock).await;
        Err(refusal(status, wait).into())
    }

    async fn take_body(&self, mut response: Response, clock: &mut Clock) -> Result<Outcome, NoBody> {
        if self.robots.forbids(response.headers()) {
            return Err(AttemptFailure::lasting(FailureClass::OptOut, message::OPT_OUT).into());
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (bytes, held) =
            read_body(&mut response, self.limits, clock, &self.memory, &self.counters.bytes).await?;
        Ok(Outcome::Body(Body { bytes, content_type }, held))
    }

    fn redirect_target(&self, job: &Job, response: &Response) -> Result<Url, AttemptFailure> {
        let refuse = |message| AttemptFailure::lasting(FailureClass::Redirect, message);
        let not_allowed = || refuse(message::REDIRECT_NOT_ALLOWED);
        let location = response.headers().get(LOCATION).ok_or_else(not_allowed)?;
        let mut next = job.target.join(&percent_encoded(location.as_bytes())).map_err(|_| not_allowed())?;
        next.set_fragment(None);
        if !is_http(&next) || next.as_str().len() > MAX_URL_BYTES {
            return Err(not_allowed());
        }
        if self.removed_images.iter().any(|end| next.path().ends_with(end.as_str())) {
            return Err(refuse(message::REMOVED_IMAGE));
        }
        if job.hops.len() >= self.max_redirects || next == job.target || job.hops.contains(&next) {
            return Err(refuse(message::REDIRECT_LOOP));
        }
        Ok(next)
    }
}

/// The failure of an answer that brings no picture.
fn refusal(status: StatusCode, wait: Option<Duration>) -> AttemptFailure {
    let message = message::http_error(status.as_u16());
    match status.as_u16() {
        429 => {
            AttemptFailure { retry_after: wait, ..AttemptFailure::passing(FailureClass::Http429, message) }
        }
        503 => {
            AttemptFailure { retry_after: wait, ..AttemptFailure::passing(FailureClass::Http5xx, message) }
        }
        400..=499 => AttemptFailure::lasting(FailureClass::Http4xx, message),
        500..=599 => AttemptFailure::passing(FailureClass::Http5xx, message),
        _ => AttemptFailure::lasting(FailureClass::HttpOther, message),
    }
}

fn literal_address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether the connection was there and went away before any answer.
fn lost_unanswered(error: &reqwest::Error) -> bool {
    !error.is_connect()
        && !error.is_timeout()
        && !is_unreadable(error)
        && no_answer(error).0.failure.class == FailureClass::Connect
}

/// Reads what is left of an answer nobody wants, if that is little.
async fn drain(mut response: Response, clock: &Clock) {
    if response.content_length().is_some_and(|n| n <= DRAINED_BYTES) {
        let until = clock.deadline.min(Instant::now() + DRAINED_WITHIN);
        // Whatever ends it, the answer is judged already.
        let _ = timeout_at(until, async { while let Ok(Some(_)) = response.chunk().await {} }).await;
    }
}
