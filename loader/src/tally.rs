//! How many samples of a stretch of batches could not be used: what a run says at the end of an epoch, and where it stops
//! when they are too many.

use std::collections::BTreeMap;

use crate::skipped::SkippedSample;

/// Samples that were due and what became of them, since the tally was last taken.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// Samples that were due at their own positions.
    pub asked: u64,
    /// Of these, how many could not be used, by [`BadReason::name`](crate::BadReason::name).
    pub skipped: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub example: Option<SkippedSample>,
    /// Samples whose text was UTF-16 or Latin-1.
    pub recoded: u64,
}

impl Tally {
    /// Samples that could not be used.
    pub fn num_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Counts one position; `own` is why its own sample could not be used.
    pub(crate) fn count(&mut self, own: Option<&SkippedSample>, is_recoded: bool) {
        self.asked += 1;
        self.recoded += u64::from(is_recoded);
        if let Some(sample) = own {
            *self.skipped.entry(sample.reason.name()).or_default() += 1;
            self.example.get_or_insert_with(|| sample.clone());
        }
    }
}
