//! The miniature web through ingest to shards and back through readers, as library calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

mod faults;
mod formats;
mod imagenet;
mod panics;
mod recipes;
mod shared;
mod tokens;
