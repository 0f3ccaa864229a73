//! The live numbers of a run. Stages only ever add to them, without locks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pairmill_shards::status::{Failure, FailureClass, Status};

use crate::fetch::{FetchCounters, FetchSnapshot};

/// Number of failure classes.
const NUM_CLASSES: usize = FailureClass::ALL.len();

/// Live numbers of a run.
#[derive(Debug, Default)]
pub struct Counters {
    fetch: Arc<FetchCounters>,
    rows_read: AtomicU64,
    rows_skipped: AtomicU64,
    decoded: AtomicU64,
    successes: AtomicU64,
    failures: [AtomicU64; NUM_CLASSES],
    shards: AtomicU64,
}

/// The numbers of a [`Counters`] at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Seconds since the run began.
    pub elapsed_s: f64,
    /// Rows of the input, where known.
    pub total_rows: Option<u64>,
    /// Rows of shards that were finished before.
    pub rows_skipped: u64,
    /// Rows read, without skipped ones.
    pub rows_read: u64,
    /// The fetcher's numbers.
    pub fetch: FetchSnapshot,
    /// Bodies that went through decode, resize and encode, well or not.
    pub decoded: u64,
    /// Rows whose image is kept.
    pub successes: u64,
    /// Rows that failed, by class; classes without a row are absent.
    pub failures: BTreeMap<FailureClass, u64>,
    /// Shards put in place.
    pub shards: u64,
}

impl Counters {
    /// The fetcher's own counters.
    pub fn fetch(&self) -> &Arc<FetchCounters> {
        &self.fetch
    }

    /// `rows` rows were read from the table.
    pub fn rows_read(&self, rows: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }

    /// `rows` rows belong to a shard that is finished already.
    pub fn rows_skipped(&self, rows: u64) {
        self.rows_skipped.fetch_add(rows, Ordering::Relaxed);
    }

    /// A body went through decode, resize and encode, well or not.
    pub fn row_decoded(&self) {
        self.decoded.fetch_add(1, Ordering::Relaxed);
    }

    /// A row has its outcome.
    pub fn row_done<T>(&self, result: &Result<T, Failure>) {
        let counter = match result {
            Ok(_) => &self.successes,
            Err(failure) => &self.failures[place(failure.class)],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A shard is in place.
    pub fn shard_committed(&self) {
        self.shards.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers now (each exact, not all from the same instant).
    pub fn snapshot(&self, elapsed_s: f64, total_rows: Option<u64>) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failures = FailureClass::ALL.iter().map(|&class| (class, load(&self.failures[place(class)])));
        Snapshot {
            elapsed_s,
            total_rows,
            failures: failures.filter(|(_, count)| *count > 0).collect(),
            successes: load(&self.successes),
            decoded: load(&self.decoded),
            fetch: self.fetch.snapshot(),
            rows_read: load(&self.rows_read),
            rows_skipped: load(&self.rows_skipped),
            shards: load(&self.shards),
        }
    }
}

/// Discriminants count up from 0 in the order of [`FailureClass::ALL`]; a test holds it.
fn place(class: FailureClass) -> usize {
    class as usize
}

impl Snapshot {
    /// Rows that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Rows that failed with a class of this status.
    pub fn failed_as(&self, status: Status) -> u64 {
        self.failures.iter().filter(|(class, _)| class.status() == status).map(|(_, count)| count).sum()
    }

    /// Rows that have their outcome.
    pub fn done(&self) -> u64 {
        self.successes + self.failed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_own_counter() {
        let counters = Counters::default();
        for (index, &class) in FailureClass::ALL.iter().enumerate() {
            for _ in 0..=index {
                counters.row_done::<()>(&Err(Failure::new(class, "")));
            }
        }
        counters.row_done(&Ok(()));
        let snapshot = counters.snapshot(1.0, None);
        let expected: Vec<_> =
            FailureClass::ALL.iter().zip(1..).map(|(&class, count)| (class, count)).collect();
        assert_eq!(snapshot.failures.clone().into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(snapshot.done(), snapshot.failed() + 1);
        assert_eq!(
            snapshot.failed(),
            snapshot.failed_as(Status::FailedToDownload) + snapshot.failed_as(Status::FailedToResize)
        );
    }
}
