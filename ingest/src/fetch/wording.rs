//! The messages of failed rows. Where img2dataset has a wording (it stores the text of Python's exception) ours is
//! the same, because dashboards and filters match on it; the typed class beside it is what our own commands read.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;

use reqwest::StatusCode;

/// `HTTP Error 404: Not Found`.
pub(super) fn http_error(status: StatusCode) -> String {
    format!("HTTP Error {}: {}", status.as_u16(), reason(status))
}

/// Reason phrases of Python's `http.HTTPStatus`, which differ from Rust's for a few codes. (Python repeats the
/// phrase the server sent; nearly all send these.)
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        416 => "Requested Range Not Satisfiable",
        _ => status.canonical_reason().unwrap_or(""),
    }
}

pub(super) const DNS_NOT_FOUND: &str = "<urlopen error [Errno -2] Name or service not known>";
pub(super) const DNS_TEMPORARY: &str = "<urlopen error [Errno -3] Temporary failure in name resolution>";
pub(super) const DNS_NO_ADDRESS: &str = "<urlopen error [Errno -5] No address associated with hostname>";
/// No connection or no answer in time.
pub(super) const TIMED_OUT: &str = "<urlopen error timed out>";
/// The answer began but did not end in time.
pub(super) const READ_TIMED_OUT: &str = "The read operation timed out";
pub(super) const CLOSED_UNANSWERED: &str = "Remote end closed connection without response";
pub(super) const OPT_OUT: &str = "Use of image disallowed by X-Robots-Tag directive";
/// Not img2dataset's, which takes the placeholder for the picture.
pub(super) const REMOVED_IMAGE: &str = "redirection to the placeholder of a removed image";
pub(super) const NOT_HTTP: &str = "the server does not speak HTTP";

pub(super) fn private_address(address: IpAddr) -> String {
    format!("address {address} is not public (see --allow-private-addresses)")
}

pub(super) fn bad_url(url: &str, error: impl Display) -> String {
    // Python's wording for what is most of them: no scheme.
    if url.contains("://") { format!("bad URL: {error}") } else { format!("unknown url type: '{url}'") }
}

pub(super) fn unknown_scheme(scheme: &str) -> String {
    format!("<urlopen error unknown url type: {scheme}>")
}

pub(super) fn redirect_loop(status: StatusCode) -> String {
    format!(
        "HTTP Error {}: The HTTP server returned a redirect error that would lead to an infinite loop.",
        status.as_u16()
    )
}

pub(super) fn redirect_refused(status: StatusCode, location: &str) -> String {
    format!(
        "HTTP Error {}: {} - Redirection to url '{location}' is not allowed",
        status.as_u16(),
        reason(status)
    )
}

pub(super) fn too_large(max_bytes: u64) -> String {
    format!("body larger than {max_bytes} bytes")
}

pub(super) fn too_slow(min_bytes_per_s: u64) -> String {
    format!("body slower than {min_bytes_per_s} bytes/s")
}

pub(super) fn incomplete_read(read: u64, expected: Option<u64>) -> String {
    match expected {
        Some(all) => format!("IncompleteRead({read} bytes read, {} more expected)", all.saturating_sub(read)),
        None => format!("IncompleteRead({read} bytes read)"),
    }
}

/// `<urlopen error [Errno 111] Connection refused>`.
pub(super) fn connect_error(error: &io::Error) -> String {
    format!("<urlopen error {}>", os_error(error))
}

/// `[Errno 104] Connection reset by peer`.
pub(super) fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => {
            format!(
                "[Errno {code}] {}",
                text.split_once(" (os error").map_or(text.as_str(), |(head, _)| head)
            )
        }
        None => text,
    }
}

pub(super) fn certificate(reason: impl Display) -> String {
    format!("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason}>")
}

pub(super) fn tls(reason: impl Display) -> String {
    format!("<urlopen error [SSL] {reason}>")
}
