//! The contract: everything on disk that crosses a stage boundary.
//!
//! `ingest` writes what this crate describes; `train` and `analysis` read it; neither sees the other.
//! The bytes are specified in `shards/FORMAT.md`. Nothing here logs or prints, and only `storage` does network I/O.
//!
#![doc = include_str!("../README.md")]

pub mod account;
pub mod atomic;
#[cfg(feature = "cli")]
pub mod cli;
pub mod draw;
pub mod folder;
pub mod funnel;
pub mod guard;
pub mod hostile;
pub mod index;
pub mod json;
pub mod key;
mod leftover;
pub mod lookalike;
pub mod markup;
pub mod outcomes;
pub mod parquet_file;
pub mod printable;
pub mod random;
pub mod results;
pub mod rewrite;
pub mod sample;
pub mod spec;
pub mod stamp;
pub mod stats;
pub mod status;
#[cfg(feature = "storage")]
pub mod storage;
pub mod table;
pub mod tar;
pub mod words;

/// Version of the format this crate writes (FORMAT.md, version table). Readers also take img2dataset's files, which
/// carry none.
pub const FORMAT_VERSION: u32 = 1;
