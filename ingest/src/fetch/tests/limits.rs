//! Deadlines, speed, sizes, and that waiting for us is not the server's fault.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::server::{Server, drip, hang, ok, reply};
use super::*;
use crate::fetch::attempt::{HostFacts, Outcome};
use crate::fetch::job::Job;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

fn class_of(config: FetchConfig, server: &Server) -> Option<FailureClass> {
    class(&fetch_one(config, server.url("/")))
}

#[test]
fn silence_ends_at_the_deadline() {
    let server = Server::start(|_, stream| hang(stream));
    let fetched = fetch_one(FetchConfig { timeout_ms: 200, ..config() }, server.url("/"));
    assert_eq!(
        (class(&fetched), message(&fetched)),
        (Some(FailureClass::Timeout), "<urlopen error timed out>")
    );
    assert!(fetched.fetch_ms >= 200, "{}", fetched.fetch_ms);
}

#[test]
fn the_deadline_covers_all_hops_together() {
    // Each hop is quick enough by itself; the target never repeats, so only the clock ends it.
    let server = Server::start(|ask, stream| {
        thread::sleep(Duration::from_millis(60));
        reply(stream, "302 Found", &[&format!("Location: {}x", ask.path)], b"")
    });
    let slow = FetchConfig { timeout_ms: 200, max_redirects: 1_000, ..config() };
    assert_eq!(class_of(slow, &server), Some(FailureClass::Timeout));
    assert!(server.num_asks() < 10);
}

#[test]
fn an_endless_drip_ends_at_the_deadline_or_for_its_speed() {
    let server = Server::start(|_, stream| {
        stream.write_all(HEAD)?;
        drip(stream, b"x", Duration::from_millis(10))
    });
    let fetched = fetch_one(FetchConfig { timeout_ms: 300, min_bytes_per_s: 0, ..config() }, server.url("/"));
    assert_eq!((class(&fetched), message(&fetched)), (Some(FailureClass::Timeout), "timed out"));
    let picky = FetchConfig { min_bytes_per_s: 10_000, grace_ms: 200, ..config() };
    assert_eq!(class_of(picky, &server), Some(FailureClass::TooSlow));
}

#[test]
fn a_body_that_stops_is_too_slow() {
    let server = Server::start(|_, stream| {
        stream.write_all(HEAD)?;
        stream.write_all(&[0; 100_000])?;
        hang(stream)
    });
    let picky = FetchConfig { min_bytes_per_s: 1_000, grace_ms: 200, ..config() };
    assert_eq!(class_of(picky, &server), Some(FailureClass::TooSlow));
}

#[test]
fn an_endless_fast_body_ends_at_the_cap() {
    let server = Server::start(|_, stream| {
        stream.write_all(HEAD)?;
        drip(stream, &[0; 65_536], Duration::ZERO)
    });
    let counters = Arc::<FetchCounters>::default();
    let capped = FetchConfig { max_bytes: 3 << 20, ..config() };
    let fetched = fetch_counted(capped, &[server.url("/")], &counters).remove(0);
    assert_eq!(class(&fetched), Some(FailureClass::TooLarge));
    assert!(counters.snapshot().bytes < 5 << 20);
}

#[test]
fn a_promise_above_the_cap_is_not_waited_for() {
    let server = Server::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")?;
        hang(stream)
    });
    let fetched = fetch_one(FetchConfig { max_bytes: 1_000, ..config() }, server.url("/"));
    assert_eq!(
        (class(&fetched), message(&fetched)),
        (Some(FailureClass::TooLarge), "body larger than the byte limit")
    );
}

#[test]
fn a_body_of_exactly_the_cap_is_taken() {
    for (cap, taken) in [(1_000, true), (999, false)] {
        let server = Server::start(|_, stream| {
            stream.write_all(HEAD)?;
            stream.write_all(&[7; 1_000])?;
            Ok(false)
        });
        let fetched = fetch_one(FetchConfig { max_bytes: cap, ..config() }, server.url("/"));
        assert_eq!(fetched.result.is_ok(), taken, "{cap}");
    }
}

#[test]
fn large_bodies_wait_for_a_permit_at_no_cost_to_them() {
    let server = Server::start(|_, stream| ok(stream, &vec![7; 3 << 20]));
    let url = server.url("/");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let small_budget =
            FetchConfig { timeout_ms: 400, grace_ms: 100, large_body_budget_bytes: 0, ..config() };
        let fetcher = build_fetcher(&small_budget, Arc::default()).unwrap();
        assert_eq!(fetcher.large_bodies.available_permits(), 1, "one large body always fits");
        let held = fetcher.large_bodies.clone().acquire_owned().await.unwrap();
        let mut job = Job::new(&Request { ticket: 0, url }, false).unwrap();
        let facts = HostFacts { single_row: false, has_answered: false };
        {
            let mut hop = std::pin::pin!(fetcher.run_hop(&mut job, facts));
            tokio::time::timeout(Duration::from_millis(800), hop.as_mut())
                .await
                .expect_err("waits for the permit");
            drop(held);
            let Outcome::Body(body, Some(_permit)) = hop.await.outcome else {
                panic!("no body with a permit")
            };
            assert_eq!(body.bytes.len(), 3 << 20);
        }
        assert!(job.spent < Duration::from_millis(400), "{:?}", job.spent);
        assert_eq!(fetcher.large_bodies.available_permits(), 1);
    });
}

#[test]
fn many_large_bodies_pass_a_small_budget() {
    let server = Server::start(|_, stream| ok(stream, &vec![7; 2 << 20]));
    let urls: Vec<String> = (0..12).map(|i| server.url(&format!("/{i}"))).collect();
    let tight = FetchConfig { large_body_budget_bytes: 2 * DEFAULT_CAP, ..config() };
    assert!(
        fetch_all(tight, &urls).iter().all(|f| f.result.as_ref().is_ok_and(|b| b.bytes.len() == 2 << 20))
    );
}

const DEFAULT_CAP: u64 = config::DEFAULT_MAX_BYTES;

#[test]
fn a_slow_consumer_is_not_a_slow_server() {
    let server = Server::start(|_, stream| ok(stream, &[7; 200_000]));
    let (requests, to_fetch) = bounded(64);
    let (results, fetched) = bounded(1);
    let hasty = FetchConfig { timeout_ms: 300, concurrency: 4, ..config() };
    let handle = start(hasty, to_fetch, results, Arc::default(), 2).unwrap();
    for ticket in 0..16 {
        requests.send(Request { ticket, url: server.url("/") }).unwrap();
    }
    drop(requests);
    thread::sleep(Duration::from_millis(700));
    let all: Vec<Fetched> = fetched.iter().collect();
    handle.join().unwrap();
    assert_eq!(all.len(), 16);
    assert!(all.iter().all(|f| f.result.is_ok()));
    assert!(server.num_asks() <= 16);
}

#[test]
fn cancel_ends_everything_at_once() {
    let server = Server::start(|_, stream| hang(stream));
    // The requests stay open, the results are never taken, and nothing is ever answered.
    let (requests, to_fetch) = bounded(64);
    let (results, fetched) = bounded(1);
    let patient = FetchConfig { timeout_ms: 3_600_000, per_host: 4, ..config() };
    let handle = start(patient, to_fetch, results, Arc::default(), 1).unwrap();
    for ticket in 0..16 {
        requests.send(Request { ticket, url: server.url("/") }).unwrap();
    }
    while server.num_asks() < 4 {
        thread::sleep(Duration::from_millis(5));
    }
    for ticket in 16..32 {
        requests.send(Request { ticket, url: "no URL".to_owned() }).unwrap();
    }
    handle.cancel();
    handle.join().unwrap();
    assert!(fetched.iter().all(|f| class(&f) == Some(FailureClass::BadUrl)));
}

#[test]
fn a_consumer_that_goes_away_ends_the_stage() {
    let server = Server::start(|_, stream| ok(stream, b"pixels"));
    let (requests, to_fetch) = bounded(64);
    let (results, fetched) = bounded(1);
    let handle = start(config(), to_fetch, results, Arc::default(), 2).unwrap();
    for ticket in 0..16 {
        requests.send(Request { ticket, url: server.url("/") }).unwrap();
    }
    fetched.recv().unwrap();
    drop(fetched);
    handle.join().unwrap();
}
