//! The `pairmill-ingest` command as its users meet it: started as a process against the miniature web, killed,
//! starved of disk, given nonsense. What a row becomes is tested in `tests/pipeline`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

mod bad_input;
mod bucket;
mod disk;
mod files;
mod harness;
mod identity;
mod img2dataset;
mod kill;
mod numbers;
mod outside;
mod retry;
mod secrets;
mod source;
mod web_table;
