//! Exact counts of byte strings (words, n-grams, whole captions) in bounded memory.
//!
//! Each thread fills a [`Counter`] of its own. A counter that has no room left writes its entries to unnamed files,
//! one per range of hashes ([`Spill`]), and starts over; at the end every range is put together by itself
//! ([`Counted`]), so memory holds one range at a time and the counts are exact however large the vocabulary.

mod counted;
mod hash;
mod list;
mod spill;
mod table;

pub use counted::{Counted, OwnedEntry};
pub use list::{Entry, List};
pub use spill::{Spill, SpillError};
pub use table::Counter;

/// Ranges of hashes. With 5 million distinct words each holds 40,000.
pub const PARTITIONS: usize = 128;
/// Leading bits of the hash that name a partition.
const PARTITION_BITS: u32 = PARTITIONS.trailing_zeros();

#[cfg(test)]
mod tests;
