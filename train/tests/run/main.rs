//! `pairmill-train` as a user runs it: the binary on small shards of the miniature web, on the CPU.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

mod agreement;
mod bad_input;
mod evaluate;
mod harness;
mod kept;
mod ranks;
mod resume;
mod tokenize;
mod trust;
mod unusable;
