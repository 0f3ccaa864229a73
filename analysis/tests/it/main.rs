//! Tests of `pairmill-report` from outside: the paper's table, results made up here, the command line, the page in
//! a browser.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers outside test functions are test code too"
)]

mod browser;
mod captions;
mod cli;
mod contents;
mod hostile;
mod paper;
mod results;
mod snapshots;
