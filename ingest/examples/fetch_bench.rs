//! What one fetch costs: the fetch stage alone against a server in another process.
//!
//! ```text
//! cargo run --release -p pairmill-ingest --example fetch_bench -- [ROWS] [CONCURRENCY] [THREADS] [BYTES] [HOSTS]
//! ```
//!
//! Prints rows per second and CPU milliseconds per row of this process only (user and system, `/proc/self/stat`),
//! consumer included. The server is this same program started again; its CPU is not counted.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench prints, and stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs, io, thread};

use pairmill_ingest::fetch::{FetchConfig, FetchCounters, Request, start};

/// Rows under way at once, as the pipeline's window bounds them.
const WINDOW: usize = 4_096;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |i: usize, default: usize| args.get(i).map_or(default, |a| a.parse().expect("a number"));
    if args.first().is_some_and(|a| a == "serve") {
        return serve(number(1, 0));
    }
    let (rows, concurrency, threads) = (number(0, 20_000), number(1, 64), number(2, 1));
    let (bytes, hosts) = (number(3, 110_000), number(4, 1));
    let program = env::current_exe().expect("own path");
    let mut server = Command::new(program)
        .args(["serve", &bytes.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("server");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut port).expect("the server's port");

    let config = FetchConfig {
        concurrency,
        per_host: concurrency,
        allow_private_addresses: true,
        ..FetchConfig::default()
    };
    let counters = Arc::<FetchCounters>::default();
    let (requests, to_fetch) = crossbeam_channel::bounded(1_024);
    let (results, fetched) = crossbeam_channel::bounded(64);
    let (began, cpu_before) = (Instant::now(), cpu_ms());
    let handle = start(config, to_fetch, results, counters.clone(), threads).expect("fetch stage");
    let (open, close) = crossbeam_channel::bounded(WINDOW);
    let feeder = thread::spawn(move || {
        for ticket in 0..rows as u64 {
            let url = format!("http://127.0.0.{}:{}/{ticket}.jpg", 1 + ticket % hosts as u64, port.trim());
            open.send(()).expect("the window opens");
            requests.send(Request { ticket, url }).expect("the stage takes requests");
        }
    });
    let taken = fetched
        .iter()
        .inspect(|_| close.recv().expect("every row was let in"))
        .filter(|f| f.result.as_ref().is_ok_and(|b| b.bytes.len() == bytes))
        .count();
    feeder.join().expect("feeder");
    handle.join().expect("fetch stage");
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_ms() - cpu_before);
    server.kill().expect("server ends");
    server.wait().expect("server ends");
    println!(
        "{taken} of {rows} rows, {bytes} bytes, {hosts} hosts, concurrency {concurrency}, threads {threads}: \
         {:.0} rows/s, {:.3} CPU-ms/row, {:.0} rows/CPU-s, peak RSS {} MB",
        rows as f64 / seconds,
        cpu / rows as f64,
        rows as f64 * 1_000.0 / cpu,
        peak_rss_mb(),
    );
    println!("{:?}", counters.snapshot());
}

/// A server that costs as little as it can: one thread a connection, the reply made once.
fn serve(bytes: usize) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound").port());
    let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {bytes}\r\n\r\n")
        .into_bytes();
    reply.resize(reply.len() + bytes, 7);
    let reply = Arc::new(reply);
    for stream in listener.incoming().flatten() {
        let reply = reply.clone();
        thread::spawn(move || -> io::Result<()> {
            let mut asks = BufReader::new(stream.try_clone()?);
            let mut stream = stream;
            let mut line = String::new();
            while asks.read_line(&mut line)? > 0 {
                if line == "\r\n" {
                    stream.write_all(&reply)?;
                }
                line.clear();
            }
            Ok(())
        });
    }
}

/// User and system time of this process, all threads: fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms.
fn cpu_ms() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("pid (name) …").1;
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().expect("ticks")).sum();
    ticks * 10.0
}

fn peak_rss_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") / 1_024
}
