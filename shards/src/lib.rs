//! The contract: everything on disk that crosses a stage boundary.
//!
//! `ingest` writes what this crate describes; `train` and `analysis` read it; neither sees the other.
//! The bytes are specified in `shards/FORMAT.md`. Nothing here does network I/O, logs or prints.

pub mod key;
pub mod status;
