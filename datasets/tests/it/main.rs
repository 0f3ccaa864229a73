//! Labelled datasets as they are handed out, small and with their quirks (`pairmill-world`), through the readers: counts,
//! labels, names, pictures, and what is said of damaged ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "helpers of tests may fail"
)]

mod bad_input;
mod bench;
mod draws;
mod fetch;
mod hostile;
mod own_sets;
mod readers;
mod real_size;
mod server;
