//! Every fault, on the wire, as its name and outcome say.

use std::collections::BTreeSet;
use std::time::Duration;

use pairmill_world::{ClientPolicy, Fault, ServerHandle, Source};

use crate::client::{Answer, Client, End, small_world};

/// One GET of a fault's own URL.
fn get(server: &ServerHandle, fault: Fault) -> Answer {
    let url = fault.url(&server.base_url(), Source::Cc12m, 4);
    Client::connect(server.address()).get(url.strip_prefix(&server.base_url()).unwrap())
}

/// Follows redirects within the world, at most 50; every status on the way.
fn follow(server: &ServerHandle, fault: Fault) -> (Vec<u16>, Answer) {
    let base = server.base_url();
    let mut url = fault.url(&base, Source::Cc12m, 4);
    let mut statuses = Vec::new();
    loop {
        let path = url.strip_prefix(&base).unwrap().to_owned();
        let answer = Client::connect(server.address()).get(&path);
        statuses.push(answer.status);
        match answer.header("location") {
            Some(next) if statuses.len() < 50 => {
                url = match next.strip_prefix("../") {
                    // Relative to `/fault/redirect-relative/cc12m/`.
                    Some(rest) => format!("{base}/fault/redirect-relative/{rest}"),
                    None => next,
                };
            }
            _ => return (statuses, answer),
        }
    }
}

#[test]
fn statuses_are_what_the_word_says() {
    let server = small_world();
    for fault in Fault::ALL {
        if let Ok(status) = fault.as_str().parse::<u16>() {
            let answer = get(&server, *fault);
            assert_eq!((answer.status, answer.end), (status, End::Whole));
            let class = match status {
                429 => "http_429",
                400..500 => "http_4xx",
                500.. => "http_5xx",
                _ => "http_other",
            };
            assert_eq!(fault.outcome(&ClientPolicy::default()), Some(class));
        }
    }
    assert_eq!(get(&server, Fault::RateLimited).header("retry-after").unwrap(), "1");
    assert_eq!(get(&server, Fault::RateLimitedLong).header("retry-after").unwrap(), "3600");
    assert!(get(&server, Fault::RateLimitedDate).header("retry-after").unwrap().contains("2099"));
}

#[test]
fn what_recovers_does_so_after_the_stated_attempts() {
    let server = small_world();
    for (fault, status) in
        [(Fault::RateLimitedThenOk, 429), (Fault::UnavailableThenOk, 503), (Fault::InternalErrorThenOk, 500)]
    {
        let failures = fault.failures_before_ok().unwrap();
        for _ in 0..failures {
            assert_eq!(get(&server, fault).status, status);
        }
        assert_eq!(get(&server, fault).status, 200);
        let policy = |retries| ClientPolicy { retries, ..ClientPolicy::default() };
        assert_eq!(fault.outcome(&policy(failures)), Some("success"));
        assert_ne!(fault.outcome(&policy(failures - 1)), Some("success"));
    }
    let mut client = Client::connect(server.address());
    let statuses: Vec<_> = (0..5).map(|_| client.get("/fault/503-then-ok/wit/1.jpg?n=4").status).collect();
    assert_eq!(statuses, [503, 503, 503, 503, 200]);
    server.reset();
    assert_eq!(client.get("/fault/503-then-ok/wit/1.jpg?n=4").status, 503);
}

#[test]
fn slow_faults_are_slow_and_silent_ones_silent() {
    let server = small_world();
    let patience = Duration::from_millis(600);
    let mut client = Client::connect(server.address()).patience(patience);
    let drip = client.get("/fault/slow-drip/laion/1.jpg");
    assert_eq!((drip.status, drip.end), (200, End::Silent));
    assert!(drip.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    assert!((1..=2).contains(&drip.body.len()), "{} bytes", drip.body.len());
    let mut client = Client::connect(server.address()).patience(patience);
    let heads = client.get("/fault/slow-headers/laion/1.jpg");
    assert_eq!((heads.status, heads.end), (0, End::Silent));
    assert!(heads.head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let mut client = Client::connect(server.address()).patience(patience);
    let nothing = client.get("/fault/no-answer/laion/1.jpg");
    assert_eq!((nothing.head.len(), nothing.end), (0, End::Silent));
}

#[test]
fn endless_bodies_do_not_end() {
    let server = small_world();
    let chunked = get(&server, Fault::EndlessChunked);
    assert_eq!((chunked.end, chunked.header("transfer-encoding").as_deref()), (End::Enough, Some("chunked")));
    let plain = get(&server, Fault::EndlessPlain);
    assert_eq!((plain.end, plain.header("content-length")), (End::Enough, None));
    let huge = get(&server, Fault::HugeLength);
    assert_eq!((huge.end, huge.header("content-length").as_deref()), (End::Enough, Some("1099511627776")));
    assert!(huge.body.len() > 4 << 20);
}

#[test]
fn broken_connections_break_where_they_should() {
    let server = small_world();
    let before = get(&server, Fault::ResetBeforeAnswer);
    assert_eq!((before.head.len(), before.end), (0, End::Reset));
    let closed = get(&server, Fault::CloseBeforeAnswer);
    assert_eq!((closed.head.len(), closed.end), (0, End::Closed));
    let length = |answer: &Answer| answer.header("content-length").unwrap().parse::<usize>().unwrap();
    let mid = get(&server, Fault::ResetMidBody);
    assert_eq!((mid.status, mid.end), (200, End::Reset));
    assert_eq!(mid.body.len(), length(&mid) / 2);
    let short = get(&server, Fault::ShortBody);
    assert_eq!((short.status, short.end), (200, End::Closed));
    assert_eq!(short.body.len(), length(&short) / 2);
    let chunks = get(&server, Fault::ShortChunked);
    assert_eq!((chunks.status, chunks.end), (200, End::Closed));
    assert!(!chunks.body.is_empty());
    assert!(get(&server, Fault::NotHttp).head.starts_with(b"SSH-2.0"));
    let flood = get(&server, Fault::HeaderFlood);
    assert!(flood.head.len() > 90_000 && flood.headers("x-flood").len() == 1000);
}

#[test]
fn redirects_lead_where_they_say() {
    let server = small_world();
    for (fault, hops) in [
        (Fault::Redirect, 1),
        (Fault::RedirectThrice, 3),
        (Fault::RedirectRelative, 1),
        (Fault::RedirectMany, 30),
    ] {
        let (statuses, answer) = follow(&server, fault);
        assert_eq!((statuses.len(), answer.status), (hops + 1, 200), "{fault}");
        image::load_from_memory(&answer.body).unwrap();
    }
    assert_eq!(follow(&server, Fault::RedirectThrice).0, [301, 302, 307, 200]);
    let (statuses, _) = follow(&server, Fault::RedirectLoop);
    assert!(statuses.len() == 50 && statuses.iter().all(|s| *s == 302));
    assert_eq!(get(&server, Fault::RedirectNowhere).header("location"), None);
    let (_, page) = follow(&server, Fault::RedirectToPage);
    assert!(page.body.starts_with(b"<!doctype html>"));
    let target = |fault| get(&server, fault).header("location").unwrap();
    let port = server.address().port();
    assert_eq!(target(Fault::RedirectFile), "file:///etc/passwd");
    assert!(target(Fault::RedirectFtp).starts_with("ftp://"));
    assert_eq!(target(Fault::RedirectPrivate), "http://10.0.0.1/picture.jpg");
    assert_eq!(target(Fault::RedirectMetadata), "http://169.254.169.254/latest/meta-data/");
    assert_eq!(target(Fault::RedirectLoopbackV6), format!("http://[::1]:{port}/cc12m/4.jpg"));
    assert_eq!(target(Fault::RedirectLoopback), format!("http://127.0.0.1:{port}/cc12m/4.jpg"));
}

#[test]
fn odd_pictures_start_as_their_format_does() {
    let server = small_world();
    let starts: [(Fault, &[u8]); 15] = [
        (Fault::CmykJpeg, b"\xff\xd8\xff"),
        (Fault::YcckJpeg, b"\xff\xd8\xff"),
        (Fault::GreyJpeg, b"\xff\xd8\xff"),
        (Fault::ExifRotated, b"\xff\xd8\xff\xe1"),
        (Fault::Png16, b"\x89PNG"),
        (Fault::PngPalette, b"\x89PNG"),
        (Fault::PngAlpha, b"\x89PNG"),
        (Fault::WrongExtension, b"\x89PNG"),
        (Fault::AnimatedGif, b"GIF89a"),
        (Fault::AnimatedWebp, b"RIFF"),
        (Fault::Svg, b"<?xml"),
        (Fault::Avif, b"\0\0\0\x1cftypavif"),
        (Fault::GzipEncoding, b"\x1f\x8b"),
        (Fault::Html, b"<!doctype html>"),
        (Fault::BombPng, b"\x89PNG"),
    ];
    for (fault, start) in starts {
        let answer = get(&server, fault);
        assert_eq!((answer.status, answer.end), (200, End::Whole), "{fault}");
        assert!(answer.body.starts_with(start), "{fault}: {:?}", &answer.body[..8]);
    }
    assert_eq!(get(&server, Fault::WrongExtension).header("content-type").unwrap(), "image/jpeg");
    assert_eq!(get(&server, Fault::WrongContentType).header("content-type").unwrap(), "text/plain");
    assert_eq!(get(&server, Fault::NoContentType).header("content-type"), None);
    assert_eq!(get(&server, Fault::GzipEncoding).header("content-encoding").unwrap(), "gzip");
    assert_eq!(get(&server, Fault::Empty).body.len(), 0);
    assert!(get(&server, Fault::Latin1Header).head.contains(&0xe9));
    let png = get(&server, Fault::Png16).body;
    assert_eq!(png[24], 16, "bits a channel");
    assert_eq!(get(&server, Fault::PngPalette).body[25], 3, "colour type");
}

/// What the word promises as success decodes; what it promises as no picture does not.
#[test]
fn bodies_decode_if_and_only_if_the_outcome_is_success() {
    let server = small_world();
    let policy = ClientPolicy::default();
    for &fault in Fault::ALL.iter().filter(|f| f.is_served()) {
        let outcome = fault.outcome(&policy);
        let expected = match outcome {
            Some("success") => true,
            Some("not_an_image" | "truncated" | "unsupported" | "corrupt" | "bomb") => false,
            _ => continue,
        };
        let (_, answer) = if fault == Fault::RedirectLoopback {
            (vec![], get(&server, Fault::Chunked))
        } else {
            follow(&server, fault)
        };
        let decoded = if matches!(fault, Fault::CmykJpeg | Fault::YcckJpeg) {
            turbojpeg::decompress(&answer.body, turbojpeg::PixelFormat::CMYK).is_ok()
        } else {
            answer.end == End::Whole
                && image::ImageReader::new(std::io::Cursor::new(&answer.body))
                    .with_guessed_format()
                    .is_ok_and(|reader| reader.decode().is_ok())
        };
        // zune-jpeg, which this reads with, fills what a truncated JPEG lacks.
        if fault != Fault::TruncatedJpeg {
            assert_eq!(decoded, expected, "{fault} must end in {outcome:?}");
        }
    }
}

#[test]
fn a_truncated_jpeg_lacks_its_end_and_nothing_else() {
    let server = small_world();
    let whole = get(&server, Fault::Chunked).body;
    let cut = get(&server, Fault::TruncatedJpeg);
    assert_eq!(cut.end, End::Whole);
    assert!(whole.starts_with(&cut.body) && cut.body.len() == whole.len() * 2 / 3);
}

#[test]
fn opt_outs_are_in_the_header() {
    let server = small_world();
    let tags = |fault| get(&server, fault).headers("x-robots-tag");
    assert_eq!(tags(Fault::NoAi), ["noai"]);
    assert_eq!(tags(Fault::NoImageAi), ["noarchive", "nosnippet, NOIMAGEAI"]);
    assert_eq!(tags(Fault::NoAiOtherBot), ["otherbot: noai"]);
    assert!(tags(Fault::Chunked).is_empty());
}

#[test]
fn connections_close_or_stay_as_the_fault_says() {
    let server = small_world();
    let mut client = Client::connect(server.address());
    assert_eq!(client.get("/fault/404/laion/1.jpg").status, 404);
    assert_eq!(client.get("/fault/chunked/laion/1.jpg").end, End::Whole);
    assert_eq!(client.get("/fault/204/laion/1.jpg").status, 204);
    assert_eq!(client.get("/fault/connection-close/laion/1.jpg").header("connection").unwrap(), "close");
    assert_eq!(client.answer(false).end, End::Closed);
}

#[test]
fn faults_that_are_no_request_have_urls_that_fail_by_themselves() {
    let base = "http://127.0.0.1:8000";
    let url = |fault: Fault| fault.url(base, Source::Laion, 9);
    assert!(url(Fault::NoSuchHost).starts_with("http://host-2.invalid/"));
    assert!(url(Fault::NotTls).starts_with("https://127.0.0.1:8000/"));
    assert_eq!(url(Fault::NoUrl), "");
    let refused = url(Fault::Refused);
    let authority = refused.strip_prefix("http://").unwrap().split_once('/').unwrap().0;
    let error = std::net::TcpStream::connect(authority).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{authority}");
    let urls: BTreeSet<_> = Fault::ALL.iter().map(|f| url(*f)).collect();
    assert_eq!(urls.len(), Fault::ALL.len());
}

#[test]
fn a_tls_client_is_told_off() {
    let server = small_world();
    let mut client = Client::connect(server.address());
    // The first bytes of a TLS 1.2 ClientHello record.
    client.send("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03");
    assert_eq!(client.answer(false).status, 400);
}
