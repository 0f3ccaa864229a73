//! Faults to answers: what each says, before `wire` lets it go wrong on the way.

use super::State;
use super::cache::{Body, BodyKey};
use super::reply::{Reply, Wire};
use super::route::body;
use crate::encode::Encoding;
use crate::error::Result;
use crate::fault::Fault;
use crate::odd;
use crate::picture::Picture;
use crate::source::Source;

/// A request for a fault.
pub(super) struct Asked<'a> {
    pub fault: Fault,
    pub source: Source,
    pub index: u64,
    pub path: &'a str,
    pub query: &'a str,
    pub host: usize,
}

impl Asked<'_> {
    /// The number given as `name=` in the query.
    fn number(&self, name: &str) -> Option<u32> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// This fault again with another hop count.
    fn hop(&self, base: &str, hop: u32) -> String {
        format!("{base}{}?hop={hop}", self.path)
    }
}

pub(super) async fn reply(asked: &Asked<'_>, state: &State) -> Reply {
    let base = format!("http://{}", state.addresses[asked.host]);
    match asked.fault {
        Fault::NotFound => Reply::page(404),
        Fault::Forbidden => Reply::page(403),
        Fault::Unauthorized => Reply::page(401).with("WWW-Authenticate", "Basic realm=\"members\""),
        Fault::Gone => Reply::page(410),
        Fault::LegalReasons => Reply::page(451),
        Fault::RateLimited => Reply::page(429).with("Retry-After", "1"),
        Fault::RateLimitedLong => Reply::page(429).with("Retry-After", "3600"),
        Fault::RateLimitedDate => Reply::page(429).with("Retry-After", "Thu, 31 Dec 2099 23:59:59 GMT"),
        Fault::InternalError => Reply::page(500),
        Fault::BadGateway => Reply::page(502),
        Fault::Unavailable => Reply::page(503),
        Fault::RateLimitedThenOk | Fault::InternalErrorThenOk | Fault::UnavailableThenOk => {
            let failures = asked.number("n").or(asked.fault.failures_before_ok()).unwrap_or(1);
            let attempt = state.attempts.next(&format!("{}?{}", asked.path, asked.query));
            match asked.fault {
                _ if attempt > failures => picture(asked, state).await,
                Fault::RateLimitedThenOk => Reply::page(429).with("Retry-After", "1"),
                Fault::InternalErrorThenOk => Reply::page(500),
                _ => Reply::page(503),
            }
        }
        Fault::NoContent => Reply::bare(204),
        Fault::NotModified => Reply::bare(304),
        Fault::Redirect => match asked.number("hop") {
            Some(_) => picture(asked, state).await,
            None => Reply::redirect(302, &asked.hop(&base, 0)),
        },
        Fault::RedirectThrice => match asked.number("hop").unwrap_or(3) {
            0 => picture(asked, state).await,
            hop => Reply::redirect([301, 307, 302][(hop % 3) as usize], &asked.hop(&base, hop - 1)),
        },
        Fault::RedirectMany => match asked.number("hop").unwrap_or(30) {
            0 => picture(asked, state).await,
            hop => Reply::redirect(302, &asked.hop(&base, hop - 1)),
        },
        Fault::RedirectRelative => match asked.number("hop") {
            Some(_) => picture(asked, state).await,
            None => Reply::redirect(302, &format!("../{}/{}.jpg?hop=0", asked.source, asked.index)),
        },
        Fault::RedirectLoop => {
            Reply::redirect(302, &asked.hop(&base, 1 - asked.number("hop").unwrap_or(0).min(1)))
        }
        Fault::RedirectNowhere => Reply::page(302),
        Fault::RedirectFile => Reply::redirect(302, "file:///etc/passwd"),
        Fault::RedirectFtp => Reply::redirect(302, "ftp://127.0.0.1/picture.jpg"),
        Fault::RedirectToPage => {
            Reply::redirect(302, &format!("{base}/fault/html/{}/{}.jpg", asked.source, asked.index))
        }
        Fault::RedirectPrivate => Reply::redirect(302, "http://10.0.0.1/picture.jpg"),
        Fault::RedirectMetadata => Reply::redirect(302, "http://169.254.169.254/latest/meta-data/"),
        Fault::RedirectLoopbackV6 => {
            let port = state.addresses[asked.host].port();
            Reply::redirect(302, &format!("http://[::1]:{port}/{}/{}.jpg", asked.source, asked.index))
        }
        Fault::RedirectLoopback => {
            Reply::redirect(302, &format!("{base}/{}/{}.jpg", asked.source, asked.index))
        }
        Fault::Html => Reply::page(200),
        Fault::Json => Reply::ok("application/json", b"{\"error\":\"no such picture\"}\n".to_vec()),
        Fault::Empty => Reply::ok("image/jpeg", Vec::new()),
        _ => odd_picture(asked, state).await,
    }
}

/// Faults whose body is, or begins as, a picture.
async fn odd_picture(asked: &Asked<'_>, state: &State) -> Reply {
    let reply = picture(asked, state).await;
    match asked.fault {
        Fault::SlowDrip => reply.over(Wire::DripBody),
        Fault::SlowHeaders => reply.over(Wire::DripHead),
        Fault::NoAnswer => reply.over(Wire::Silence),
        Fault::EndlessChunked => reply.over(Wire::EndlessChunked),
        Fault::EndlessPlain => reply.over(Wire::Endless(None)),
        Fault::HugeLength => reply.over(Wire::Endless(Some(1 << 40))),
        Fault::ResetBeforeAnswer => reply.over(Wire::Reset),
        Fault::ResetMidBody => reply.over(Wire::ResetMidBody),
        Fault::CloseBeforeAnswer => reply.over(Wire::CloseAtOnce),
        Fault::ShortBody => reply.over(Wire::ShortBody),
        Fault::ShortChunked => reply.over(Wire::ShortChunked),
        Fault::NotHttp => reply.over(Wire::NotHttp),
        Fault::ConnectionClose => reply.over(Wire::Close),
        Fault::Chunked => reply.over(Wire::Chunked),
        Fault::HeaderFlood => {
            (0..1000).fold(reply, |reply, i| reply.with("X-Flood", format!("{i:04} {}", "na ".repeat(28))))
        }
        Fault::Latin1Header => reply.with("X-Photographer", *b"Ren\xe9e"),
        Fault::GzipEncoding => reply.with("Content-Encoding", "gzip"),
        Fault::NoAi => reply.with("X-Robots-Tag", "noai"),
        Fault::NoImageAi => {
            reply.with("X-Robots-Tag", "noarchive").with("X-Robots-Tag", "nosnippet, NOIMAGEAI")
        }
        Fault::NoAiOtherBot => reply.with("X-Robots-Tag", "otherbot: noai"),
        Fault::NoContentType => Reply { content_type: None, ..reply },
        _ => reply,
    }
}

/// 200 with the fault's own bytes.
async fn picture(asked: &Asked<'_>, state: &State) -> Reply {
    let (fault, source, index) = (asked.fault, asked.source, state.world.canonical_index(asked.index));
    let planned = state.world.fault_picture(source, index);
    let bytes: Option<Body> =
        body(BodyKey::Fault(fault, source, index), false, state, move || fault_bytes(fault, &planned)).await;
    match bytes {
        Some(bytes) => Reply::ok(content_type(fault), bytes),
        None => Reply::page(500),
    }
}

fn content_type(fault: Fault) -> &'static str {
    match fault {
        Fault::TruncatedPng
        | Fault::CorruptPng
        | Fault::Png16
        | Fault::PngPalette
        | Fault::PngAlpha
        | Fault::BombPng => "image/png",
        Fault::AnimatedGif | Fault::BombGif => "image/gif",
        Fault::AnimatedWebp => "image/webp",
        Fault::Svg => "image/svg+xml",
        Fault::Avif => "image/avif",
        Fault::WrongContentType => "text/plain",
        _ => "image/jpeg",
    }
}

/// The bytes a fault serves for a picture, before the wire does anything to them.
pub(crate) fn fault_bytes(fault: Fault, picture: &Picture) -> Result<Vec<u8>> {
    let two_thirds = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() * 2 / 3);
        bytes
    };
    match fault {
        Fault::TruncatedJpeg => Ok(two_thirds(picture.bytes()?)),
        Fault::TruncatedPng => Ok(two_thirds(Encoding::Png.encode(&picture.pixels())?)),
        Fault::CorruptPng => Ok(odd::corrupt_png(&picture.pixels())),
        Fault::CmykJpeg => odd::four_ink_jpeg(&picture.pixels(), false),
        Fault::YcckJpeg => odd::four_ink_jpeg(&picture.pixels(), true),
        Fault::GreyJpeg => odd::grey_jpeg(&picture.pixels()),
        Fault::ProgressiveJpeg => odd::progressive_jpeg(&picture.pixels()),
        Fault::ExifRotated => odd::exif_rotated(&picture.pixels()),
        Fault::Png16 => odd::png_16(&picture.pixels()),
        Fault::PngPalette => odd::png_palette(&picture.pixels()),
        Fault::PngAlpha => odd::png_alpha(&picture.pixels()),
        Fault::AnimatedGif => odd::animated_gif(&picture.pixels()),
        Fault::AnimatedWebp => odd::animated_webp(&picture.pixels()),
        Fault::Svg => Ok(odd::svg(picture.width, picture.height)),
        Fault::Avif => Ok(odd::avif_head()),
        Fault::WrongExtension => Encoding::Png.encode(&picture.pixels()),
        Fault::BombPng => Ok(odd::bomb_png()),
        Fault::BombJpeg => odd::bomb_jpeg(&picture.pixels()),
        Fault::BombGif => Ok(odd::bomb_gif()),
        Fault::GzipEncoding => Ok(odd::gzip(&picture.bytes()?)),
        _ => picture.bytes(),
    }
}
