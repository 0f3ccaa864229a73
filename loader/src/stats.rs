//! What a loader has done so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A snapshot; all of it since the loader started.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct LoaderStats {
    /// Batches delivered.
    pub batches: u64,
    /// Samples delivered, substitutes included, empty slots not.
    pub samples: u64,
    /// Bad samples met, by [`BadReason::name`](crate::BadReason::name). One that was tried as a substitute counts again;
    /// [`Tally`](crate::Tally) counts each once.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Seconds the caller has waited in `next`.
    pub waited_s: f64,
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// Seconds that the workers together were busy.
    pub busy_s: f64,
    /// Of these, seconds in the image decoder and resizer.
    pub decode_s: f64,
    /// Bytes of the samples read.
    pub read_bytes: u64,
    /// Samples finished and not delivered yet.
    pub ready_samples: usize,
    /// Samples that wait for a worker.
    pub waiting_samples: usize,
    /// Worker threads.
    pub threads: usize,
}

impl LoaderStats {
    /// Samples delivered per second.
    pub fn samples_per_s(&self) -> f64 {
        self.samples as f64 / self.elapsed_s.max(1e-9)
    }

    /// Megabytes (10⁶) read per second.
    pub fn mb_per_s(&self) -> f64 {
        self.read_bytes as f64 / 1e6 / self.elapsed_s.max(1e-9)
    }

    /// Share of the time that the caller waited, 0–1.
    pub fn wait_share(&self) -> f64 {
        self.waited_s / self.elapsed_s.max(1e-9)
    }
}

/// What the workers count.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    busy_ns: AtomicU64,
    decode_ns: AtomicU64,
    read_bytes: AtomicU64,
}

impl Counters {
    pub fn add(&self, busy: Duration, decode: Duration, read_bytes: u64) {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(ns(busy), Ordering::Relaxed);
        self.decode_ns.fetch_add(ns(decode), Ordering::Relaxed);
        self.read_bytes.fetch_add(read_bytes, Ordering::Relaxed);
    }

    pub fn fill(&self, stats: &mut LoaderStats) {
        stats.busy_s = self.busy_ns.load(Ordering::Relaxed) as f64 / 1e9;
        stats.decode_s = self.decode_ns.load(Ordering::Relaxed) as f64 / 1e9;
        stats.read_bytes = self.read_bytes.load(Ordering::Relaxed);
    }
}
