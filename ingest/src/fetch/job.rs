//! A row on its way through the fetch stage.

use std::time::Duration;

use reqwest::Url;

use super::{Fetched, Request, wording};
use pairmill_shards::status::{Failure, FailureClass};

/// One row: where it is in its redirects, and what it has used up.
#[derive(Debug)]
pub(super) struct Job {
    pub ticket: u64,
    /// What to ask for next.
    pub target: Url,
    /// URLs this attempt has left behind; the row's own is the first.
    pub hops: Vec<Url>,
    /// Attempts begun.
    pub attempts: u32,
    /// Whether the next request repeats one that is counted already, whose body was put off.
    pub is_repeat: bool,
    /// Time the current attempt has been active.
    pub spent: Duration,
    /// Time all attempts have been active.
    pub total: Duration,
}

impl Job {
    /// Parses the row's URL as browsers do: surrounding blanks dropped, blanks and other illegal characters
    /// percent-encoded, international names in punycode, odd IPv4 notations normalised.
    pub fn new(request: &Request) -> Result<Self, Failure> {
        let mut target = Url::parse(&request.url)
            .map_err(|e| Failure::new(FailureClass::BadUrl, wording::bad_url(request.url.trim(), e)))?;
        if !is_http(&target) {
            return Err(Failure::new(FailureClass::BadUrl, wording::unknown_scheme(target.scheme())));
        }
        target.set_fragment(None);
        Ok(Self {
            ticket: request.ticket,
            target,
            hops: Vec::new(),
            attempts: 0,
            is_repeat: false,
            spent: Duration::ZERO,
            total: Duration::ZERO,
        })
    }

    /// A request is about to be made.
    pub fn count_attempt(&mut self) {
        let is_repeat = std::mem::take(&mut self.is_repeat);
        if self.hops.is_empty() && !is_repeat {
            self.attempts += 1;
        }
    }

    /// Counts as if the host had been asked, once or (`all`) until no attempt was left. What its host does to a row
    /// must not show when in the run its turn came.
    pub fn count_unasked(&mut self, all: bool, retries: u32) {
        self.count_attempt();
        if all {
            self.attempts = self.attempts.max(retries.saturating_add(1));
        }
    }

    /// Goes on to where a redirect points.
    pub fn follow(&mut self, next: Url) {
        self.hops.push(std::mem::replace(&mut self.target, next));
    }

    /// Back to the row's own URL for another attempt.
    pub fn start_over(&mut self) {
        if !self.hops.is_empty() {
            self.target = self.hops.swap_remove(0);
            self.hops.clear();
        }
        self.spent = Duration::ZERO;
    }

    /// The row's result.
    pub fn into_fetched(self, result: Result<super::Body, Failure>) -> Fetched {
        Fetched {
            ticket: self.ticket,
            result,
            attempts: self.attempts,
            fetch_ms: u32::try_from(self.total.as_millis()).unwrap_or(u32::MAX),
            final_url: if self.hops.is_empty() { None } else { Some(self.target.into()) },
        }
    }
}

/// Whether we speak the URL's scheme.
pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
