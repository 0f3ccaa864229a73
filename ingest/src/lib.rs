//! Rows of a table to training shards: the main job, as a library. `run::run` is all of it; the binary only parses
//! arguments and prints.
//!
#![doc = include_str!("../README.md")]

mod address;
pub mod args;
pub mod card;
pub mod config;
pub mod error;
pub mod fetch;
pub mod filter;
pub mod identity;
pub mod imagenet;
pub mod img2dataset;
pub mod input;
pub mod metrics;
pub mod output;
pub mod pipeline;
pub mod progress;
mod ranges;
pub mod retry;
pub mod run;
mod small_file;
pub mod source;
pub mod spelling;
pub mod table;
pub mod yfcc;
