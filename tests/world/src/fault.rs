//! The web's faults, each with a URL of its own and the outcome it must have. The words are the failure classes of
//! the shards crate; the world sees no other crate, so it spells them out.

use crate::rng::Rng;
use crate::source::Source;

/// What a client does that changes how some faults end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPolicy {
    /// Attempts after the first.
    pub retries: u32,
    /// Whether private addresses are fetched; needed to reach the world at all, which lives on the loopback.
    pub allow_private_addresses: bool,
    /// Whether images that end early are kept, their missing part filled.
    pub keep_truncated: bool,
}

impl Default for ClientPolicy {
    fn default() -> Self {
        Self { retries: 0, allow_private_addresses: true, keep_truncated: false }
    }
}

/// The outcome word of a row that succeeds.
pub const SUCCESS: &str = "success";

/// How a fault ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Odd, but there is a picture.
    Picture,
    /// Always in this class.
    Class(&'static str),
    /// In a picture after that many failed attempts, else in this class.
    Recovers(u32, &'static str),
    /// In a picture where truncated images are kept, else in `truncated`.
    Truncated,
    /// In `private_address`; in this where private addresses are allowed, `None` if that depends on the network.
    Private(Option<&'static str>),
}

use Ending::{Class, Picture, Private, Recovers, Truncated};

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $ending:expr, $weight:literal;)*) => {
        /// A fault of the miniature web. The word is its part of the URL: `/fault/<word>/<source>/<index>.jpg`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[$doc])* $variant,)* }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in URLs and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            const fn ending(self) -> Ending {
                match self { $(Self::$variant => $ending,)* }
            }

            /// How often it comes among the faults of [`FaultMix::Web`], relative to the others. Invented, but in
            /// the order of real crawls: dead links first, exotic ones rare, and those that cost a client seconds
            /// or megabytes rarest.
            pub const fn weight(self) -> u32 {
                match self { $(Self::$variant => $weight,)* }
            }
        }
    };
}

faults! {
    /// 404 with an HTML page.
    NotFound = "404", Class("http_4xx"), 300;
    /// 403, as hot-link protection gives.
    Forbidden = "403", Class("http_4xx"), 120;
    /// 401.
    Unauthorized = "401", Class("http_4xx"), 8;
    /// 410.
    Gone = "410", Class("http_4xx"), 60;
    /// 451.
    LegalReasons = "451", Class("http_4xx"), 4;
    /// 429 with `Retry-After: 1`, for ever.
    RateLimited = "429", Class("http_429"), 12;
    /// 429 with `Retry-After: 3600`, for ever: nobody should wait.
    RateLimitedLong = "429-long", Class("http_429"), 6;
    /// 429 with a `Retry-After` that is a date in 2099.
    RateLimitedDate = "429-date", Class("http_429"), 4;
    /// 429 with `Retry-After: 1`, `n` times (query, 2 by default), then the picture.
    RateLimitedThenOk = "429-then-ok", Recovers(2, "http_429"), 8;
    /// 500, for ever.
    InternalError = "500", Class("http_5xx"), 30;
    /// 502, for ever.
    BadGateway = "502", Class("http_5xx"), 15;
    /// 503, for ever.
    Unavailable = "503", Class("http_5xx"), 15;
    /// 500 `n` times (query, 1 by default), then the picture.
    InternalErrorThenOk = "500-then-ok", Recovers(1, "http_5xx"), 10;
    /// 503 `n` times (query, 2 by default), then the picture.
    UnavailableThenOk = "503-then-ok", Recovers(2, "http_5xx"), 10;
    /// 204 without a body.
    NoContent = "204", Class("http_other"), 4;
    /// 304 though nobody asked conditionally.
    NotModified = "304", Class("http_other"), 4;
    /// One byte of the body a second.
    SlowDrip = "slow-drip", Class("too_slow"), 1;
    /// One header line a second, without end.
    SlowHeaders = "slow-headers", Class("timeout"), 1;
    /// The request is read and never answered.
    NoAnswer = "no-answer", Class("timeout"), 2;
    /// Chunks without end, as fast as the client reads.
    EndlessChunked = "endless-chunked", Class("too_large"), 1;
    /// A body of no stated length and no end.
    EndlessPlain = "endless-plain", Class("too_large"), 1;
    /// A `Content-Length` of one tebibyte, and a body that would get there.
    HugeLength = "huge-length", Class("too_large"), 3;
    /// The connection is reset before any answer.
    ResetBeforeAnswer = "reset-before-answer", Class("connect"), 15;
    /// The connection is reset half way through the body.
    ResetMidBody = "reset-mid-body", Class("connect"), 8;
    /// The connection is closed in good order before any answer.
    CloseBeforeAnswer = "close-before-answer", Class("connect"), 8;
    /// The connection is closed half way through a body of stated length.
    ShortBody = "short-body", Class("short_body"), 10;
    /// A chunked body that is closed without its last chunk.
    ShortChunked = "short-chunked", Class("short_body"), 5;
    /// An answer that is not HTTP.
    NotHttp = "not-http", Class("connect"), 3;
    /// A thousand header lines, 100 kB in all: more than HTTP libraries take, and browsers do.
    HeaderFlood = "header-flood", Picture, 3;
    /// Every answer closes its connection.
    ConnectionClose = "connection-close", Picture, 20;
    /// A header value in Latin-1.
    Latin1Header = "latin1-header", Picture, 5;
    /// The picture in chunks.
    Chunked = "chunked", Picture, 20;
    /// One redirect, absolute.
    Redirect = "redirect", Picture, 60;
    /// Three redirects: 301, 302, 307.
    RedirectThrice = "redirect-3", Picture, 20;
    /// One redirect with a relative target.
    RedirectRelative = "redirect-relative", Picture, 20;
    /// Two addresses that redirect to each other.
    RedirectLoop = "redirect-loop", Class("redirect"), 10;
    /// Thirty redirects, then the picture.
    RedirectMany = "redirect-30", Class("redirect"), 6;
    /// A redirect without a target.
    RedirectNowhere = "redirect-nowhere", Class("redirect"), 4;
    /// A redirect to `file:///etc/passwd`.
    RedirectFile = "redirect-file", Class("redirect"), 3;
    /// A redirect to an ftp address.
    RedirectFtp = "redirect-ftp", Class("redirect"), 3;
    /// A redirect to an HTML page with status 200, as for removed pictures.
    RedirectToPage = "redirect-to-page", Class("not_an_image"), 60;
    /// A redirect to a private network (10.0.0.1).
    RedirectPrivate = "redirect-private", Private(None), 0;
    /// A redirect to the cloud metadata address (169.254.169.254).
    RedirectMetadata = "redirect-metadata", Private(None), 0;
    /// A redirect to the loopback in IPv6 (`[::1]`), where the world does not listen.
    RedirectLoopbackV6 = "redirect-loopback-v6", Private(Some("connect")), 0;
    /// A redirect to the loopback in IPv4 (the world's own address).
    RedirectLoopback = "redirect-loopback", Private(Some(SUCCESS)), 0;
    /// An HTML page with status 200.
    Html = "html", Class("not_an_image"), 120;
    /// JSON with status 200.
    Json = "json", Class("not_an_image"), 8;
    /// An empty body with status 200.
    Empty = "empty", Class("not_an_image"), 10;
    /// The picture under `Content-Encoding: gzip`, which no client that does not ask for it should get.
    GzipEncoding = "gzip-encoding", Class("not_an_image"), 2;
    /// A JPEG cut at two thirds; lengths agree.
    TruncatedJpeg = "truncated-jpeg", Truncated, 12;
    /// A PNG cut at two thirds.
    TruncatedPng = "truncated-png", Truncated, 3;
    /// A PNG whose compressed data are damaged.
    CorruptPng = "corrupt-png", Class("corrupt"), 4;
    /// A JPEG of four ink components (Adobe's inverted CMYK).
    CmykJpeg = "cmyk-jpeg", Picture, 6;
    /// The same stored as YCCK.
    YcckJpeg = "ycck-jpeg", Picture, 4;
    /// A one-component JPEG.
    GreyJpeg = "grey-jpeg", Picture, 10;
    /// A progressive JPEG.
    ProgressiveJpeg = "progressive-jpeg", Picture, 20;
    /// A JPEG whose EXIF orientation says to turn it by 90°.
    ExifRotated = "exif-rotated", Picture, 15;
    /// A PNG of 16 bits a channel.
    Png16 = "png-16", Picture, 4;
    /// A PNG with a palette.
    PngPalette = "png-palette", Picture, 8;
    /// A PNG with an alpha channel.
    PngAlpha = "png-alpha", Picture, 15;
    /// A GIF of three frames; the first is the picture.
    AnimatedGif = "animated-gif", Picture, 8;
    /// A WebP of three frames; the first is the picture.
    AnimatedWebp = "animated-webp", Picture, 4;
    /// An SVG drawing.
    Svg = "svg", Class("unsupported"), 12;
    /// The head of an AVIF file.
    Avif = "avif", Class("unsupported"), 5;
    /// A PNG under a `.jpg` name, sent as `image/jpeg`.
    WrongExtension = "wrong-extension", Picture, 20;
    /// A JPEG sent as `text/plain`.
    WrongContentType = "wrong-content-type", Picture, 15;
    /// A JPEG sent without a content type.
    NoContentType = "no-content-type", Picture, 10;
    /// A PNG of a few kB whose header promises 60,000 × 60,000 pixels.
    BombPng = "bomb-png", Class("bomb"), 2;
    /// A JPEG whose header promises 65,500 × 65,500 pixels.
    BombJpeg = "bomb-jpeg", Class("bomb"), 2;
    /// A GIF whose header promises 65,535 × 65,535 pixels.
    BombGif = "bomb-gif", Class("bomb"), 2;
    /// `X-Robots-Tag: noai`.
    NoAi = "noai", Class("opt_out"), 10;
    /// Two `X-Robots-Tag` lines, the second a list with `noimageai` in capitals.
    NoImageAi = "noimageai", Class("opt_out"), 6;
    /// `X-Robots-Tag: otherbot: noai`, which concerns another agent.
    NoAiOtherBot = "noai-otherbot", Picture, 6;
    /// A host name that does not exist (under `.invalid`, RFC 6761).
    NoSuchHost = "no-such-host", Class("dns"), 80;
    /// A port where nothing listens (TCP port 1 of some loopback address).
    Refused = "refused", Class("connect"), 20;
    /// An https address where plain HTTP is spoken.
    NotTls = "not-tls", Class("tls"), 10;
    /// An address with an unknown scheme.
    BadScheme = "bad-scheme", Class("bad_url"), 4;
    /// Text that is no address.
    BadUrl = "bad-url", Class("bad_url"), 4;
    /// An empty address.
    NoUrl = "no-url", Class("bad_url"), 4;
}

crate::words::word_traits!(Fault, "fault");

impl Fault {
    /// The redirects to private addresses. No mix contains them: a run that reaches the loopback allows private
    /// addresses, and then would try to reach the real ones. Point a client that forbids them here by hand.
    pub const PRIVATE_REDIRECTS: &'static [Self] =
        &[Self::RedirectPrivate, Self::RedirectMetadata, Self::RedirectLoopbackV6, Self::RedirectLoopback];

    /// The faults that keep a client waiting until it gives up or has read its byte cap.
    pub const COSTLY: &'static [Self] =
        &[Self::SlowDrip, Self::SlowHeaders, Self::NoAnswer, Self::EndlessChunked, Self::EndlessPlain];

    /// Whether it makes a polite client leave the whole host alone for a while; tables keep these to the last of
    /// several hosts, so that the rows of the others need not wait.
    pub const fn slows_its_host(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::RateLimitedLong | Self::RateLimitedDate | Self::RateLimitedThenOk
        )
    }

    /// Its URL on the world at `base_url` (no slash at the end) for picture `index` of `source`. Some faults live
    /// in the URL itself and ignore the base.
    pub fn url(self, base_url: &str, source: Source, index: u64) -> String {
        let path = format!("/fault/{self}/{source}/{index}.jpg");
        match self {
            Self::NoSuchHost => format!("http://host-{}.invalid{path}", index % 7),
            // Addresses of their own, so that a client which gives up on dead hosts does not give up on these.
            Self::Refused => format!("http://127.1.{}.{}:1{path}", index / 250 % 250, 1 + index % 250),
            Self::NotTls => format!("{}{path}", base_url.replacen("http://", "https://", 1)),
            Self::BadScheme => format!("gopher://127.0.0.1{path}"),
            Self::BadUrl => format!("http://[picture {index}"),
            Self::NoUrl => String::new(),
            _ => format!("{base_url}{path}"),
        }
    }

    /// Whether the request reaches the world's server, so that a plain GET of its path shows it.
    pub const fn is_served(self) -> bool {
        !matches!(
            self,
            Self::NoSuchHost | Self::Refused | Self::NotTls | Self::BadScheme | Self::BadUrl | Self::NoUrl
        )
    }

    /// Failed attempts before the picture comes, for the faults that recover.
    pub const fn failures_before_ok(self) -> Option<u32> {
        match self.ending() {
            Recovers(failures, _) => Some(failures),
            _ => None,
        }
    }

    /// The outcome a row with this fault must have under `policy`: [`SUCCESS`] or a failure class. `None` where it
    /// depends on the network beyond this machine.
    pub const fn outcome(self, policy: &ClientPolicy) -> Option<&'static str> {
        if !policy.allow_private_addresses && self.is_served() {
            // The world itself is on a private address.
            return Some("private_address");
        }
        match self.ending() {
            Picture => Some(SUCCESS),
            Class(word) => Some(word),
            Recovers(failures, _) if policy.retries >= failures => Some(SUCCESS),
            Recovers(_, word) => Some(word),
            Truncated if policy.keep_truncated => Some(SUCCESS),
            Truncated => Some("truncated"),
            Private(if_allowed) => if_allowed,
        }
    }
}

/// Which faults a table mixes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultMix {
    /// Drawn by [`Fault::weight`].
    #[default]
    Web,
    /// Each in turn, so that few rows hold all of them (costly ones too).
    Every,
    /// Each in turn, but none of [`Fault::COSTLY`].
    Quick,
}

crate::words::word_traits!(FaultMix, "fault mix");

impl FaultMix {
    /// Every mix.
    pub const ALL: &'static [Self] = &[Self::Web, Self::Every, Self::Quick];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Every => "every",
            Self::Quick => "quick",
        }
    }

    /// The `nth` fault of the mix.
    pub(crate) fn draw(self, nth: u64, rng: &mut Rng) -> Fault {
        let in_turn = |faults: &[Fault]| faults[(nth % faults.len() as u64) as usize];
        match self {
            Self::Web => {
                let weights: Vec<u32> = Fault::ALL.iter().map(|f| f.weight()).collect();
                Fault::ALL[rng.weighted(&weights)]
            }
            Self::Every => in_turn(&mixable(|_| true)),
            Self::Quick => in_turn(&mixable(|f| !Fault::COSTLY.contains(&f))),
        }
    }
}

fn mixable(keep: impl Fn(Fault) -> bool) -> Vec<Fault> {
    Fault::ALL.iter().copied().filter(|f| !Fault::PRIVATE_REDIRECTS.contains(f) && keep(*f)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_back_and_are_distinct() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse::<Fault>().as_ref(), Ok(fault));
        }
        let error = "nope".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("`nope` is no fault") && error.contains("slow-drip"), "{error}");
    }

    #[test]
    fn outcomes_follow_the_clients_policy() {
        let patient = ClientPolicy { retries: 2, ..ClientPolicy::default() };
        assert_eq!(Fault::UnavailableThenOk.outcome(&ClientPolicy::default()), Some("http_5xx"));
        assert_eq!(Fault::UnavailableThenOk.outcome(&patient), Some(SUCCESS));
        assert_eq!(Fault::RedirectMetadata.outcome(&patient), None);
        let strict = ClientPolicy { allow_private_addresses: false, ..patient };
        assert_eq!(Fault::Chunked.outcome(&strict), Some("private_address"));
        assert_eq!(Fault::NoSuchHost.outcome(&strict), Some("dns"));
    }

    #[test]
    fn mixes_never_leave_the_machine_and_every_means_every() {
        let mut rng = Rng::of(&[1]);
        let drawn: std::collections::BTreeSet<_> =
            (0..200).map(|n| FaultMix::Every.draw(n, &mut rng)).collect();
        assert_eq!(drawn.len(), Fault::ALL.len() - Fault::PRIVATE_REDIRECTS.len());
        for n in 0..20_000 {
            let fault = FaultMix::Web.draw(n, &mut rng);
            assert!(fault.outcome(&ClientPolicy::default()).is_some(), "{fault}");
        }
    }
}
