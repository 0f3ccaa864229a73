//! One request and its answer: check the address, ask, judge the status and headers, take the body. A redirect ends
//! the hop: the scheduler queues the row at the next host, so that one is asked no more often than its limit allows.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pairmill_shards::status::FailureClass;
use pairmill_shards::table::message;
use reqwest::header::{CONNECTION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Body;
use super::address::AddressGuard;
use super::body::{BodyLimits, read_body};
use super::classify::{AttemptFailure, is_unreadable, no_answer};
use super::counters::{FetchCounters, add};
use super::job::{Job, MAX_URL_BYTES, is_http};
use super::lenient::{LenientClient, percent_encode};
use super::retry::retry_after;
use super::robots::RobotsPolicy;

/// Error pages up to this size are read to keep their connection usable; longer ones cost more than a connection.
const DRAINED_BYTES: u64 = 16 << 10;
const DRAINED_WITHIN: Duration = Duration::from_millis(250);

/// What all hops share.
pub(super) struct Fetcher {
    pub client: reqwest::Client,
    /// For answers that [`Fetcher::client`] cannot read.
    pub lenient: LenientClient,
    pub guard: AddressGuard,
    pub robots: RobotsPolicy,
    pub timeout: Duration,
    pub max_redirects: usize,
    /// Ends of paths that stand for a picture that is gone.
    pub removed_images: Vec<String>,
    pub limits: BodyLimits,
    pub large_bodies: Arc<Semaphore>,
    pub counters: Arc<FetchCounters>,
}

/// What the scheduler knows about the host a hop goes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostFacts {
    /// No other row of the host is known: its connection need not be kept.
    pub single_row: bool,
    /// The host has answered before, so a connection to it may have been kept, and closed by it just now.
    pub has_answered: bool,
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
    /// The body, and the permit a large one holds until it is handed over.
    Body(Body, Option<OwnedSemaphorePermit>),
    Redirect(Url),
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
        let end = self.hop(job, facts, &mut clock).await;
        job.spent += clock.active();
        job.total += clock.active();
        end
    }

    async fn hop(&self, job: &Job, facts: HostFacts, clock: &mut Clock) -> HopEnd {
        // Names are checked by the resolver; a literal address never gets there.
        if let Some(address) = literal_address(&job.target)
            && !self.guard.permits(address)
        {
            let failure = AttemptFailure::lasting(FailureClass::PrivateAddress, message::PRIVATE_ADDRESS);
            return HopEnd { outcome: Outcome::Failed(failure), host: HostSign::Unknown };
        }
        match self.send(&job.target, facts, clock).await {
            Ok(response) => {
                let outcome = match self.judge(job, response, clock).await {
                    Ok(outcome) => outcome,
                    Err(failure) => Outcome::Failed(failure),
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
        facts: HostFacts,
        clock: &Clock,
    ) -> Result<Response, (AttemptFailure, bool)> {
        let first = self.send_once(url, facts, clock).await;
        let answer = match first {
            // Most likely the host closed a kept connection just as we used it: no fault of anyone's, and a client
            // without kept connections would not have seen it. Ask once more.
            Err(Some(error)) if facts.has_answered && lost_unanswered(&error) => {
                self.send_once(url, facts, clock).await
            }
            other => other,
        };
        match answer {
            // Not HTTP, or HTTP that browsers would take: the second look tells.
            Err(Some(error)) if is_unreadable(&error) => {
                add(&self.counters.requests, 1);
                match timeout_at(clock.deadline, self.lenient.get(url)).await {
                    Ok(answer) => answer.map_err(|_| Some(error)),
                    Err(_) => Err(None),
                }
            }
            other => other,
        }
        .map_err(|error| match error {
            Some(error) => no_answer(&error),
            None => (AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_CONNECTING), true),
        })
    }

    /// `Err(None)` is the deadline.
    async fn send_once(
        &self,
        url: &Url,
        facts: HostFacts,
        clock: &Clock,
    ) -> Result<Response, Option<reqwest::Error>> {
        let mut request = reqwest::Request::new(Method::GET, url.clone());
        if facts.single_row {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        add(&self.counters.requests, 1);
        match timeout_at(clock.deadline, self.client.execute(request)).await {
            Ok(answer) => answer.map_err(Some),
            Err(_) => Err(None),
        }
    }

    async fn judge(
        &self,
        job: &Job,
        response: Response,
        clock: &mut Clock,
    ) -> Result<Outcome, AttemptFailure> {
        let status = response.status();
        match status.as_u16() {
            204 | 205 => {}
            200..=299 => return self.take_body(response, clock).await,
            301 | 302 | 303 | 307 | 308 => {
                let target = self.redirect_target(job, &response);
                drain(response, clock).await;
                return target.map(Outcome::Redirect);
            }
            _ => {}
        }
        let wait = retry_after(response.headers(), SystemTime::now());
        drain(response, clock).await;
        Err(refusal(status, wait))
    }

    async fn take_body(&self, mut response: Response, clock: &mut Clock) -> Result<Outcome, AttemptFailure> {
        if self.robots.forbids(response.headers()) {
            return Err(AttemptFailure::lasting(FailureClass::OptOut, message::OPT_OUT));
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (bytes, permit) =
            read_body(&mut response, self.limits, clock, &self.large_bodies, &self.counters.bytes).await?;
        Ok(Outcome::Body(Body { bytes, content_type }, permit))
    }

    fn redirect_target(&self, job: &Job, response: &Response) -> Result<Url, AttemptFailure> {
        let refuse = |message| AttemptFailure::lasting(FailureClass::Redirect, message);
        let not_allowed = || refuse(message::REDIRECT_NOT_ALLOWED);
        let location = response.headers().get(LOCATION).ok_or_else(not_allowed)?;
        let mut next = job.target.join(&location_text(location.as_bytes())).map_err(|_| not_allowed())?;
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

/// A `Location` as text. Servers send UTF-8 here, which is kept, and bytes in other encodings, which only they can
/// read: these go back to them as they came, percent-encoded.
fn location_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, byte| {
            match byte.is_ascii() {
                true => text.push(char::from(*byte)),
                false => text.extend(percent_encode(*byte)),
            }
            text
        })),
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
