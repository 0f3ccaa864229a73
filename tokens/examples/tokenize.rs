//! Captions from standard input, one a line, to rows of ids: `pairmill-train tokenize` without libtorch, for the bench
//! and the peers.
//!
//! ```text
//! cargo run --release -p pairmill-tokens --example tokenize -- [end-token|cut] [THREADS] < captions.txt
//! cargo run --release -p pairmill-tokens --example tokenize -- time [SECONDS] < captions.txt
//! ```
//!
//! `time` keeps the captions in memory and prints the CPU nanoseconds a caption on one thread: cold (each line once by a
//! new encoder), and the best of several warm passes.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "an example prints, and stops at the first surprise"
)]

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::{env, fs, process};

use pairmill_tokens::{CONTEXT_LENGTH, Encoder, Tokenizer, Truncation, lines::tokenize_lines};

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let began = cpu_ns();
    let tokenizer = Tokenizer::new().expect("the tables");
    if args.first().is_some_and(|a| a == "time") {
        return time(&tokenizer, cpu_ns() - began, args.get(1).map_or(2.0, |a| a.parse().expect("seconds")));
    }
    let truncation = args.first().map_or(Ok(Truncation::EndToken), |a| a.parse()).expect("end-token or cut");
    let threads = args.get(1).map_or(NonZeroUsize::MIN, |a| a.parse().expect("a number of threads"));
    let output = io::BufWriter::new(io::stdout());
    match tokenize_lines(io::stdin().lock(), output, &tokenizer, truncation, threads) {
        Ok(counts) => eprintln!("{counts:?}"),
        Err(error) => {
            eprintln!("{error}");
            process::exit(2);
        }
    }
}

fn time(tokenizer: &Tokenizer, start_up_ns: u64, seconds: f64) {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).expect("UTF-8 captions");
    let captions: Vec<&str> = text.lines().collect();
    let mut encoder = tokenizer.encoder();
    let cold = pass(&mut encoder, &captions);
    let (mut warm, mut spent) = (cold, 0.0);
    while spent < seconds * 1e9 {
        let ns = pass(&mut encoder, &captions);
        (warm, spent) = (warm.min(ns), spent + ns);
    }
    let each = |ns: f64| ns / captions.len() as f64;
    let mut out = io::stdout();
    writeln!(out, "start-up {} us", start_up_ns / 1000).expect("stdout");
    writeln!(out, "cold {:.0} ns\nwarm {:.0} ns", each(cold), each(warm)).expect("stdout");
}

/// CPU nanoseconds of all captions once.
fn pass(encoder: &mut Encoder, captions: &[&str]) -> f64 {
    let mut row = [0; CONTEXT_LENGTH];
    let began = cpu_ns();
    for caption in captions {
        encoder.tokenize_into(caption, Truncation::EndToken, &mut row);
        std::hint::black_box(&row);
    }
    (cpu_ns() - began) as f64
}

/// CPU time of this thread, from Linux's scheduler.
fn cpu_ns() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}
