//! Errors of the HTTP client → typed failures with the messages of [`message`], which repeat nothing of what the error
//! says: it may hold the URL or what the server sent. reqwest wraps hyper, hyper wraps the connector, the connector wraps
//! TLS, the resolver or the operating system; the innermost one known decides.

use std::error::Error;
use std::io;
use std::time::Duration;

use pairmill_shards::status::{Failure, FailureClass};
use pairmill_shards::table::message;
use rustls::pki_types::InvalidDnsNameError;

use super::resolver::ResolveError;

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
    use FailureClass::{BadUrl, Connect, Dns, PrivateAddress, Timeout, Tls};
    if error.is_builder() {
        return (AttemptFailure::lasting(BadUrl, message::INVALID_URL), false);
    }
    if let Some(resolve) = find::<ResolveError>(error) {
        return match resolve {
            ResolveError::NotFound => (AttemptFailure::lasting(Dns, message::NAME_NOT_KNOWN), false),
            ResolveError::NoAddress => (AttemptFailure::lasting(Dns, message::NAME_WITHOUT_ADDRESS), false),
            ResolveError::Temporary => (AttemptFailure::passing(Dns, message::NAME_RESOLUTION_FAILED), true),
            ResolveError::Private => {
                (AttemptFailure::lasting(PrivateAddress, message::PRIVATE_ADDRESS), false)
            }
        };
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return (AttemptFailure::lasting(Tls, tls_message(tls)), false);
    }
    if find::<InvalidDnsNameError>(error).is_some() {
        return (AttemptFailure::lasting(Tls, message::NAME_NOT_FOR_TLS), false);
    }
    if error.is_timeout() {
        return (AttemptFailure::passing(Timeout, message::TIMED_OUT_CONNECTING), true);
    }
    if is_unreadable(error) {
        return (AttemptFailure::passing(Connect, message::BAD_STATUS_LINE), false);
    }
    match find_os_error(error) {
        Some(io) => (refused_by_system(io, error.is_connect()), true),
        None => (AttemptFailure::passing(Connect, message::CONNECTION_CLOSED), true),
    }
}

/// Whether something came back that is not HTTP, or not as strict as hyper wants it.
pub(super) fn is_unreadable(error: &reqwest::Error) -> bool {
    find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
}

/// A body that broke off: closed short is `short_body`, reset is `connect`.
pub(super) fn broken_body(error: &reqwest::Error) -> AttemptFailure {
    match find_os_error(error) {
        Some(io) => refused_by_system(io, false),
        None => AttemptFailure::passing(FailureClass::ShortBody, message::INCOMPLETE_READ),
    }
}

/// What the operating system said, in Linux' words on every system.
fn refused_by_system(error: &io::Error, connecting: bool) -> AttemptFailure {
    use io::ErrorKind as Kind;
    let text = match (error.kind(), connecting) {
        (Kind::TimedOut, true) => {
            return AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_CONNECTING);
        }
        (Kind::TimedOut, false) => {
            return AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_READING);
        }
        (Kind::ConnectionRefused, _) => message::CONNECTION_REFUSED,
        (Kind::HostUnreachable, _) => message::NO_ROUTE_TO_HOST,
        (Kind::NetworkUnreachable, _) => message::NETWORK_UNREACHABLE,
        (Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe, true) => {
            message::CONNECTION_RESET_CONNECTING
        }
        (Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe, false) => {
            message::CONNECTION_RESET_READING
        }
        _ => message::CONNECTION_FAILED,
    };
    AttemptFailure::passing(FailureClass::Connect, text)
}

/// Why there is no TLS. A server that has only what rustls leaves out (DHE, CBC, TLS 1.1 and older) says so by an
/// alert, or answers with a version that is refused here.
fn tls_message(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, Error};
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => message::CERTIFICATE_VERIFY_FAILED,
        Error::AlertReceived(
            Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity,
        )
        | Error::PeerIncompatible(_) => message::NO_COMMON_CIPHER,
        _ => message::HANDSHAKE_FAILED,
    }
}

/// What the operating system said, if it is to blame; other I/O errors are only wrappers.
fn find_os_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    find_where(error, |io: &io::Error| io.raw_os_error().is_some())
}

/// The first error of type `T` in the chain from `error` inwards.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
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
