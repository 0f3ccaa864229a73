//! `pairmill-train datasets` over datasets of the miniature web; the readers have their own tests (`datasets/tests`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

#[allow(dead_code, reason = "the readers' own tests use the rest")]
#[path = "../../../datasets/tests/it/bench.rs"]
mod bench;
mod command;
#[allow(dead_code, reason = "the readers' own tests use the rest")]
#[path = "../../../datasets/tests/it/server.rs"]
mod server;
