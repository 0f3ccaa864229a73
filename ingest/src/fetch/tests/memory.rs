//! Large bodies: the memory they hold together, waiting for it, and that nobody else waits for them.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::server::{Server, ok};
use super::*;
use crate::fetch::memory::{BodyMemory, FREE_BYTES, Held};

const MIB: usize = 1 << 20;

fn urls(server: &Server, n: usize) -> Vec<String> {
    (0..n).map(|i| server.url(&format!("/{i}"))).collect()
}

/// Lets nobody through before `wanted` have come.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    fn pass(&self, wanted: usize) {
        let (come, changed) = &*self.0;
        let mut come = come.lock().unwrap();
        *come += 1;
        changed.notify_all();
        drop(changed.wait_while(come, |come| *come < wanted).unwrap());
    }
}

/// Sends the head and most of a body, then waits at the gate, then sends the rest.
fn in_halves(stream: &mut TcpStream, size: usize, gate: &Gate, wanted: usize) -> io::Result<bool> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")?;
    stream.write_all(&vec![7; size - 1_000])?;
    gate.pass(wanted);
    stream.write_all(&[7; 1_000])?;
    Ok(true)
}

#[test]
fn f06_large_bodies_are_in_flight_by_the_bytes_they_hold() {
    // 40 bodies of 1.5 MiB hold 60 MiB; the byte cap is 64 MiB, and only two such would fit the budget. Each server
    // waits until all 40 have sent nearly everything, so with fewer in flight this would never end.
    let gate = Gate::default();
    let server = Server::start(move |_, stream| in_halves(stream, 3 * MIB / 2, &gate, 40));
    let all = fetch_all(FetchConfig { per_host: 64, timeout_ms: 60_000, ..config() }, &urls(&server, 40));
    assert!(all.iter().all(|f| f.result.as_ref().is_ok_and(|body| body.bytes.len() == 3 * MIB / 2)));
    assert_eq!(server.num_asks(), 40);
}

#[test]
fn f06_bodies_that_each_hold_a_part_and_want_more_all_end() {
    // Together they want many times the budget, and none can have all it wants at once.
    let server = Server::start(|_, stream| ok(stream, &vec![7; 2 * MIB]));
    for budget in [0, 300_000, 2 * MIB as u64] {
        let tight = FetchConfig {
            per_host: 24,
            concurrency: 24,
            large_body_budget_bytes: budget,
            timeout_ms: 30_000,
            ..config()
        };
        let all = fetch_all(tight, &urls(&server, 24));
        assert!(
            all.iter().all(|f| f.result.as_ref().is_ok_and(|body| body.bytes.len() == 2 * MIB)),
            "{budget}"
        );
        assert!(all.iter().all(|f| f.attempts == 1), "a body that was put off is no further attempt");
    }
}

#[test]
fn f06_bodies_without_memory_hold_up_no_other_row() {
    // One body holds all memory there is and does not end before every small row is through; seven more are as
    // large. With eight slots for all, those that wait must not hold them.
    let small_rows = 40;
    let gate = Gate::default();
    let large = Server::start({
        let gate = gate.clone();
        move |_, stream| in_halves(stream, 2 * MIB, &gate, small_rows + 1)
    });
    let served = Arc::new(AtomicUsize::new(0));
    let small = Server::start_at("127.0.0.2:0", {
        let served = served.clone();
        move |_, stream| {
            let sent = ok(stream, b"pixels");
            if served.fetch_add(1, Ordering::SeqCst) < small_rows {
                let (come, changed) = &*gate.0;
                *come.lock().unwrap() += 1;
                changed.notify_all();
            }
            sent
        }
    });
    let config = FetchConfig {
        concurrency: 8,
        per_host: 8,
        large_body_budget_bytes: 0,
        timeout_ms: 60_000,
        ..config()
    };
    let (requests, to_fetch) = bounded(64);
    let (results, fetched) = bounded(64);
    let handle = start(config, to_fetch, results, Arc::default(), 2).unwrap();
    for (ticket, url) in urls(&large, 8).into_iter().enumerate() {
        requests.send(Request { ticket: ticket as u64, url }).unwrap();
    }
    while large.num_asks() < 8 {
        thread::sleep(Duration::from_millis(5));
    }
    for (ticket, url) in urls(&small, small_rows).into_iter().enumerate() {
        requests.send(Request { ticket: 100 + ticket as u64, url }).unwrap();
    }
    drop(requests);
    let all: Vec<Fetched> = fetched.iter().collect();
    handle.join().unwrap();
    assert_eq!(all.iter().filter(|f| f.result.is_ok()).count(), 8 + small_rows);
    let first_large = all.iter().position(|f| f.ticket < 100).unwrap();
    assert!(first_large >= small_rows / 2, "small rows went on while large bodies waited: {first_large}");
}

#[test]
fn f06_waiting_for_memory_is_no_fault_of_the_server() {
    // Longer waits than the deadline and the window of the minimum speed.
    let server = Server::start(|_, stream| ok(stream, &vec![7; MIB]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = FetchConfig {
        timeout_ms: 400,
        grace_ms: 100,
        min_bytes_per_s: 10_000,
        large_body_budget_bytes: 0,
        ..config()
    };
    let sockets = OpenFiles::raise().share(0, 8).sockets;
    runtime.block_on(async {
        let mut fetcher = build_fetcher(&config, sockets, Arc::default()).unwrap();
        fetcher.limits.longest_wait = Duration::from_secs(60);
        let mut other = Held::nothing(&fetcher.memory);
        assert!(other.try_grow(1), "the finisher");
        let mut job = job::Job::new(&Request { ticket: 0, url: server.url("/") }, false).unwrap();
        let facts = attempt::HostFacts { keep: false, has_answered: Arc::default() };
        let mut hop = std::pin::pin!(fetcher.run_hop(&mut job, facts));
        let waits = tokio::time::timeout(Duration::from_millis(800), hop.as_mut()).await;
        assert!(waits.is_err() && fetcher.memory.without_slot() == 1, "waits, and not at a slot");
        drop(other);
        let attempt::Outcome::Body(body, _held) = hop.await.outcome else { panic!("no body") };
        assert_eq!((body.bytes.len(), fetcher.memory.without_slot()), (MIB, 0));
    });
}

#[test]
fn f06_a_body_waits_no_longer_than_it_may_and_gives_back_what_it_holds() {
    let memory = Arc::new(BodyMemory::new(100, 4));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut first = Held::nothing(&memory);
        assert!(first.try_grow(80), "of the budget");
        let mut second = Held::nothing(&memory);
        assert!(second.try_grow(50), "the finisher, beyond the budget");
        let mut third = Held::nothing(&memory);
        assert!(third.try_grow(20) && !third.try_grow(1));
        assert!(!third.wait_to_grow(50, Duration::from_millis(20)).await, "nothing comes");
        assert_eq!(memory.available(), 0);
        drop(third);
        assert_eq!(memory.available(), 20, "who stopped waiting is in nobody's way");

        // Those who wait are served in order, and one of them is the finisher once there is none.
        let waits = |bytes: u64| {
            let memory = memory.clone();
            tokio::spawn(async move {
                let mut held = Held::nothing(&memory);
                held.wait_to_grow(bytes, Duration::from_secs(60)).await.then_some(held)
            })
        };
        let (large, small) = (waits(500), waits(10));
        while memory.available() > 0 {
            tokio::task::yield_now().await;
        }
        drop(second);
        let large = large.await.unwrap().expect("the new finisher");
        let small = small.await.unwrap().expect("of the budget");
        drop((first, large, small));
        assert_eq!(memory.available(), u64::MAX, "all given back");
    });
}

#[test]
fn f06_bodies_up_to_the_free_size_need_no_memory_of_the_budget() {
    let server = Server::start(|_, stream| ok(stream, &vec![7; FREE_BYTES]));
    let none = FetchConfig { large_body_budget_bytes: 0, per_host: 8, ..config() };
    let all = fetch_all(none, &urls(&server, 16));
    assert!(all.iter().all(|f| f.result.is_ok()));
}
