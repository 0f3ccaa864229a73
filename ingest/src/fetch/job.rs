//! A row on its way through the fetch stage.

use std::time::Duration;

use reqwest::Url;

use super::{Fetched, Request};
use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::{final_url, message};

/// Longest URL asked for, which is the HTTP client's limit too: rows in flight hold the addresses of their redirects.
pub(super) const MAX_URL_BYTES: usize = 65_534;

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
    /// Requests begun, those of redirects among them.
    pub requests: u32,
    /// Time the current attempt has been active.
    pub spent: Duration,
    /// Time all attempts have been active.
    pub total: Duration,
    /// Whether the address it ends at is told with user name, password and query.
    whole_final_url: bool,
}

impl Job {
    /// Parses the row's URL as browsers do: surrounding blanks dropped, blanks and other illegal characters
    /// percent-encoded, international names in punycode, odd IPv4 notations normalised.
    pub fn new(request: &Request, whole_final_url: bool) -> Result<Self, Failure> {
        let bad = |message| Failure::new(FailureClass::BadUrl, message);
        if request.url.trim().is_empty() {
            return Err(bad(message::NO_URL));
        }
        let mut target = Url::parse(&request.url).map_err(|_| {
            // Python's wording for what is most of them: no scheme.
            let has_scheme = request.url.contains("://");
            bad(if has_scheme { message::INVALID_URL } else { message::UNKNOWN_URL_TYPE })
        })?;
        if !is_http(&target) {
            return Err(bad(message::UNKNOWN_URL_TYPE));
        }
        if target.as_str().len() > MAX_URL_BYTES {
            return Err(bad(message::INVALID_URL));
        }
        target.set_fragment(None);
        Ok(Self {
            ticket: request.ticket,
            target,
            hops: Vec::new(),
            attempts: 0,
            requests: 0,
            whole_final_url,
            spent: Duration::ZERO,
            total: Duration::ZERO,
        })
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
            attempts: self.requests,
            fetch_ms: u32::try_from(self.total.as_millis()).unwrap_or(u32::MAX),
            final_url: (!self.hops.is_empty()).then(|| {
                let whole = self.whole_final_url;
                let url = if whole { self.target.into() } else { final_url::stripped(self.target.as_str()) };
                final_url::bounded(&url).to_owned()
            }),
        }
    }
}

/// Whether we speak the URL's scheme.
pub(super) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}
