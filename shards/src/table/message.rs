//! img2dataset's messages, both ways: the wording a failure gets, and the class a wording means.
//!
//! Dashboards match on these strings (they are the keys of `status_dict`), so fetch and decode take them from here;
//! reading a folder that img2dataset wrote, [`classify_message`] recovers the class. Most of img2dataset's messages
//! are Python exception texts, taken from CPython 3.11's `urllib`, `http.client`, `socket` and `ssl`.
//!
//! No message holds a URL, a host or a number that varies per row, other than HTTP's own status: `status_dict` must
//! stay small.

use crate::status::{FailureClass, Status};

/// [`FailureClass::OptOut`]
pub const OPT_OUT: &str = "Use of image disallowed by X-Robots-Tag directive";
/// [`FailureClass::HashMismatch`]
pub const HASH_MISMATCH: &str = "hash mismatch";
/// Any class of undecodable bytes.
pub const IMAGE_DECODING_ERROR: &str = "Image decoding error";
/// [`FailureClass::Corrupt`]: the decoder panicked on the bytes; the stats say where.
pub const DECODER_PANICKED: &str = "image decoder panicked";
/// [`FailureClass::TooSmall`]
pub const IMAGE_TOO_SMALL: &str = "image too small";
/// [`FailureClass::TooBig`]
pub const IMAGE_AREA_TOO_LARGE: &str = "image area too large";
/// [`FailureClass::Aspect`]
pub const ASPECT_RATIO_TOO_LARGE: &str = "aspect ratio too large";
/// [`FailureClass::Encode`]; img2dataset has OpenCV's text here.
pub const ENCODE_FAILED: &str = "image could not be encoded";
/// [`FailureClass::Timeout`] before the answer's headers.
pub const TIMED_OUT_CONNECTING: &str = "<urlopen error timed out>";
/// [`FailureClass::Timeout`] while waiting for the answer or amid it.
pub const TIMED_OUT_READING: &str = "timed out";
/// [`FailureClass::Dns`]: the name does not exist.
pub const NAME_NOT_KNOWN: &str = "<urlopen error [Errno -2] Name or service not known>";
/// [`FailureClass::Dns`]: no answer from the name servers.
pub const NAME_RESOLUTION_FAILED: &str = "<urlopen error [Errno -3] Temporary failure in name resolution>";
/// [`FailureClass::Dns`]: the name exists without an address.
pub const NAME_WITHOUT_ADDRESS: &str = "<urlopen error [Errno -5] No address associated with hostname>";
/// [`FailureClass::Connect`]
pub const CONNECTION_REFUSED: &str = "<urlopen error [Errno 111] Connection refused>";
/// [`FailureClass::Connect`] before the answer.
pub const CONNECTION_RESET_CONNECTING: &str = "<urlopen error [Errno 104] Connection reset by peer>";
/// [`FailureClass::Connect`] amid the answer.
pub const CONNECTION_RESET_READING: &str = "[Errno 104] Connection reset by peer";
/// [`FailureClass::Connect`]: closed without a word.
pub const CONNECTION_CLOSED: &str = "Remote end closed connection without response";
/// [`FailureClass::Connect`]
pub const NO_ROUTE_TO_HOST: &str = "<urlopen error [Errno 113] No route to host>";
/// [`FailureClass::Connect`]
pub const NETWORK_UNREACHABLE: &str = "<urlopen error [Errno 101] Network is unreachable>";
/// [`FailureClass::Connect`]: an answer that is no HTTP.
pub const BAD_STATUS_LINE: &str = "answer is not HTTP";
/// [`FailureClass::Tls`]: the certificate is not trusted, out of date, or for another name.
pub const CERTIFICATE_VERIFY_FAILED: &str =
    "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>";
/// [`FailureClass::Tls`]: anything else in the handshake.
pub const HANDSHAKE_FAILED: &str = "<urlopen error [SSL] handshake failure>";
/// [`FailureClass::BadUrl`]; img2dataset adds the URL, which would make every message its own.
pub const UNKNOWN_URL_TYPE: &str = "unknown url type";
/// [`FailureClass::BadUrl`]: the cell is null or empty.
pub const NO_URL: &str = "no url";
/// [`FailureClass::Redirect`]: too many hops, or a loop. img2dataset has two more lines here.
pub const REDIRECT_LOOP: &str =
    "The HTTP server returned a redirect error that would lead to an infinite loop.";
/// [`FailureClass::Redirect`]: a target that is missing or not http(s).
pub const REDIRECT_NOT_ALLOWED: &str = "redirection to a url that is not allowed";
/// [`FailureClass::TooSlow`]; img2dataset waits.
pub const TOO_SLOW: &str = "slower than the minimum speed";
/// [`FailureClass::TooLarge`]; img2dataset reads on.
pub const TOO_LARGE: &str = "body larger than the byte limit";
/// [`FailureClass::PrivateAddress`]; img2dataset connects.
pub const PRIVATE_ADDRESS: &str = "address is private or reserved";
/// [`FailureClass::HostDown`]; img2dataset tries every row.
pub const HOST_DOWN: &str = "host is failing, not tried";
/// [`FailureClass::HttpOther`] without a status to name.
pub const NO_BODY: &str = "answer without a body";
/// [`FailureClass::ShortBody`]: fewer bytes than promised. img2dataset has the two counts here.
pub const INCOMPLETE_READ: &str = "IncompleteRead";

/// Characters of a server's own reason phrase that are kept.
const MAX_REASON_CHARS: usize = 80;

/// `HTTP Error 404: Not Found`. urllib repeats the server's `reason`; without one (HTTP/2 has none) this is Python's
/// phrase for the status.
pub fn http_error(status: u16, reason: Option<&str>) -> String {
    let reason = match reason {
        Some(text) if !text.trim().is_empty() => {
            text.trim().chars().filter(|c| !c.is_control()).take(MAX_REASON_CHARS).collect()
        }
        _ => reason_phrase(status).to_owned(),
    };
    format!("HTTP Error {status}: {reason}")
}

/// The class of an HTTP answer that is no success.
pub fn http_class(status: u16) -> FailureClass {
    match status {
        429 => FailureClass::Http429,
        400..=499 => FailureClass::Http4xx,
        500..=599 => FailureClass::Http5xx,
        _ => FailureClass::HttpOther,
    }
}

/// The message of a class whose finer cause is not known; HTTP classes are better served by [`http_error`].
pub fn default_message(class: FailureClass) -> &'static str {
    use FailureClass as C;
    match class {
        C::BadUrl => UNKNOWN_URL_TYPE,
        C::Dns => NAME_NOT_KNOWN,
        C::Connect => CONNECTION_CLOSED,
        C::Tls => HANDSHAKE_FAILED,
        C::Timeout => TIMED_OUT_CONNECTING,
        C::TooSlow => TOO_SLOW,
        C::TooLarge => TOO_LARGE,
        C::Http4xx => "HTTP Error 4xx",
        C::Http429 => "HTTP Error 429: Too Many Requests",
        C::Http5xx => "HTTP Error 5xx",
        C::HttpOther => NO_BODY,
        C::Redirect => REDIRECT_LOOP,
        C::PrivateAddress => PRIVATE_ADDRESS,
        C::OptOut => OPT_OUT,
        C::HashMismatch => HASH_MISMATCH,
        C::HostDown => HOST_DOWN,
        C::ShortBody => INCOMPLETE_READ,
        C::NotAnImage | C::Truncated | C::Unsupported | C::Corrupt | C::Bomb => IMAGE_DECODING_ERROR,
        C::TooSmall => IMAGE_TOO_SMALL,
        C::TooBig => IMAGE_AREA_TOO_LARGE,
        C::Aspect => ASPECT_RATIO_TOO_LARGE,
        C::Encode => ENCODE_FAILED,
    }
}

/// The class a message means, for tables without a `failure_class` column. `None` for a success.
///
/// Undecodable bytes all read `Image decoding error`, which is taken for [`FailureClass::NotAnImage`], by far the
/// most common cause on the web. A text nobody knows falls to `Connect` (download) or `Corrupt` (resize).
pub fn classify_message(status: Status, message: Option<&str>) -> Option<FailureClass> {
    let text = message.unwrap_or_default();
    match status {
        Status::Success => None,
        Status::FailedToDownload => Some(classify_download(text)),
        Status::FailedToResize => Some(classify_resize(text)),
    }
}

fn classify_download(text: &str) -> FailureClass {
    use FailureClass as C;
    match text {
        OPT_OUT => return C::OptOut,
        HASH_MISMATCH => return C::HashMismatch,
        TOO_SLOW => return C::TooSlow,
        TOO_LARGE => return C::TooLarge,
        PRIVATE_ADDRESS => return C::PrivateAddress,
        HOST_DOWN => return C::HostDown,
        NO_URL => return C::BadUrl,
        NO_BODY => return C::HttpOther,
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|n| lower.contains(n));
    if has(&["redirect"]) {
        return C::Redirect;
    }
    if let Some(rest) = text.strip_prefix("HTTP Error ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        return match (digits.parse(), rest.chars().next()) {
            (Ok(code), _) if digits.len() == 3 => http_class(code),
            (_, Some('5')) => C::Http5xx,
            _ => C::Http4xx,
        };
    }
    // The order matters: TLS texts may speak of time-outs, resolver texts of hosts.
    if has(&["ssl", "certificate", "tls", "violation of protocol", "hostname mismatch"]) {
        if has(&["timed out"]) { C::Timeout } else { C::Tls }
    } else if has(&[
        "[errno -",
        "name resolution",
        "name or service",
        "associated with hostname",
        "getaddrinfo",
    ]) {
        C::Dns
    } else if has(&["timed out", "timeout"]) {
        C::Timeout
    } else if has(&["incompleteread", "incomplete read"]) {
        C::ShortBody
    } else if has(&[
        "unknown url type",
        "no host given",
        "nonnumeric port",
        "control characters",
        "can't encode character",
        "codec can't encode",
        "idna",
        "invalid ipv6",
        "invalid url",
        "expected string",
        "nonetype",
        "does not appear to be an ipv4",
    ]) {
        C::BadUrl
    } else {
        C::Connect
    }
}

fn classify_resize(text: &str) -> FailureClass {
    use FailureClass as C;
    match text {
        IMAGE_DECODING_ERROR => C::NotAnImage,
        IMAGE_TOO_SMALL => C::TooSmall,
        IMAGE_AREA_TOO_LARGE => C::TooBig,
        ASPECT_RATIO_TOO_LARGE => C::Aspect,
        ENCODE_FAILED => C::Encode,
        _ if text.contains("imencode") => C::Encode,
        _ => C::Corrupt,
    }
}

/// Python 3.11's `http.client.responses`.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_back_as_its_class() {
        use FailureClass as C;
        for &class in C::ALL {
            let back = classify_message(class.status(), Some(default_message(class)));
            let undecodable =
                [C::NotAnImage, C::Truncated, C::Unsupported, C::Corrupt, C::Bomb].contains(&class);
            assert_eq!(back, Some(if undecodable { C::NotAnImage } else { class }), "{class}");
        }
        for (message, class) in [
            (TIMED_OUT_READING, C::Timeout),
            (NAME_RESOLUTION_FAILED, C::Dns),
            (NAME_WITHOUT_ADDRESS, C::Dns),
            (CONNECTION_REFUSED, C::Connect),
            (CONNECTION_RESET_CONNECTING, C::Connect),
            (CONNECTION_RESET_READING, C::Connect),
            (NO_ROUTE_TO_HOST, C::Connect),
            (NETWORK_UNREACHABLE, C::Connect),
            (BAD_STATUS_LINE, C::Connect),
            (CERTIFICATE_VERIFY_FAILED, C::Tls),
            (NO_URL, C::BadUrl),
            (REDIRECT_NOT_ALLOWED, C::Redirect),
            (INCOMPLETE_READ, C::ShortBody),
        ] {
            assert_eq!(classify_message(Status::FailedToDownload, Some(message)), Some(class), "{message}");
        }
        assert_eq!(classify_message(Status::FailedToResize, Some(DECODER_PANICKED)), Some(C::Corrupt));
    }

    #[test]
    fn texts_of_img2dataset_folders_find_their_class() {
        use FailureClass as C;
        for (message, class) in [
            ("HTTP Error 404: Not Found", C::Http4xx),
            ("HTTP Error 429: Too Many Requests", C::Http429),
            ("HTTP Error 503: Service Unavailable", C::Http5xx),
            ("HTTP Error 304: Not Modified", C::HttpOther),
            (
                "HTTP Error 302: The HTTP server returned a redirect error that would lead to an infinite loop.\nThe last 30x error message was:\nFound",
                C::Redirect,
            ),
            (
                "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)>",
                C::Tls,
            ),
            ("<urlopen error _ssl.c:989: The handshake operation timed out>", C::Timeout),
            ("<urlopen error [Errno -2] Name or service not known>", C::Dns),
            ("<urlopen error [Errno 110] Connection timed out>", C::Timeout),
            ("The read operation timed out", C::Timeout),
            ("IncompleteRead(1024 bytes read, 4096 more expected)", C::ShortBody),
            ("unknown url type: 'www.example.com/a.jpg'", C::BadUrl),
            ("URL can't contain control characters. '/a b.jpg' (found at least ' ')", C::BadUrl),
            (
                "'ascii' codec can't encode character '\\xe9' in position 9: ordinal not in range(128)",
                C::BadUrl,
            ),
            ("Remote end closed connection without response", C::Connect),
        ] {
            assert_eq!(classify_message(Status::FailedToDownload, Some(message)), Some(class), "{message}");
        }
        assert_eq!(classify_message(Status::FailedToResize, Some("image too small")), Some(C::TooSmall));
        assert_eq!(classify_message(Status::Success, None), None);
    }

    #[test]
    fn http_errors_read_as_urllib_prints_them() {
        assert_eq!(http_error(404, None), "HTTP Error 404: Not Found");
        assert_eq!(http_error(418, None), "HTTP Error 418: I'm a Teapot");
        assert_eq!(http_error(503, Some("Busy\u{7}")), "HTTP Error 503: Busy");
        assert_eq!(http_error(799, None), "HTTP Error 799: ");
    }
}
