//! Limits, turns, waits and breakers per host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::server::{Server, closed_address, ok, reply};
use super::*;

fn rows(server: &Server, n: usize) -> Vec<String> {
    (0..n).map(|i| server.url(&format!("/{i}"))).collect()
}

fn count(all: &[Fetched], wanted: Option<FailureClass>) -> usize {
    all.iter().filter(|f| class(f) == wanted).count()
}

/// Counts requests that are being answered.
#[derive(Clone, Default)]
struct Busy {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Busy {
    /// Takes a while. Over before the reply: the client may be faster than the server's thread.
    fn work(&self) {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

fn working(address: &str, busy: &Busy) -> Server {
    let busy = busy.clone();
    Server::start_at(address, move |_, stream| {
        busy.work();
        ok(stream, b"pixels")
    })
}

#[test]
fn a_host_is_asked_by_few_at_once() {
    let busy = Busy::default();
    let server = working("127.0.0.1:0", &busy);
    let all = fetch_all(FetchConfig { per_host: 3, ..config() }, &rows(&server, 30));
    assert_eq!(count(&all, None), 30);
    assert!((2..=3).contains(&busy.most()), "{}", busy.most());
}

#[test]
fn a_host_is_given_pauses_and_others_are_not_held_up() {
    let started = std::time::Instant::now();
    let slow = Server::start(|_, stream| ok(stream, b"pixels"));
    let all = fetch_all(FetchConfig { host_interval_ms: 30, ..config() }, &rows(&slow, 6));
    assert_eq!(count(&all, None), 6);
    // No upper bound: the machine may be busy. Six requests have five pauses between them.
    assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());
}

#[test]
fn redirects_count_for_the_host_they_lead_to() {
    let busy = Busy::default();
    let target = Arc::new(working("127.0.0.1:0", &busy));
    let hosts: Vec<Server> = (2..10)
        .map(|i| {
            let target = target.clone();
            Server::start_at(&format!("127.0.0.{i}:0"), move |ask, stream| {
                reply(stream, "302 Found", &[&format!("Location: {}", target.url(&ask.path))], b"")
            })
        })
        .collect();
    let urls: Vec<String> = hosts.iter().flat_map(|h| rows(h, 4)).collect();
    let all = fetch_all(FetchConfig { per_host: 2, ..config() }, &urls);
    assert_eq!(count(&all, None), 32);
    assert!(busy.most() <= 2, "{}", busy.most());
}

#[test]
fn all_hosts_together_keep_to_the_concurrency() {
    let busy = Busy::default();
    let hosts: Vec<Server> = (1..7).map(|i| working(&format!("127.0.0.{i}:0"), &busy)).collect();
    let urls: Vec<String> = hosts.iter().flat_map(|h| rows(h, 6)).collect();
    let all = fetch_all(FetchConfig { concurrency: 4, per_host: 3, ..config() }, &urls);
    assert_eq!(count(&all, None), 36);
    assert!(busy.most() <= 4, "{}", busy.most());
}

#[test]
fn a_stuck_host_does_not_hold_up_the_others() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let stuck = Server::start({
        let gate = gate.clone();
        move |_, stream| {
            let (open, changed) = &*gate;
            drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            ok(stream, b"late")
        }
    });
    let quick = Server::start_at("127.0.0.2:0", |_, stream| ok(stream, b"pixels"));
    let (requests, to_fetch) = bounded(8);
    let (results, fetched) = bounded(1);
    let patient = FetchConfig { timeout_ms: 600_000, concurrency: 8, per_host: 4, ..config() };
    let handle = start(patient, to_fetch, results, Arc::default(), 2).unwrap();
    let feeder = thread::spawn({
        let urls = [rows(&stuck, 500), rows(&quick, 500)].concat();
        move || {
            for (ticket, url) in urls.into_iter().enumerate() {
                requests.send(Request { ticket: ticket as u64, url }).unwrap();
            }
        }
    });
    // All of the quick host come before any of the stuck one is let go.
    for _ in 0..500 {
        assert!(fetched.recv().unwrap().ticket >= 500);
    }
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert_eq!(fetched.iter().filter(|f| f.ticket < 500 && f.result.is_ok()).count(), 500);
    feeder.join().unwrap();
    handle.join().unwrap();
}

#[test]
fn hosts_take_turns() {
    let many = working("127.0.0.1:0", &Busy::default());
    let few = working("127.0.0.2:0", &Busy::default());
    let urls = [rows(&many, 60), rows(&few, 4)].concat();
    let all = fetch_in_order(FetchConfig { concurrency: 2, per_host: 2, ..config() }, &urls);
    let last_of_few = all.iter().rposition(|f| f.ticket >= 60).unwrap();
    assert!(last_of_few < 40, "the short queue ended at {last_of_few}");
}

#[test]
fn connections_are_reused() {
    let server = Server::start(|ask, stream| {
        // Errors leave the connection usable as well.
        if ask.path.ends_with('3') {
            reply(stream, "404 Not Found", &[], b"none")
        } else {
            ok(stream, b"pixels")
        }
    });
    fetch_all(FetchConfig { per_host: 1, ..config() }, &rows(&server, 40));
    // Not exactly one: the next row may come before the client's connection task has put the last one's back.
    let connections = server.seen.connections.load(Ordering::SeqCst);
    assert!(connections < 20, "{connections}");
}

#[test]
fn a_kept_connection_closed_under_us_costs_no_row() {
    // Keeps the connection by its word, closes it without one after each answer.
    let server = Server::start(|_, stream| ok(stream, b"pixels").map(|_| false));
    let all = fetch_all(FetchConfig { per_host: 1, ..config() }, &rows(&server, 40));
    assert_eq!(count(&all, None), 40);
    assert!(all.iter().all(|f| f.attempts == 1));
}

/// Answers each path with `statuses` in turn, then 200.
fn failing_first(statuses: &'static [&'static str], headers: &'static [&'static str]) -> Server {
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    Server::start(move |ask, stream| {
        let mut seen = seen.lock().unwrap();
        let before = seen.entry(ask.path.clone()).or_default();
        *before += 1;
        match statuses.get(*before - 1) {
            Some(status) => reply(stream, status, headers, b"not now"),
            None => ok(stream, b"pixels"),
        }
    })
}

#[test]
fn transient_failures_are_retried_and_lasting_ones_not() {
    let shaky = failing_first(&["500 Oops", "429 Slow Down"], &[]);
    let retrying = |retries| FetchConfig { retries, ..config() };
    let row = fetch_one(retrying(2), shaky.url("/a"));
    assert_eq!((message(&row), row.attempts), ("success", 3));
    let row = fetch_one(retrying(1), shaky.url("/b"));
    assert_eq!((class(&row), row.attempts), (Some(FailureClass::Http429), 2));
    let row = fetch_one(retrying(0), shaky.url("/c"));
    assert_eq!((class(&row), row.attempts), (Some(FailureClass::Http5xx), 1));

    let missing = Server::start(|_, stream| reply(stream, "404 Not Found", &[], b""));
    let row = fetch_one(retrying(5), missing.url("/"));
    assert_eq!((class(&row), row.attempts, missing.num_asks()), (Some(FailureClass::Http4xx), 1, 1));
    let nobody = closed_address();
    let row = fetch_one(retrying(2), format!("http://{nobody}/"));
    assert_eq!((class(&row), row.attempts), (Some(FailureClass::Connect), 3));
}

#[test]
fn a_retry_begins_at_the_rows_own_url() {
    let server = failing_first(&["503 Busy"], &[]);
    let front = Server::start_at("127.0.0.2:0", {
        let target = server.url("/image");
        move |_, stream| reply(stream, "302 Found", &[&format!("Location: {target}")], b"")
    });
    let row = fetch_one(FetchConfig { retries: 1, ..config() }, front.url("/"));
    assert_eq!((message(&row), row.attempts, front.num_asks()), ("success", 2, 2));
    assert_eq!(row.final_url, Some(server.url("/image")));
}

#[test]
fn retry_after_pauses_the_whole_host() {
    let first = AtomicUsize::new(0);
    let server = Server::start(move |_, stream| match first.fetch_add(1, Ordering::SeqCst) {
        0 => reply(stream, "429 Slow Down", &["Retry-After: 1"], b""),
        _ => ok(stream, b"pixels"),
    });
    let all = fetch_all(FetchConfig { per_host: 1, retries: 1, ..config() }, &rows(&server, 5));
    assert_eq!(count(&all, None), 5);
    assert_eq!(all.iter().map(|f| f.attempts).sum::<u32>(), 6);
    let asks = server.asks();
    assert!(asks[1].at - asks[0].at >= Duration::from_millis(990), "{:?}", asks[1].at - asks[0].at);
}

#[test]
fn too_long_a_wait_is_not_waited() {
    let server = Server::start(|ask, stream| match ask.path.as_str() {
        "/0" => reply(stream, "429 Slow Down", &["Retry-After: 3600"], b""),
        _ => ok(stream, b"pixels"),
    });
    let all = fetch_all(FetchConfig { retries: 3, ..config() }, &rows(&server, 5));
    assert_eq!((class(&all[0]), all[0].attempts), (Some(FailureClass::Http429), 1));
    assert_eq!(count(&all, None), 4, "one such URL does not close the host");
}

#[test]
fn a_host_that_only_sends_away_is_left_alone() {
    let server = Server::start(|_, stream| reply(stream, "429 Slow Down", &["Retry-After: 3600"], b""));
    let breaker = BreakerConfig { failures: 4, ..BreakerConfig::default() };
    let all = fetch_all(FetchConfig { per_host: 1, breaker, ..config() }, &rows(&server, 50));
    assert_eq!(count(&all, Some(FailureClass::Http429)), 50);
    assert_eq!(server.num_asks(), 4);
}

#[test]
fn a_dead_host_ends_its_rows_quickly_and_alone() {
    let dead = closed_address();
    let alive = Server::start_at("127.0.0.2:0", |_, stream| ok(stream, b"pixels"));
    let breaker = BreakerConfig { failures: 3, open_ms: 100, patience_ms: 250 };
    let urls: Vec<String> = (0..100).map(|i| format!("http://{dead}/{i}")).chain(rows(&alive, 20)).collect();
    let all = fetch_all(FetchConfig { per_host: 1, breaker, ..config() }, &urls);
    assert!(all[100..].iter().all(|f| f.result.is_ok()));
    let (tried, spared): (Vec<_>, Vec<_>) =
        all[..100].iter().partition(|f| class(f) == Some(FailureClass::Connect));
    assert!((3..=10).contains(&tried.len()), "{} rows were tried", tried.len());
    for row in spared {
        assert_eq!((class(row), row.attempts), (Some(FailureClass::HostDown), 0));
        assert_eq!(message(row), "host is failing, not tried");
    }
}

#[test]
fn a_host_that_comes_back_is_asked_again() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_, stream| match asked.fetch_add(1, Ordering::SeqCst) {
        // Three open the breaker, one is the first probe.
        0..4 => Ok(false),
        _ => ok(stream, b"pixels"),
    });
    let breaker = BreakerConfig { failures: 3, open_ms: 100, patience_ms: 60_000 };
    let counters = Arc::default();
    let all = fetch_counted(FetchConfig { per_host: 1, breaker, ..config() }, &rows(&server, 20), &counters);
    assert_eq!((count(&all, Some(FailureClass::Connect)), count(&all, None)), (4, 16));
    assert_eq!(counters.snapshot().hosts_open, 0);
    let asks = server.asks();
    for probe in [3, 4] {
        assert!(asks[probe].at - asks[probe - 1].at >= Duration::from_millis(90));
    }
}

#[test]
fn answers_of_any_kind_keep_a_host_in() {
    let server = Server::start(|_, stream| reply(stream, "404 Not Found", &[], b""));
    let breaker = BreakerConfig { failures: 2, ..BreakerConfig::default() };
    let all = fetch_all(FetchConfig { breaker: breaker.clone(), ..config() }, &rows(&server, 60));
    assert_eq!(count(&all, Some(FailureClass::Http4xx)), 60);
    let busy = Server::start(|_, stream| reply(stream, "503 Busy", &[], b""));
    let all = fetch_all(FetchConfig { breaker, ..config() }, &rows(&busy, 60));
    assert_eq!(count(&all, Some(FailureClass::Http5xx)), 60);
}
