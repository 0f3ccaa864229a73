//! What the trainer gets.

use crate::skipped::SkippedSample;

/// What a slot of a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The sample that stands at this position.
    Own,
    /// Another one in place of a bad one.
    Substitute,
    /// Nothing: zeros. The samples have run out, or the one here was bad and is left out.
    Empty,
}

/// One sample of a batch, or an empty place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// What it holds.
    pub origin: Origin,
    /// Number of the source.
    pub source: u32,
    /// Number of the shard in its source.
    pub shard: u32,
    /// Number of the sample in its shard.
    pub sample: u32,
    /// The sample's key; empty in an empty slot.
    pub key: String,
}

/// One batch of this rank.
#[derive(Debug)]
pub struct Batch<B> {
    /// Pixels, uint8, `[batch_size, side, side, 3]`. Hand it back with [`Loader::recycle`](crate::Loader::recycle).
    pub images: B,
    /// Token ids, `[batch_size, context_length]`.
    pub tokens: Vec<i32>,
    /// Class numbers, `[batch_size]`; -1 in empty slots. Empty where no label is asked for.
    pub labels: Vec<i64>,
    /// Where each sample came from, `[batch_size]`.
    pub slots: Vec<Slot>,
    /// Bad samples that were met while this batch was filled.
    pub skipped: Vec<SkippedSample>,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Global position within the epoch of the first sample of this step, over all ranks.
    pub position: u64,
}

impl<B> Batch<B> {
    /// Slots that are not empty.
    pub fn count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.origin != Origin::Empty).count()
    }
}
