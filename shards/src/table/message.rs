//! img2dataset's messages, both ways: the wording a failure gets, and the class a wording means.
//!
//! Dashboards match on these strings (they are the keys of `status_dict`). This is their only source: fetch and decode
//! take every message from here, and [`is_listed`] says whether one is ours. Reading a folder that img2dataset wrote,
//! [`classify_message`] recovers the class. Most of img2dataset's messages are Python exception texts, taken from
//! CPython 3.11's `urllib`, `http.client`, `socket` and `ssl`.
//!
//! A message is fixed but for HTTP's status. It never holds a URL, a host, a header or anything else that came over
//! the network: URLs and redirects carry passwords and signatures, and `status_dict` must stay small.

use std::borrow::Cow;

use crate::status::{FailureClass, Status};

/// Longest message that is written. Ours are shorter; this bounds what other tools' tables bring in.
pub const MAX_MESSAGE_BYTES: usize = 200;

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
/// [`FailureClass::Connect`]: any other refusal of the operating system.
pub const CONNECTION_FAILED: &str = "<urlopen error connection failed>";
/// [`FailureClass::Connect`]: an answer that is not HTTP, or whose head cannot be read.
pub const BAD_STATUS_LINE: &str = "answer is not HTTP";
/// [`FailureClass::Tls`]: the certificate is not trusted, out of date, or for another name.
pub const CERTIFICATE_VERIFY_FAILED: &str =
    "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>";
/// [`FailureClass::Tls`]: the server has no protocol version or cipher suite in common with us. Ours are TLS 1.2 and
/// 1.3 with ECDHE and AES-GCM or ChaCha20; servers that have only DHE, CBC or TLS 1.1 are counted by this message.
pub const NO_COMMON_CIPHER: &str = "<urlopen error [SSL] no protocol version or cipher suite in common>";
/// [`FailureClass::Tls`]: a host name that TLS cannot carry (a label that begins or ends with a hyphen).
pub const NAME_NOT_FOR_TLS: &str = "<urlopen error [SSL] host name not allowed in TLS>";
/// [`FailureClass::Tls`]: anything else in the handshake.
pub const HANDSHAKE_FAILED: &str = "<urlopen error [SSL] handshake failure>";
/// [`FailureClass::BadUrl`]; img2dataset adds the URL, which would make every message its own.
pub const UNKNOWN_URL_TYPE: &str = "unknown url type";
/// [`FailureClass::BadUrl`]: the cell is null or empty.
pub const NO_URL: &str = "no url";
/// [`FailureClass::BadUrl`]: a scheme, but no valid host, port or length.
pub const INVALID_URL: &str = "invalid url";
/// [`FailureClass::Redirect`]: too many hops, or a loop. img2dataset has two more lines here.
pub const REDIRECT_LOOP: &str =
    "The HTTP server returned a redirect error that would lead to an infinite loop.";
/// [`FailureClass::Redirect`]: a target that is missing or not http(s).
pub const REDIRECT_NOT_ALLOWED: &str = "redirection to a url that is not allowed";
/// [`FailureClass::Redirect`]; img2dataset takes the placeholder for the image.
pub const REMOVED_IMAGE: &str = "redirection to the placeholder of a removed image";
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

/// [`FailureClass::HttpOther`]: a defect of ours ended the fetch of the row.
pub const FETCH_STOPPED: &str = "internal: the fetch of this row stopped";

/// `HTTP Error 404: Not Found`, with Python's phrase for the status. urllib repeats the phrase that the server sent;
/// nearly all send this one, and any other is data.
pub fn http_error(status: u16) -> String {
    format!("HTTP Error {status}: {}", reason_phrase(status))
}

/// Every message of `class`, HTTP's with a status aside.
fn texts(class: FailureClass) -> &'static [&'static str] {
    use FailureClass as C;
    match class {
        C::BadUrl => &[NO_URL, UNKNOWN_URL_TYPE, INVALID_URL],
        C::Dns => &[NAME_NOT_KNOWN, NAME_RESOLUTION_FAILED, NAME_WITHOUT_ADDRESS],
        C::Connect => &[
            CONNECTION_REFUSED,
            NO_ROUTE_TO_HOST,
            NETWORK_UNREACHABLE,
            CONNECTION_RESET_CONNECTING,
            CONNECTION_RESET_READING,
            CONNECTION_CLOSED,
            CONNECTION_FAILED,
            BAD_STATUS_LINE,
        ],
        C::Tls => &[CERTIFICATE_VERIFY_FAILED, NO_COMMON_CIPHER, NAME_NOT_FOR_TLS, HANDSHAKE_FAILED],
        C::Timeout => &[TIMED_OUT_CONNECTING, TIMED_OUT_READING],
        C::TooSlow => &[TOO_SLOW],
        C::TooLarge => &[TOO_LARGE],
        C::Http4xx => &["HTTP Error 4xx"],
        C::Http429 => &[],
        C::Http5xx => &["HTTP Error 5xx"],
        C::HttpOther => &[NO_BODY, FETCH_STOPPED],
        C::Redirect => &[REDIRECT_LOOP, REDIRECT_NOT_ALLOWED, REMOVED_IMAGE],
        C::PrivateAddress => &[PRIVATE_ADDRESS],
        C::OptOut => &[OPT_OUT],
        C::HashMismatch => &[HASH_MISMATCH],
        C::HostDown => &[HOST_DOWN],
        C::ShortBody => &[INCOMPLETE_READ],
        C::NotAnImage | C::Truncated | C::Unsupported | C::Bomb => &[IMAGE_DECODING_ERROR],
        C::Corrupt => &[IMAGE_DECODING_ERROR, DECODER_PANICKED],
        C::TooSmall => &[IMAGE_TOO_SMALL],
        C::TooBig => &[IMAGE_AREA_TOO_LARGE],
        C::Aspect => &[ASPECT_RATIO_TOO_LARGE],
        C::Encode => &[ENCODE_FAILED],
    }
}

/// Whether `text` is one of FORMAT.md §4's messages for `class`, to the letter.
pub fn is_listed(class: FailureClass, text: &str) -> bool {
    let of_status = |status: u16| http_class(status) == class && http_error(status) == text;
    texts(class).contains(&text) || status_of(text).is_some_and(of_status)
}

/// The status in `HTTP Error 404…`.
fn status_of(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("HTTP Error ")?.as_bytes().get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `text` as it may be written: at most [`MAX_MESSAGE_BYTES`], control characters escaped. Ours pass unchanged.
pub fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_MESSAGE_BYTES && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(MAX_MESSAGE_BYTES);
    for c in text.chars() {
        let before = kept.len();
        match c.is_control() {
            true => kept.extend(c.escape_default()),
            false => kept.push(c),
        }
        if kept.len() > MAX_MESSAGE_BYTES - ELLIPSIS.len() {
            kept.truncate(before);
            kept.push_str(ELLIPSIS);
            break;
        }
    }
    Cow::Owned(kept)
}

/// Ends a message that was cut.
const ELLIPSIS: &str = "…";

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
    let is_ours = |class: &C| class.status() == Status::FailedToDownload && texts(*class).contains(&text);
    if let Some(class) = C::ALL.iter().copied().find(is_ours) {
        return class;
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
        for class in C::ALL.iter().filter(|class| class.status() == Status::FailedToDownload) {
            for text in texts(*class) {
                assert_eq!(classify_message(Status::FailedToDownload, Some(text)), Some(*class), "{text}");
            }
        }
        assert_eq!(classify_message(Status::FailedToResize, Some(DECODER_PANICKED)), Some(C::Corrupt));
    }

    #[test]
    fn f03_messages_are_a_short_fixed_list() {
        for &class in FailureClass::ALL {
            assert!(is_listed(class, default_message(class)), "{class}");
            for text in texts(class) {
                assert!(is_listed(class, text) && text.len() <= MAX_MESSAGE_BYTES, "{text}");
                assert!(!text.contains("://") && !text.contains(char::is_control), "{text}");
                assert_eq!(bounded(text), *text);
            }
        }
        assert!(is_listed(FailureClass::Http4xx, "HTTP Error 404: Not Found"));
        assert!(is_listed(FailureClass::HttpOther, "HTTP Error 999: "));
        for other in [
            "HTTP Error 404: Gone Fishing",
            "HTTP Error 404: Not Found at http://a.test/secret",
            "HTTP Error 404",
            "HTTP Error 4é",
            "unknown url type: 'a.jpg'",
            "",
        ] {
            assert!(!FailureClass::ALL.iter().any(|class| is_listed(*class, other)), "{other}");
        }
        assert!(!is_listed(FailureClass::Http5xx, "HTTP Error 404: Not Found"), "of another class");
    }

    #[test]
    fn f03_a_message_from_elsewhere_is_cut_and_escaped() {
        let long = format!("Redirection to url 'ftp://{}'", "x".repeat(300_000));
        let cut = bounded(&long);
        assert!(cut.len() <= MAX_MESSAGE_BYTES && cut.starts_with("Redirection") && cut.ends_with('…'));
        assert_eq!(bounded("two\nlines \u{1b}[31m\u{9b}"), "two\\nlines \\u{1b}[31m\\u{9b}");
        let wide = "é".repeat(200);
        assert!(bounded(&wide).len() <= MAX_MESSAGE_BYTES);
        assert_eq!(bounded(&bounded(&long)), bounded(&long), "what is bounded stays as it is");
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
        assert_eq!(http_error(404), "HTTP Error 404: Not Found");
        assert_eq!(http_error(418), "HTTP Error 418: I'm a Teapot");
        assert_eq!(http_error(503), "HTTP Error 503: Service Unavailable");
        assert_eq!(http_error(799), "HTTP Error 799: ");
    }
}
