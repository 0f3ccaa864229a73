//! A process that may open few files, as `ulimit -n` leaves it: this test binary again, an ignored test each.

use std::io::Write;
use std::process::Command;

use super::dns_stub::{DnsStub, Say};
use super::server::{Server, ok};
use super::*;

const URLS: &str = "PAIRMILL_TEST_URLS";
const NAMESERVER: &str = "PAIRMILL_TEST_NAMESERVER";

/// Runs the ignored test `name` with at most `limit` open files.
#[track_caller]
fn run(name: &str, limit: u32, urls: &[String], nameserver: &str) {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    list.write_all(urls.join("\n").as_bytes()).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
    command.arg(std::env::current_exe().unwrap());
    command.env(URLS, list.path()).env(NAMESERVER, nameserver);
    command.args(["--exact", &format!("fetch::tests::files::{name}"), "--ignored", "--nocapture"]);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{limit}: {out}\n{err}");
}

/// What [`run`] was given, in the process that it started.
fn given() -> Option<(Vec<String>, FetchConfig)> {
    let urls = std::fs::read_to_string(std::env::var_os(URLS)?).unwrap();
    let mut config = config();
    config.dns.nameservers = vec![std::env::var(NAMESERVER).unwrap()];
    config.dns.ipv6 = Some(false);
    Some((urls.lines().map(str::to_owned).collect(), config))
}

fn hosts(n: u8) -> Vec<Server> {
    (1..=n).map(|i| Server::start_at(&format!("127.0.0.{i}:0"), |_, stream| ok(stream, b"pixels"))).collect()
}

#[test]
fn f14_fewer_rows_are_in_flight_where_few_files_may_be_open() {
    let hosts = hosts(30);
    let urls: Vec<String> = (0..900).map(|i| hosts[i % 30].url(&format!("/{i}"))).collect();
    for limit in [40, 64, 100] {
        run("all_succeed", limit, &urls, "127.0.0.1:1");
    }
}

#[test]
#[ignore = "run by f14_fewer_rows_are_in_flight_where_few_files_may_be_open"]
fn all_succeed() {
    let Some((urls, config)) = given() else { return };
    let all = fetch_all(config, &urls);
    let failed: Vec<_> = all.iter().filter(|f| f.result.is_err()).collect();
    assert!(failed.is_empty(), "{} rows failed: {:?}", failed.len(), failed[0]);
    assert!(all.iter().all(|f| f.attempts == 1));
}

#[test]
fn f14_rows_wait_for_files_that_others_hold() {
    // The names are known only to the stub, so that lookups need sockets too.
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let names: Vec<String> = (0..200).map(|i| format!("n{i}.local.test")).collect();
    let here = [Say::Addresses(300, vec![std::net::Ipv4Addr::LOCALHOST])];
    let script: Vec<(&str, &[Say])> = names.iter().map(|name| (name.as_str(), &here[..])).collect();
    let stub = DnsStub::start(&script);
    let urls: Vec<String> =
        names.iter().map(|name| format!("http://{name}:{}/", server.address.port())).collect();
    run("all_succeed_when_files_are_free_again", 64, &urls, &stub.address.to_string());
}

#[test]
#[ignore = "run by f14_rows_wait_for_files_that_others_hold"]
fn all_succeed_when_files_are_free_again() {
    let Some((urls, config)) = given() else { return };
    // Somebody in this process takes every file there is, after the stage has counted them.
    let (requests, to_fetch) = bounded(urls.len());
    let (results, fetched) = bounded(urls.len());
    let counters = Arc::<FetchCounters>::default();
    let handle = start(config, to_fetch, results, counters, 2).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    for (ticket, url) in urls.iter().enumerate() {
        requests.send(Request { ticket: ticket as u64, url: url.clone() }).unwrap();
    }
    drop(requests);
    // Long enough for rows to have met the shortage.
    let early = fetched.recv_timeout(Duration::from_millis(500));
    assert!(early.is_err(), "no row ends while there is no file: {early:?}");
    drop(taken);
    let all: Vec<Fetched> = fetched.iter().collect();
    handle.join().unwrap();
    assert_eq!(all.len(), urls.len());
    let failed: Vec<_> = all.iter().filter(|f| f.result.is_err()).collect();
    assert!(failed.is_empty(), "{} rows failed: {:?}", failed.len(), failed[0]);
    assert!(all.iter().all(|f| f.attempts == 1));
}
