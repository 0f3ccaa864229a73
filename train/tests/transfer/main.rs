//! `pairmill-train transfer` and `sweep` as a user meets them: real folders of pictures, killed processes, bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests may fail"
)]

mod as_published;
mod bad_input;
mod content;
mod grid;
mod harness;
mod real_folder;
mod reports;
mod zero_shot;
