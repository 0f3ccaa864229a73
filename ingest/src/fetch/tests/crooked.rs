//! Answers that are not quite HTTP, which browsers and urllib take all the same.

use std::io::Write;
use std::net::TcpStream;

use super::server::{Ask, Server, ok, reply};
use super::*;
use pairmill_shards::table::message;

const BODY: &[u8] = b"pixels";

/// Answers with these bytes and closes.
fn say(stream: &mut TcpStream, head: &str, body: &[u8]) -> io::Result<bool> {
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    Ok(false)
}

fn crooked(ask: &Ask, stream: &mut TcpStream) -> io::Result<bool> {
    let many: String = (0..300).map(|i| format!("X-{i}: {i}\r\n")).collect();
    match ask.path.as_str() {
        "/length/junk" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", BODY),
        "/length/empty" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", BODY),
        "/length/negative" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", BODY),
        "/length/huge" => {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", BODY)
        }
        "/length/two" => {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 3\r\n\r\n", BODY)
        }
        "/length/decimal" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 6.0\r\n\r\n", BODY),
        "/version/1.2" => say(stream, "HTTP/1.2 200 OK\r\nContent-Length: 6\r\n\r\n", BODY),
        "/version/2" => say(stream, "HTTP/2.0 200 OK\r\nContent-Length: 6\r\n\r\n", BODY),
        "/nul/other" => say(stream, "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 6\r\n\r\n", BODY),
        "/nul/type" => {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Type: a\0b\r\nContent-Length: 6\r\n\r\n", BODY)
        }
        "/nul/location" => say(stream, "HTTP/1.1 302 F\r\nLocation: /a\0b\r\n\r\n", b""),
        "/a%00b" => ok(stream, BODY),
        "/chunks/1.0" => {
            say(stream, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"6\r\npixels\r\n0\r\n\r\n")
        }
        "/headers/many" => say(stream, &format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 6\r\n\r\n"), BODY),
        "/headers/endless" => say(stream, "HTTP/1.1 200 OK\r\nX: ", &[b'x'; 600_000]),
        "/bytes-behind" => say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", b"pixels and more"),
        "/reason/none" => say(stream, "HTTP/1.1 200\r\nContent-Length: 6\r\n\r\n", BODY),
        "/blanks" => say(stream, "HTTP/1.1  200  OK\r\nContent-Length : 6\r\n\r\n", BODY),
        "/noai/1.2" => say(stream, "HTTP/1.2 200 OK\r\nX-Robots-Tag: noai\r\n\r\n", BODY),
        "/short/1.2" => say(stream, "HTTP/1.2 200 OK\r\nContent-Length: 60\r\n\r\n", BODY),
        "/gone/1.2" => say(stream, "HTTP/1.2 404 Not Found\r\nContent-Length: -6\r\n\r\n", BODY),
        "/continue/1.2" => say(
            stream,
            "HTTP/1.2 100 Continue\r\n\r\nHTTP/1.2 103 Hints\r\nLink: x\r\n\r\nHTTP/1.2 200 OK\r\nContent-Length: 6\r\n\r\n",
            BODY,
        ),
        _ => reply(stream, "404 Not Found", &[], b""),
    }
}

#[test]
fn f24_crooked_answers_bring_their_picture() {
    let server = Server::start(crooked);
    let paths = [
        "/length/junk",
        "/length/empty",
        "/length/negative",
        "/length/huge",
        "/length/two",
        "/length/decimal",
        "/version/1.2",
        "/version/2",
        "/nul/other",
        "/nul/type",
        "/nul/location",
        "/chunks/1.0",
        "/headers/many",
        "/bytes-behind",
        "/reason/none",
        "/blanks",
        "/continue/1.2",
    ];
    // One at a time, so that no answer's surplus bytes meet another row's question.
    for path in paths {
        let row = fetch_one(config(), server.url(path));
        assert_eq!(row.result.as_ref().map(|body| body.bytes.as_slice()), Ok(BODY), "{path}");
        assert_eq!(
            row.attempts,
            if path == "/nul/location" { 2 } else { 1 },
            "{path}: a second look is none"
        );
    }
}

#[test]
fn f24_crooked_answers_are_judged_like_straight_ones() {
    let server = Server::start(crooked);
    for (path, class_, message_) in [
        ("/noai/1.2", FailureClass::OptOut, message::OPT_OUT),
        ("/short/1.2", FailureClass::ShortBody, message::INCOMPLETE_READ),
        ("/gone/1.2", FailureClass::Http4xx, "HTTP Error 404: Not Found"),
        ("/headers/endless", FailureClass::Connect, message::BAD_STATUS_LINE),
    ] {
        let row = fetch_one(config(), server.url(path));
        assert_eq!((class(&row), message(&row)), (Some(class_), message_), "{path}");
    }
}

#[test]
fn f24_a_second_look_goes_to_no_address_that_the_guard_refuses() {
    let stub = dns_stub::DnsStub::start(&[(
        "turns.test",
        &[
            dns_stub::Say::Addresses(0, vec![[127, 0, 0, 1].into()]),
            dns_stub::Say::Addresses(0, vec![[127, 0, 0, 2].into()]),
        ],
    )]);
    let server = Server::start(crooked);
    let inside = Server::start_at(&format!("127.0.0.2:{}", server.address.port()), crooked);
    let dns = DnsConfig {
        nameservers: vec![stub.address.to_string()],
        min_ttl_s: 0,
        ipv6: Some(false),
        ..DnsConfig::default()
    };
    let guarded = FetchConfig {
        allow_private_addresses: false,
        allowed_networks: vec!["127.0.0.1".to_owned()],
        dns,
        ..config()
    };
    let row = fetch_one(guarded, format!("http://turns.test:{}/version/1.2", server.address.port()));
    assert_eq!(class(&row), Some(FailureClass::Connect), "{}", message(&row));
    assert_eq!(inside.seen.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn f18_bytes_of_a_location_go_back_as_they_came() {
    let server = Server::start(|ask, stream| {
        let location: &[u8] = match ask.path.as_str() {
            "/latin1" => b"/caf\xe9/\xfcber.jpg?q=\xe4",
            "/utf8" => "/caf\u{e9}.jpg".as_bytes(),
            "/shift-jis" => b"/\x83e\x83X\x83g.jpg",
            "/escaped" => b"/caf%E9.jpg",
            _ => return ok(stream, BODY),
        };
        stream.write_all(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ")?;
        stream.write_all(location)?;
        stream.write_all(b"\r\n\r\n")?;
        Ok(true)
    });
    for (path, asked) in [
        ("/latin1", "/caf%E9/%FCber.jpg?q=%E4"),
        ("/utf8", "/caf%C3%A9.jpg"),
        ("/shift-jis", "/%83e%83X%83g.jpg"),
        ("/escaped", "/caf%E9.jpg"),
    ] {
        let row = fetch_one(config(), server.url(path));
        assert_eq!(message(&row), "success", "{path}");
        assert_eq!(server.asks().last().unwrap().path, asked);
        let path = asked.split('?').next().unwrap();
        assert_eq!(row.final_url.as_deref(), Some(server.url(path).as_str()));
    }
}
