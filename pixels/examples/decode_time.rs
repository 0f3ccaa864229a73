//! What decoding a file costs, or refusing it: CPU milliseconds for each file that is named, any format.
//!
//! ```text
//! cargo run --release -p pairmill-pixels --example decode_time -- ROUNDS FILE…
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measuring tool for developers"
)]

use pairmill_pixels::{Limits, decode_rgb};

/// CPU seconds of this process, user and system, from /proc/self/stat (in hundredths).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this example needs /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rounds: u32 = args.next().and_then(|n| n.parse().ok()).expect("ROUNDS is a number");
    for path in args {
        let bytes = std::fs::read(&path).expect("readable file");
        let start = cpu_s();
        let mut said = String::new();
        for _ in 0..rounds {
            said = match decode_rgb(&bytes, &Limits::default()) {
                Ok(picture) => format!("{} × {}", picture.width, picture.height),
                Err(error) => error.to_string(),
            };
        }
        let each_ms = (cpu_s() - start) * 1e3 / f64::from(rounds);
        println!("{each_ms:>9.1} ms  {:>6.1} MB  {path}: {said}", bytes.len() as f64 / 1e6);
    }
}
