//! Errors of the HTTP client → typed failures with img2dataset's wording. reqwest wraps hyper, hyper wraps the
//! connector, the connector wraps TLS, the resolver or the operating system; the innermost one known decides.

use std::error::Error;
use std::io;
use std::time::Duration;

use pairmill_shards::status::{Failure, FailureClass};

use super::resolver::ResolveError;
use super::wording;

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttemptFailure {
    pub failure: Failure,
    /// Whether the same row may fare better soon. Finer than the class: a name that does not exist is class `dns`
    /// like one whose servers are away, but is not asked for again.
    pub retry: bool,
    /// The server's word on when to come back.
    pub retry_after: Option<Duration>,
}

impl AttemptFailure {
    pub fn lasting(class: FailureClass, message: impl Into<String>) -> Self {
        Self { failure: Failure::new(class, message), retry: false, retry_after: None }
    }

    pub fn passing(class: FailureClass, message: impl Into<String>) -> Self {
        Self { failure: Failure::new(class, message), retry: true, retry_after: None }
    }
}

/// A request that got no answer. The flag says whether the host is to blame and may be down.
pub(super) fn no_answer(error: &reqwest::Error) -> (AttemptFailure, bool) {
    use FailureClass::{BadUrl, Connect, Dns, HttpOther, PrivateAddress, Timeout, Tls};
    if error.is_builder() {
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        return (AttemptFailure::lasting(BadUrl, format!("bad URL: {reason}")), false);
    }
    if let Some(resolve) = find::<ResolveError>(error) {
        return match resolve {
            ResolveError::NotFound => (AttemptFailure::lasting(Dns, wording::DNS_NOT_FOUND), false),
            ResolveError::NoAddress => (AttemptFailure::lasting(Dns, wording::DNS_NO_ADDRESS), false),
            ResolveError::Temporary => (AttemptFailure::passing(Dns, wording::DNS_TEMPORARY), true),
            // Waited for, so this is not how a row ends.
            ResolveError::Shortage => (AttemptFailure::passing(Dns, wording::DNS_TEMPORARY), false),
            ResolveError::Private(address) => {
                (AttemptFailure::lasting(PrivateAddress, wording::private_address(*address)), false)
            }
        };
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        let message = match tls {
            rustls::Error::InvalidCertificate(reason) => wording::certificate(reason),
            other => wording::tls(other),
        };
        return (AttemptFailure::lasting(Tls, message), false);
    }
    if error.is_timeout() {
        return (AttemptFailure::passing(Timeout, wording::TIMED_OUT), true);
    }
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return (AttemptFailure::lasting(HttpOther, wording::NOT_HTTP), false);
    }
    let message = match find_os_error(error) {
        Some(io) if error.is_connect() => wording::connect_error(io),
        Some(io) => wording::os_error(io),
        None => wording::CLOSED_UNANSWERED.to_owned(),
    };
    (AttemptFailure::passing(Connect, message), true)
}

/// A body that broke off after `read` bytes of `expected`: closed short is `short_body`, reset is `connect`.
pub(super) fn broken_body(error: &reqwest::Error, read: u64, expected: Option<u64>) -> AttemptFailure {
    match find_os_error(error) {
        Some(io) => AttemptFailure::passing(FailureClass::Connect, wording::os_error(io)),
        None => AttemptFailure::passing(FailureClass::ShortBody, wording::incomplete_read(read, expected)),
    }
}

/// What the operating system said, if it is to blame; other I/O errors are only wrappers.
pub(super) fn find_os_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    find_where(error, |io: &io::Error| io.raw_os_error().is_some())
}

/// The first error of type `T` in the chain from `error` inwards.
pub(super) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    find_where(error, |_| true)
}

fn find_where<'a, T: Error + 'static>(
    error: &'a (dyn Error + 'static),
    wanted: impl Fn(&T) -> bool + Copy,
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>().filter(|found| wanted(found)) {
            return Some(found);
        }
        // `io::Error::source` skips the error it wraps and goes on to that one's source.
        if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find_where(wrapped as &(dyn Error + 'static), wanted)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}
