//! No part of a URL, of a redirect or of anything else that a server sends is told in a message.

use std::io::Write;

use proptest::prelude::*;

use super::server::{Ask, Server, closed_address, ok};
use super::*;
use pairmill_shards::table::message;

/// Characters that stand together in none of the messages.
const TOKEN: &str = "[QXZJ][0-9QXZJ]{9}";

/// What the answer holds, each time with `secret` in it.
fn answer(kind: usize, secret: &str) -> Vec<u8> {
    let redirect =
        |target: String| format!("HTTP/1.1 302 {secret}\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n");
    let closed = closed_address();
    match kind {
        0 => format!("HTTP/1.1 404 {secret}\r\nX-{secret}: {secret}\r\nContent-Length: 0\r\n\r\n"),
        1 => format!("HTTP/1.1 599 {secret}\r\nContent-Length: 0\r\n\r\n"),
        2 => redirect(format!("ftp://{secret}:{secret}@{secret}/{secret}?{secret}#{secret}")),
        3 => redirect(format!("http://[{secret}/")),
        4 => redirect(format!("http://{secret}:{secret}@{closed}/{secret}?{secret}#{secret}")),
        5 => redirect(format!("https://{secret}.test:99999/{secret}")),
        6 => redirect(format!("http://{secret}:{secret}@{secret}.test/{secret}")),
        7 => redirect(format!("http://{secret}@10.0.0.1/{secret}")),
        8 => redirect(format!("/{}", secret.repeat(20_000))),
        9 => format!("{secret}-2.0 {secret}\r\n"),
        10 => format!("HTTP/1.1 200 OK\r\nX-Robots-Tag: noai, {secret}\r\nContent-Length: 1\r\n\r\nx"),
        11 => format!("HTTP/1.1 200 {secret}\r\nContent-Length: 1000\r\n\r\n{secret}"),
        12 => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{secret}\r\n{secret}"),
        13 => redirect(format!("https://{secret}@{closed}/{secret}?{secret}")),
        14 => format!("HTTP/1.1 302 Found\r\nX-{secret}: {secret}\r\nContent-Length: 0\r\n\r\n"),
        _ => String::new(),
    }
    .into_bytes()
}
const KINDS: usize = 16;

/// Whether any six characters of `part` stand in `text`: one more than `https` has.
fn tells(text: &str, part: &str) -> bool {
    part.as_bytes().windows(6).any(|window| text.as_bytes().windows(6).any(|w| w == window))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn f03_no_message_tells_a_part_of_a_url_or_an_answer(
        ours in TOKEN, theirs in TOKEN,
    ) {
        let secret = theirs.clone();
        let server = Server::start(move |ask: &Ask, stream: &mut std::net::TcpStream| {
            let kind = ask.path.split(['/', '?']).nth(1).and_then(|word| word.parse().ok());
            stream.write_all(&answer(kind.unwrap_or(KINDS), &secret))?;
            Ok(false)
        });
        let mut urls: Vec<String> = (0..KINDS)
            .map(|kind| format!("http://{ours}:{ours}@{}/{kind}/{ours}?{ours}#{ours}", server.address))
            .collect();
        urls.extend([
            format!("{ours}://{ours}/{ours}"),
            format!("{ours} {ours}"),
            format!("http://{ours}:{ours}:{ours}"),
            format!("http://[{ours}]/{ours}"),
            format!("https://{ours}@{}/{ours}", server.address),
            format!("http://{ours}.test/{ours}"),
            format!("http://10.0.0.1/{ours}"),
        ]);
        let dns = DnsConfig {
            nameservers: vec![closed_address().to_string()],
            timeout_ms: 100,
            retries: 0,
            ..DnsConfig::default()
        };
        let guarded = FetchConfig {
            allow_private_addresses: false,
            allowed_networks: vec!["127.0.0.1".to_owned()],
            dns,
            ..config()
        };
        for row in fetch_all(guarded, &urls) {
            let url = &urls[row.ticket as usize];
            let failure = row.result.as_ref().unwrap_err();
            prop_assert!(message::is_listed(failure.class, &failure.message), "{url}: {failure:?}");
            for part in [url.split_once("://").map_or(url.as_str(), |(_, rest)| rest), &theirs, &ours] {
                prop_assert!(!tells(&failure.message, part), "{url}: {failure:?}");
            }
            // Host and path of where a redirect leads may be told, and nothing else.
            if let Some(end) = &row.final_url {
                prop_assert!(!end.contains(['?', '#', '@']), "{end}");
            }
        }
    }
}

#[test]
fn f03_passwords_and_queries_stay_out_of_the_final_url_unless_wanted() {
    let server = Server::start(|ask, stream| match ask.path.as_str() {
        "/start" => {
            let host = ask.header("host").unwrap();
            let head = format!(
                "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://user:PASSWORD@{host}/end?sig=SIGNATURE#f\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            Ok(true)
        }
        _ => ok(stream, b"pixels"),
    });
    let url = server.url("/start");
    let row = fetch_one(config(), &url);
    assert_eq!(row.final_url.as_deref(), Some(server.url("/end").as_str()));
    assert_eq!(server.asks().last().unwrap().path, "/end?sig=SIGNATURE", "what is asked for is whole");
    let row = fetch_one(FetchConfig { whole_final_url: true, ..config() }, &url);
    let whole = format!("http://user:PASSWORD@{}/end?sig=SIGNATURE", server.address);
    assert_eq!(row.final_url.as_deref(), Some(whole.as_str()));
}

#[test]
fn f03_long_redirects_cost_one_short_message() {
    let server = Server::start(|_, stream| {
        let head = format!(
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ftp://user:LOCSECRET@host/?sig={}\r\n\r\n",
            "x".repeat(300_000)
        );
        stream.write_all(head.as_bytes())?;
        Ok(true)
    });
    let urls: Vec<String> = (0..20).map(|i| server.url(&format!("/{i}"))).collect();
    let messages: std::collections::BTreeSet<String> =
        fetch_all(config(), &urls).iter().map(|row| message(row).to_owned()).collect();
    assert_eq!(messages.into_iter().collect::<Vec<_>>(), [message::REDIRECT_NOT_ALLOWED]);
}
