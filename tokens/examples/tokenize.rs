//! Captions from standard input, one a line, to rows of ids: `pairmill-train tokenize` without libtorch, for the bench
//! and the peers.
//!
//! ```text
//! cargo run --release -p pairmill-tokens --example tokenize -- [end-token|cut] [THREADS] < captions.txt
//! cargo run --release -p pairmill-tokens --example tokenize -- time [SECONDS] < captions.txt
//! ```
//!
//! `time` keeps the captions in memory and prints what one thread needs in CPU time: for the tables, for a caption the
//! first time round (a new encoder, each line once), and for a caption in the best of several later rounds.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "an example prints, and stops at the first surprise"
)]

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::{env, fs, process};

use pairmill_tokens::{CONTEXT_LENGTH, Encoder, Tokenizer, Truncation, lines::tokenize_lines};

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let tokenizer = Tokenizer::new().expect("the tables");
    if args.first().is_some_and(|a| a == "time") {
        return time(&tokenizer, args.get(1).map_or(2.0, |a| a.parse().expect("seconds")));
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

fn time(tokenizer: &Tokenizer, seconds: f64) {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).expect("UTF-8 captions");
    let captions: Vec<&str> = text.lines().collect();
    let new_tables = cpu_ns_of(seconds, || drop(std::hint::black_box(Tokenizer::new())));
    let first = cpu_ns_of(seconds, || round(&mut tokenizer.encoder(), &captions)) / captions.len() as f64;
    let mut encoder = tokenizer.encoder();
    let later = cpu_ns_of(seconds, || round(&mut encoder, &captions)) / captions.len() as f64;
    println!("start-up {:.0} us", new_tables / 1000.0);
    println!("first {first:.0} ns\nlater {later:.0} ns");
}

/// All captions once.
fn round(encoder: &mut Encoder, captions: &[&str]) {
    let mut row = [0; CONTEXT_LENGTH];
    for caption in captions {
        encoder.tokenize_into(caption, Truncation::EndToken, &mut row);
        std::hint::black_box(&row);
    }
}

/// CPU nanoseconds of one `work`, the best of four spans of `seconds` / 4: the kernel's clock moves by milliseconds.
fn cpu_ns_of(seconds: f64, mut work: impl FnMut()) -> f64 {
    let span = || {
        let (began, mut times) = (cpu_ns(), 0.0);
        loop {
            work();
            times += 1.0;
            let spent = cpu_ns() - began;
            if spent > seconds * 1e9 / 4.0 {
                return spent / times;
            }
        }
    };
    std::iter::repeat_with(span).take(4).fold(f64::INFINITY, f64::min)
}

/// CPU time of this thread so far, by Linux's scheduler.
fn cpu_ns() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}
