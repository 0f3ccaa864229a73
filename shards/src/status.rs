//! What became of a row. Every input row ends in exactly one outcome: img2dataset's three-valued status and its
//! message, so dashboards built on it keep working, beside our typed [`FailureClass`], so `retry` and `stat` need
//! not parse prose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// img2dataset's status word (FORMAT.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The image is in the shard.
    Success,
    /// No usable bytes arrived.
    FailedToDownload,
    /// Bytes arrived but no image came out of them.
    FailedToResize,
}

impl Status {
    /// The word on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::FailedToDownload => "failed_to_download",
            Self::FailedToResize => "failed_to_resize",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Success, Self::FailedToDownload, Self::FailedToResize]
            .into_iter()
            .find(|s| s.as_str() == word)
            .ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// A status or failure class that no version of the format knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no status or failure class")]
pub struct UnknownWord(pub String);

macro_rules! failure_classes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:ident, $transient:literal;)*) => {
        /// Why a row failed, fine enough to decide whether to try again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FailureClass {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl FailureClass {
            /// Every class, in the order reports list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on disk and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// img2dataset's status for this class.
            pub fn status(self) -> Status {
                match self { $(Self::$variant => Status::$status,)* }
            }

            /// Whether another attempt later may well succeed; `retry --class transient` takes these.
            pub fn is_transient(self) -> bool {
                match self { $(Self::$variant => $transient,)* }
            }
        }
    };
}

failure_classes! {
    /// The row has no URL, or one that does not parse or is not http(s).
    BadUrl = "bad_url", FailedToDownload, false;
    /// The host name did not resolve.
    Dns = "dns", FailedToDownload, true;
    /// No TCP connection, or it broke before or amid the answer.
    Connect = "connect", FailedToDownload, true;
    /// The TLS handshake or certificate failed.
    Tls = "tls", FailedToDownload, false;
    /// The total deadline passed.
    Timeout = "timeout", FailedToDownload, true;
    /// Bytes came more slowly than the minimum speed.
    TooSlow = "too_slow", FailedToDownload, true;
    /// The body is larger than the byte cap.
    TooLarge = "too_large", FailedToDownload, false;
    /// Any 4xx answer but 429.
    Http4xx = "http_4xx", FailedToDownload, false;
    /// 429 Too Many Requests, still so after the retries.
    Http429 = "http_429", FailedToDownload, true;
    /// Any 5xx answer.
    Http5xx = "http_5xx", FailedToDownload, true;
    /// Another status without a body we can use (1xx, 204, 304 …).
    HttpOther = "http_other", FailedToDownload, false;
    /// Too many redirects, a loop, or one without a usable target.
    Redirect = "redirect", FailedToDownload, false;
    /// A hop resolved to a loopback, private, link-local or metadata address.
    PrivateAddress = "private_address", FailedToDownload, false;
    /// The answer carries an `X-Robots-Tag` directive that forbids the use.
    OptOut = "opt_out", FailedToDownload, false;
    /// The bytes do not have the hash the table promised.
    HashMismatch = "hash_mismatch", FailedToDownload, false;
    /// The host's circuit breaker was open until the row's patience ended.
    HostDown = "host_down", FailedToDownload, true;
    /// The connection closed short of the promised length.
    ShortBody = "short_body", FailedToDownload, true;
    /// The bytes are no image (HTML with status 200, say).
    NotAnImage = "not_an_image", FailedToResize, false;
    /// The image ends early, though all promised bytes came.
    Truncated = "truncated", FailedToResize, true;
    /// An image of a format that is not decoded (SVG, AVIF …).
    Unsupported = "unsupported", FailedToResize, false;
    /// The image's bytes contradict its format.
    Corrupt = "corrupt", FailedToResize, false;
    /// The header promises more pixels, frames or scans than the limits allow.
    Bomb = "bomb", FailedToResize, false;
    /// Smaller than `min-image-size`.
    TooSmall = "too_small", FailedToResize, false;
    /// Larger than `max-image-area`.
    TooBig = "too_big", FailedToResize, false;
    /// More elongated than `max-aspect-ratio`.
    Aspect = "aspect", FailedToResize, false;
    /// The resized image could not be encoded (over 65,535 px a side as JPEG, say).
    Encode = "encode", FailedToResize, false;
}

impl FailureClass {
    /// What the class says about a row, for people who have not read the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::BadUrl => "no URL, or none that can be fetched",
            Self::Dns => "host names that do not resolve",
            Self::Connect => "no connection, or it broke",
            Self::Tls => "TLS handshake or certificate failed",
            Self::Timeout => "not there within the deadline",
            Self::TooSlow => "bytes came too slowly",
            Self::TooLarge => "body above the byte limit",
            Self::Http4xx => "gone or forbidden (HTTP 4xx)",
            Self::Http429 => "servers asked to slow down (HTTP 429)",
            Self::Http5xx => "servers in trouble (HTTP 5xx)",
            Self::HttpOther => "answers without a body to use",
            Self::Redirect => "redirects that lead nowhere",
            Self::PrivateAddress => "hosts with a private address, not fetched",
            Self::OptOut => "owners opted out (X-Robots-Tag)",
            Self::HashMismatch => "other bytes than the table promised",
            Self::HostDown => "hosts given up after many failures",
            Self::ShortBody => "connections closed before the end",
            Self::NotAnImage => "no image in the answer (HTML, say)",
            Self::Truncated => "images that end early",
            Self::Unsupported => "formats that are not decoded",
            Self::Corrupt => "damaged images",
            Self::Bomb => "images above the decoding limits",
            Self::TooSmall => "smaller than --min-image-size",
            Self::TooBig => "larger than --max-image-area",
            Self::Aspect => "beyond --max-aspect-ratio",
            Self::Encode => "could not be encoded",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FailureClass {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.iter().copied().find(|c| c.as_str() == word).ok_or_else(|| UnknownWord(word.to_owned()))
    }
}

/// A row that failed: the typed class and img2dataset's message for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Typed reason.
    pub class: FailureClass,
    /// One line, worded as img2dataset words it where it has a wording (FORMAT.md §4).
    pub message: String,
}

impl Failure {
    /// A failure of `class` with `message`.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_are_distinct() {
        for class in FailureClass::ALL {
            assert_eq!(class.as_str().parse::<FailureClass>().as_ref(), Ok(class));
            assert_ne!(class.status(), Status::Success);
        }
        let mut words: Vec<_> = FailureClass::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), FailureClass::ALL.len());
    }
}
