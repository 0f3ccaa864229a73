//! The loader over tars and Parquet made in code: one binary, a module per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod augment;
mod bad;
mod bucket;
mod captions;
mod exactly_once;
mod others;
mod parquet;
mod remote;
mod resume;
mod shards;
mod sources;
