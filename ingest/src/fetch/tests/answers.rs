//! Each kind of answer ends in its class, with img2dataset's words.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::server::{Ask, Server, closed_address, ok, reply};
use super::*;
use pairmill_shards::table::message;

fn by_path(ask: &Ask, stream: &mut TcpStream) -> io::Result<bool> {
    match ask.path.as_str() {
        "/image" => ok(stream, b"pixels"),
        "/empty" => ok(stream, b""),
        "/html" => reply(stream, "200 OK", &["Content-Type: text/html"], b"<html>"),
        "/gzip" => reply(stream, "200 OK", &["Content-Encoding: gzip"], b"\x1f\x8bnot really"),
        "/noai" => reply(stream, "200 OK", &["X-Robots-Tag: all", "X-Robots-Tag: NoAI"], b"pixels"),
        "/noai-for-mybot" => reply(stream, "200 OK", &["x-robots-tag: mybot: noindex"], b"pixels"),
        "/no-location" => reply(stream, "302 Found", &[], b""),
        "/hop/relative" => reply(stream, "301 Moved Permanently", &["Location: ../image#top"], b"moved"),
        "/loop/a" => reply(stream, "302 Found", &["Location: /loop/b"], b""),
        "/loop/b" => reply(stream, "307 Temporary Redirect", &["Location: /loop/a"], b""),
        "/self" => reply(stream, "302 Found", &["Location: /self"], b""),
        "/to-ftp" => reply(stream, "302 Found", &["Location: ftp://127.0.0.1/image"], b""),
        "/to-removed" => reply(stream, "302 Found", &["Location: /removed.png"], b""),
        "/removed.png" => ok(stream, b"a placeholder"),
        "/to-nonsense" => reply(stream, "302 Found", &["Location: http://["], b""),
        "/short" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")?;
            Ok(false)
        }
        "/short-chunks" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")?;
            Ok(false)
        }
        "/chunks" => {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n1\r\n5\r\n0\r\n\r\n",
            )?;
            Ok(true)
        }
        "/until-close" => {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n0123456789")?;
            Ok(false)
        }
        "/reset-body" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")?;
            thread::sleep(Duration::from_millis(50));
            Ok(false)
        }
        "/reset-unanswered" | "/closed-unanswered" => Ok(false),
        "/ssh" => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")?;
            Ok(false)
        }
        path => {
            if let Some(left) = path.strip_prefix("/chain/") {
                let left: u32 = left.parse().unwrap();
                let next = if left == 0 { "/image".to_owned() } else { format!("/chain/{}", left - 1) };
                return reply(stream, "302 Found", &[&format!("Location: {next}")], b"");
            }
            let code = path.trim_start_matches('/');
            reply(stream, &format!("{code} Whatever It Says"), &[], b"a page about the error")
        }
    }
}

#[test]
fn statuses_have_their_class_and_wording() {
    use FailureClass::{Http4xx, Http5xx, Http429, HttpOther, Redirect};
    let server = Server::start(by_path);
    let expected = [
        ("/400", Http4xx, "HTTP Error 400: Bad Request"),
        ("/401", Http4xx, "HTTP Error 401: Unauthorized"),
        ("/403", Http4xx, "HTTP Error 403: Forbidden"),
        ("/404", Http4xx, "HTTP Error 404: Not Found"),
        ("/410", Http4xx, "HTTP Error 410: Gone"),
        ("/429", Http429, "HTTP Error 429: Too Many Requests"),
        ("/500", Http5xx, "HTTP Error 500: Internal Server Error"),
        ("/503", Http5xx, "HTTP Error 503: Service Unavailable"),
        ("/204", HttpOther, "HTTP Error 204: No Content"),
        ("/300", HttpOther, "HTTP Error 300: Multiple Choices"),
        ("/304", HttpOther, "HTTP Error 304: Not Modified"),
        ("/no-location", Redirect, message::REDIRECT_NOT_ALLOWED),
        ("/self", Redirect, message::REDIRECT_LOOP),
        ("/loop/a", Redirect, message::REDIRECT_LOOP),
        ("/to-ftp", Redirect, message::REDIRECT_NOT_ALLOWED),
        ("/to-nonsense", Redirect, message::REDIRECT_NOT_ALLOWED),
    ];
    let urls: Vec<String> = expected.iter().map(|(path, ..)| server.url(path)).collect();
    for (fetched, (path, class_, message_)) in fetch_all(config(), &urls).iter().zip(expected) {
        assert_eq!((class(fetched), message(fetched)), (Some(class_), message_), "{path}");
        assert_eq!(fetched.attempts, if path == "/loop/a" { 2 } else { 1 }, "{path}");
    }
}

#[test]
fn bodies_come_as_served() {
    let server = Server::start(by_path);
    let paths = ["/image", "/empty", "/html", "/gzip", "/chunks", "/until-close"];
    let fetched = fetch_all(config(), &paths.map(|p| server.url(p)));
    let bodies: Vec<&[u8]> = fetched.iter().map(|f| f.result.as_ref().unwrap().bytes.as_slice()).collect();
    assert_eq!(bodies, [&b"pixels"[..], b"", b"<html>", b"\x1f\x8bnot really", b"012345", b"0123456789"]);
    assert_eq!(fetched[0].result.as_ref().unwrap().content_type.as_deref(), Some("image/jpeg"));
    assert_eq!(fetched[2].result.as_ref().unwrap().content_type.as_deref(), Some("text/html"));
    assert!(fetched.iter().all(|f| f.final_url.is_none()));
}

#[test]
fn broken_connections_are_told_apart() {
    use FailureClass::{Connect, ShortBody};
    let server = Server::start(by_path);
    let expect = |url: String, class_, message_: &str| {
        let fetched = fetch_one(config(), &url);
        assert_eq!((class(&fetched), message(&fetched)), (Some(class_), message_), "{url}");
    };
    expect(server.url("/short"), ShortBody, message::INCOMPLETE_READ);
    expect(server.url("/short-chunks"), ShortBody, message::INCOMPLETE_READ);
    expect(server.url("/reset-body"), Connect, message::CONNECTION_RESET_READING);
    expect(server.url("/reset-unanswered"), Connect, message::CONNECTION_RESET_READING);
    expect(server.url("/closed-unanswered"), Connect, message::CONNECTION_CLOSED);
    expect(format!("http://{}/", closed_address()), Connect, message::CONNECTION_REFUSED);
}

#[test]
fn f03_an_answer_that_is_not_http_is_connect_and_tried_again() {
    let server = Server::start(by_path);
    let row = fetch_one(FetchConfig { retries: 1, ..config() }, server.url("/ssh"));
    assert_eq!((class(&row), message(&row)), (Some(FailureClass::Connect), message::BAD_STATUS_LINE));
    assert!(FailureClass::Connect.is_transient());
    assert_eq!(row.attempts, 2, "as often as any transient failure");
}

#[test]
fn f03_attempts_count_the_requests_of_redirects() {
    let server = Server::start(by_path);
    let urls = ["/image", "/hop/relative", "/chain/3"].map(|path| server.url(path));
    let attempts: Vec<u32> = fetch_all(config(), &urls).iter().map(|row| row.attempts).collect();
    assert_eq!(attempts, [1, 2, 5]);
    assert_eq!(server.num_asks(), 8);
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let server = Server::start(by_path);
    let other = Server::start_at("127.0.0.2:0", {
        let target = server.url("/image");
        move |_, stream| reply(stream, "308 Permanent Redirect", &[&format!("Location: {target}")], b"")
    });
    let urls =
        [server.url("/hop/relative"), other.url("/away"), server.url("/chain/9"), server.url("/chain/10")];
    let fetched = fetch_all(config(), &urls);
    for row in &fetched[..3] {
        assert_eq!(message(row), "success");
        assert_eq!(row.final_url.as_deref(), Some(server.url("/image").as_str()));
    }
    assert_eq!(fetched[..3].iter().map(|row| row.attempts).collect::<Vec<_>>(), [2, 2, 11]);
    assert_eq!(class(&fetched[3]), Some(FailureClass::Redirect), "11 redirects are too many");
}

#[test]
fn a_placeholder_for_a_removed_image_is_no_image() {
    let server = Server::start(by_path);
    let urls = [server.url("/to-removed"), server.url("/image")];
    let removed_images = vec!["/removed.png".to_owned()];
    let fetched = fetch_all(FetchConfig { removed_images, ..config() }, &urls);
    assert_eq!(class(&fetched[0]), Some(FailureClass::Redirect));
    assert_eq!(message(&fetched[0]), "redirection to the placeholder of a removed image");
    assert_eq!(class(&fetched[1]), None);
    assert!(server.asks().iter().all(|ask| ask.path != "/removed.png"), "it is not even asked for");
    assert_eq!(class(&fetch_one(config(), &urls[0])), None, "only where it is known as such");
}

#[test]
fn bad_urls_are_failures_without_an_attempt() {
    let expected = [
        ("", message::NO_URL),
        (" \n", message::NO_URL),
        ("picture.jpg", message::UNKNOWN_URL_TYPE),
        ("/a/b.jpg", message::UNKNOWN_URL_TYPE),
        ("ftp://127.0.0.1/a.jpg", message::UNKNOWN_URL_TYPE),
        ("data:image/png;base64,AAAA", message::UNKNOWN_URL_TYPE),
        ("file:///etc/passwd", message::UNKNOWN_URL_TYPE),
        ("http://", message::INVALID_URL),
        ("http://[::1/", message::INVALID_URL),
        ("http://a.test:99999/", message::INVALID_URL),
        ("http://a b.test/", message::INVALID_URL),
    ];
    let long = format!("http://127.0.0.1/{}", "x".repeat(70_000));
    let row = fetch_one(config(), &long);
    assert_eq!((class(&row), message(&row)), (Some(FailureClass::BadUrl), message::INVALID_URL));
    for (fetched, (url, message_)) in fetch_all(config(), &expected.map(|(url, _)| url)).iter().zip(expected)
    {
        assert_eq!(
            (class(fetched), message(fetched), fetched.attempts),
            (Some(FailureClass::BadUrl), message_, 0),
            "{url}"
        );
    }
}

#[test]
fn urls_are_repaired_as_browsers_do() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let expected = [
        ("/a b.jpg", "/a%20b.jpg"),
        ("/caf\u{e9}.jpg?q=\u{4e2d}", "/caf%C3%A9.jpg?q=%E4%B8%AD"),
        ("/x.jpg#fragment", "/x.jpg"),
        ("/a/../b/./c.jpg", "/b/c.jpg"),
        ("/50%.jpg", "/50%.jpg"),
        ("/\"<>`{}.jpg?\"<>", "/%22%3C%3E%60%7B%7D.jpg?%22%3C%3E"),
        ("/p|q^r[s].jpg?{a}|`", "/p|q^r[s].jpg?{a}|`"),
        ("/tab\tand\nline.jpg", "/tabandline.jpg"),
    ];
    for (path, sent) in expected {
        let before = server.num_asks();
        let fetched = fetch_one(config(), format!("  {} \n", server.url(path)));
        assert_eq!(message(&fetched), "success", "{path}");
        let got = &server.asks()[before].path;
        // `^` is escaped by newer versions of the URL standard.
        assert_eq!(got.replace("%5E", "^"), sent, "{path}");
    }
}

#[test]
fn opt_out_is_honoured() {
    let server = Server::start(by_path);
    let urls = [server.url("/noai"), server.url("/noai-for-mybot"), server.url("/image")];
    let classes = |config| fetch_all(config, &urls).iter().map(class).collect::<Vec<_>>();
    let opt_out = Some(FailureClass::OptOut);
    assert_eq!(classes(config()), [opt_out, None, None]);
    let mybot = FetchConfig { user_agent_token: Some("MyBot".to_owned()), ..config() };
    assert_eq!(classes(mybot), [opt_out, opt_out, None]);
    assert_eq!(
        classes(FetchConfig { disallowed_header_directives: Vec::new(), ..config() }),
        [None, None, None]
    );
    let fetched = fetch_one(config(), &urls[0]);
    assert_eq!(message(&fetched), "Use of image disallowed by X-Robots-Tag directive");
}

#[test]
fn f25_requests_say_who_asks_and_name_no_address_that_does_not_exist() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    fetch_one(config(), server.url("/"));
    fetch_one(FetchConfig { user_agent_token: Some("mybot".to_owned()), ..config() }, server.url("/"));
    fetch_one(FetchConfig { user_agent: "Other/1".to_owned(), ..config() }, server.url("/"));
    let asks = server.asks();
    let agents: Vec<&str> = asks.iter().map(|a| a.header("user-agent").unwrap()).collect();
    assert_eq!(agents[0], concat!("pairmill/", env!("CARGO_PKG_VERSION")));
    assert_eq!(agents[1], format!("{} mybot", agents[0]));
    assert_eq!(agents[2], "other/1");
    assert!(asks.iter().all(|a| a.header("accept-encoding").is_none() && a.header("referer").is_none()));
}
