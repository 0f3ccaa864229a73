//! The readers of single sources on the releases that the miniature web writes: exact rows and exact counts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers outside test functions are test code too")]

mod imagenet;
mod sources;
mod written;
mod yfcc;
