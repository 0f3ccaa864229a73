//! Names and addresses: the cache, its misses, and the guard on every hop.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::dns_stub::{DnsStub, Say};
use super::server::{Server, closed_address, ok, reply};
use super::*;
use pairmill_shards::table::message;

const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn asking(stub: &DnsStub) -> FetchConfig {
    let dns = DnsConfig {
        nameservers: vec![stub.address.to_string()],
        timeout_ms: 200,
        retries: 0,
        ipv6: Some(false),
        ..DnsConfig::default()
    };
    FetchConfig { dns, ..config() }
}

/// The guard is on, but for 127.0.0.1: that stands for the Internet, the rest of 127/8 for what must not be reached.
fn guarded(stub: &DnsStub) -> FetchConfig {
    FetchConfig { allow_private_addresses: false, allowed_networks: vec![HERE.to_string()], ..asking(stub) }
}

fn url(name: &str, server: &Server) -> String {
    format!("http://{name}:{}/", server.address.port())
}

#[test]
fn one_question_serves_all_rows_of_a_name() {
    let server = Server::start(|_, stream| reply(stream, "200 OK", &["Connection: close"], b"pixels"));
    let stub = DnsStub::start(&[("one.test", &[Say::Addresses(300, vec![HERE])])]);
    let counters = Arc::default();
    let urls: Vec<String> = (0..8).map(|i| url("One.test", &server) + &i.to_string()).collect();
    assert!(fetch_counted(asking(&stub), &urls, &counters).iter().all(|f| f.result.is_ok()));
    assert_eq!(stub.asked("one.test"), 1);
    let counted = counters.snapshot();
    assert_eq!((counted.dns_lookups, counted.dns_failures), (1, 0));
    assert!(counted.dns_hits >= 7, "{counted:?}");
}

/// Fetches `urls` one after the other in one run, `pause` apart.
fn one_by_one(config: FetchConfig, urls: &[String], pause: Duration) -> Vec<Fetched> {
    let (requests, to_fetch) = bounded(1);
    let (results, fetched) = bounded(1);
    let handle = start(config, to_fetch, results, Arc::default(), 1).unwrap();
    let all = urls
        .iter()
        .map(|url| {
            requests.send(Request { ticket: 0, url: url.clone() }).unwrap();
            let row = fetched.recv().unwrap();
            thread::sleep(pause);
            row
        })
        .collect();
    drop(requests);
    handle.join().unwrap();
    all
}

#[test]
fn an_address_is_asked_for_again_after_its_time() {
    let server = Server::start(|_, stream| reply(stream, "200 OK", &["Connection: close"], b"pixels"));
    let stub = DnsStub::start(&[
        ("short.test", &[Say::Addresses(1, vec![HERE])]),
        ("long.test", &[Say::Addresses(300, vec![HERE])]),
    ]);
    let mut brief = asking(&stub);
    brief.dns.min_ttl_s = 0;
    let urls = [url("short.test", &server), url("long.test", &server)].concat_twice();
    let all = one_by_one(brief, &urls, Duration::from_millis(1_100));
    assert!(all.iter().all(|f| f.result.is_ok()));
    assert_eq!((stub.asked("short.test"), stub.asked("long.test")), (2, 1));
}

trait ConcatTwice {
    fn concat_twice(self) -> Vec<String>;
}

impl<const N: usize> ConcatTwice for [String; N] {
    fn concat_twice(self) -> Vec<String> {
        [self.as_slice(), self.as_slice()].concat()
    }
}

#[test]
fn absent_names_are_remembered_and_not_tried_again() {
    let stub = DnsStub::start(&[("gone.test", &[Say::NoName]), ("bare.test", &[Say::NoAddress])]);
    let urls: Vec<String> = (0..6).map(|i| format!("http://{}.test/{i}", ["gone", "bare"][i % 2])).collect();
    let all = fetch_all(FetchConfig { retries: 3, ..asking(&stub) }, &urls);
    for (row, message_) in all.iter().zip(
        [
            "<urlopen error [Errno -2] Name or service not known>",
            "<urlopen error [Errno -5] No address associated with hostname>",
        ]
        .iter()
        .cycle(),
    ) {
        assert_eq!((class(row), message(row), row.attempts), (Some(FailureClass::Dns), *message_, 1));
    }
    assert_eq!((stub.asked("gone.test"), stub.asked("bare.test")), (1, 1));
}

#[test]
fn f07_names_that_no_registrar_sells_are_asked_for_and_fetched() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let names =
        ["a_b.test", "-dash.test", "dash-.test", "_.test", "a--b.test", "x.-_-.test", "s!'()*+,;=$&~.test"];
    let says = [Say::Addresses(300, vec![HERE])];
    let script: Vec<(&str, &[Say])> = names.iter().map(|name| (*name, says.as_slice())).collect();
    let stub = DnsStub::start(&script);
    let all = fetch_all(asking(&stub), &names.map(|name| url(name, &server)));
    for (row, name) in all.iter().zip(names) {
        assert_eq!((message(row), stub.asked(name)), ("success", 1), "{name}");
    }
    // What the DNS cannot hold is not there, and no question is sent.
    let long = format!("{}.test", "x".repeat(64));
    let names = [long.as_str(), "a..test"];
    for row in fetch_all(asking(&stub), &names.map(|name| url(name, &server))) {
        assert_eq!(message(&row), "<urlopen error [Errno -2] Name or service not known>");
    }
    assert_eq!((stub.asked(&long), stub.asked("a..test")), (0, 0));
}

#[test]
fn f07_a_name_that_tls_cannot_carry_is_said_to_be_one() {
    let stub = DnsStub::start(&[("-dash.test", &[Say::Addresses(300, vec![HERE])])]);
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let row = fetch_one(asking(&stub), format!("https://-dash.test:{}/", server.address.port()));
    assert_eq!((class(&row), message(&row)), (Some(FailureClass::Tls), message::NAME_NOT_FOR_TLS));
}

#[test]
fn name_servers_in_trouble_are_tried_again() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let stub = DnsStub::start(&[
        ("shaky.test", &[Say::Broken, Say::Addresses(300, vec![HERE])]),
        ("broken.test", &[Say::Broken]),
        ("mute.test", &[Say::Silence]),
    ]);
    let mut config = FetchConfig { retries: 1, ..asking(&stub) };
    config.dns.failure_ttl_ms = 0;
    let names = ["shaky.test", "broken.test", "mute.test"];
    let all = fetch_all(config, &names.map(|name| url(name, &server)));
    assert_eq!((message(&all[0]), all[0].attempts), ("success", 2));
    for row in &all[1..] {
        assert_eq!(class(row), Some(FailureClass::Dns));
        assert_eq!(message(row), "<urlopen error [Errno -3] Temporary failure in name resolution>");
        assert_eq!(row.attempts, 2);
    }
}

#[test]
fn no_name_server_is_a_dns_failure() {
    let mut config = config();
    config.dns = DnsConfig {
        nameservers: vec![closed_address().to_string()],
        timeout_ms: 200,
        retries: 0,
        ..DnsConfig::default()
    };
    let row = fetch_one(config, "http://a.test/");
    assert_eq!((class(&row), row.attempts), (Some(FailureClass::Dns), 1));
}

#[test]
fn localhost_needs_no_name_server_and_is_guarded() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let mut config = config();
    config.dns.nameservers = vec![closed_address().to_string()];
    assert_eq!(message(&fetch_one(config.clone(), url("localhost", &server))), "success");
    config.allow_private_addresses = false;
    let row = fetch_one(config, url("localhost.", &server));
    assert_eq!(class(&row), Some(FailureClass::PrivateAddress), "{}", message(&row));
    assert_eq!(server.num_asks(), 1);
}

#[test]
fn literal_private_addresses_are_refused_in_every_spelling() {
    let server = Server::start_at("127.0.0.1:0", |_, stream| ok(stream, b"secret"));
    let port = server.address.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "0",
        "[::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "\u{ff11}27.0.0.1",
    ];
    let urls: Vec<String> = hosts.iter().map(|host| format!("http://{host}:{port}/")).collect();
    for row in fetch_all(FetchConfig { allow_private_addresses: false, ..config() }, &urls) {
        assert_eq!(
            class(&row),
            Some(FailureClass::PrivateAddress),
            "{}: {}",
            hosts[row.ticket as usize],
            message(&row)
        );
    }
    assert_eq!(server.seen.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_redirect_does_not_lead_inside() {
    let inside = Server::start_at("127.0.0.2:0", |_, stream| ok(stream, b"secret"));
    let stub = DnsStub::start(&[("evil.test", &[Say::Addresses(300, vec![ELSEWHERE])])]);
    let outside = Server::start({
        let (by_address, by_name) = (inside.url("/"), url("evil.test", &inside));
        move |ask, stream| {
            let target = if ask.path == "/by-address" { &by_address } else { &by_name };
            reply(stream, "302 Found", &[&format!("Location: {target}")], b"")
        }
    });
    for row in fetch_all(guarded(&stub), &[outside.url("/by-address"), outside.url("/by-name")]) {
        assert_eq!(class(&row), Some(FailureClass::PrivateAddress), "{}", message(&row));
        assert!(row.final_url.is_some(), "says where it would have led");
    }
    assert_eq!(outside.num_asks(), 2);
    assert_eq!(inside.seen.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn a_name_that_turns_inwards_is_refused() {
    let server = Server::start(|_, stream| reply(stream, "200 OK", &["Connection: close"], b"pixels"));
    let inside =
        Server::start_at(&format!("127.0.0.2:{}", server.address.port()), |_, stream| ok(stream, b"secret"));
    let stub = DnsStub::start(&[(
        "rebind.test",
        &[Say::Addresses(0, vec![HERE]), Say::Addresses(0, vec![ELSEWHERE])],
    )]);
    let mut config = guarded(&stub);
    config.dns.min_ttl_s = 0;
    let all = one_by_one(config, &[url("rebind.test", &server)].concat_twice(), Duration::ZERO);
    assert_eq!((class(&all[0]), class(&all[1])), (None, Some(FailureClass::PrivateAddress)));
    assert_eq!(inside.seen.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn private_addresses_among_public_ones_are_left_out() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let inside =
        Server::start_at(&format!("127.0.0.2:{}", server.address.port()), |_, stream| ok(stream, b"secret"));
    let stub = DnsStub::start(&[("mixed.test", &[Say::Addresses(300, vec![ELSEWHERE, HERE])])]);
    let row = fetch_one(guarded(&stub), url("mixed.test", &server));
    assert_eq!(row.result.map(|body| body.bytes).unwrap(), b"pixels");
    assert_eq!(inside.seen.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn ipv6_addresses_are_fetched_from() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    };
    drop(probe);
    let server = Server::start_at("[::1]:0", |_, stream| ok(stream, b"pixels"));
    assert_eq!(message(&fetch_one(config(), server.url("/"))), "success");
}
