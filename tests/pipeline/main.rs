//! The miniature web through ingest to shards and back through readers, as library calls.

mod faults;
mod formats;
