//! Rows of a table to training shards: the main job, as a library. `run::run` is all of it; the binary only parses
//! arguments and prints. ARCHITECTURE.md draws the flow.

pub mod fetch;
pub mod source;
