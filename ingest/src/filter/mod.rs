//! Which rows of a table become rows of the dataset: typed rules with a counter each, between the reader and the
//! cutting into shards.
//!
//! ```text
//! config   which rules are on, with which cut-offs; the columns they look at
//! column   cells of a batch as text or numbers
//! check    one rule: which of the rows that are left pass
//! address  a row's link → the picture's address (the functions are the sources')
//! predicate   the user's own rule, in SQL
//! subset   a seeded, nested sample, or a prefix
//! sieve    all rules in their order over a batch
//! rows     table → batches of kept rows; the first pass that a sample needs
//! shuffle  those rows in a seeded order, by way of files
//! funnel   rows in, rows dropped by each rule
//! ```
//!
//! A row is dropped by the first rule it fails and counted there alone, so rows in = rows kept + the sum over the
//! rules. Dropped rows are in no shard: the funnel is their account. What is kept is a pure function of the input
//! and the config, and the counters are the same in a resumed run, because a table is always read from its start.

pub mod address;
mod check;
mod column;
mod config;
mod distinct;
mod error;
mod funnel;
mod language;
mod predicate;
mod rows;
mod shuffle;
mod sieve;
pub mod subset;
#[cfg(test)]
mod tests;
mod words;

pub use column::Column;
pub use config::{FilterColumns, FilterConfig};
pub use error::FilterError;
pub use funnel::{Funnel, Rule};
pub use predicate::Cells;
pub use rows::{FilteredRows, looked_at, looked_at_by};
pub use shuffle::ShuffledRows;
pub use sieve::Sieve;
pub use subset::SubsetConfig;
