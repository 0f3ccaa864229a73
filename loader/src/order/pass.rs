//! One pass over a source: its windows of shards, and the order of samples within each.

use super::Rng;
use crate::config::Order;

/// Keeps the streams of random numbers apart.
const SHARDS: u64 = 1;
const SAMPLES: u64 = 2;

/// The windows of one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    windows: Vec<Window>,
    num_samples: u64,
}

/// Shards that are open together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Number within the pass.
    pub number: u64,
    /// Position within the pass of its first sample.
    pub start: u64,
    /// Samples in all its shards.
    pub len: u64,
    /// Numbers of its shards; drawn with replacement, one may come twice.
    pub shards: Vec<u32>,
}

impl Pass {
    /// Pass number `pass` over a source whose shards hold `counts` samples. `source` is the source's number.
    /// With replacement, shards are drawn until as many samples are reached as there are.
    pub fn new(
        counts: &[u32],
        order: Order,
        seed: u64,
        source: u64,
        pass: u64,
        window_shards: usize,
    ) -> Self {
        let total: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        let mut rng = Rng::new(&[seed, SHARDS, source, pass]);
        let mut sequence: Vec<u32> = (0..counts.len() as u32).filter(|i| counts[*i as usize] > 0).collect();
        match order {
            Order::Sequential => {}
            Order::Shuffle => rng.shuffle(&mut sequence),
            Order::WithReplacement => {
                let (mut drawn, mut samples) = (Vec::with_capacity(sequence.len()), 0);
                while samples < total {
                    let shard = sequence[rng.below(sequence.len() as u64) as usize];
                    samples += u64::from(counts[shard as usize]);
                    drawn.push(shard);
                }
                sequence = drawn;
            }
        }
        let mut windows = Vec::with_capacity(sequence.len().div_ceil(window_shards.max(1)));
        let mut start = 0;
        for (number, shards) in sequence.chunks(window_shards.max(1)).enumerate() {
            let len = shards.iter().map(|i| u64::from(counts[*i as usize])).sum();
            windows.push(Window { number: number as u64, start, len, shards: shards.to_vec() });
            start += len;
        }
        Self { windows, num_samples: total }
    }

    /// Samples of the pass: as many as the source has.
    pub fn num_samples(&self) -> u64 {
        self.num_samples
    }

    /// The windows in order.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The window that position `at` lies in.
    pub fn window_at(&self, at: u64) -> Option<&Window> {
        let after = self.windows.partition_point(|window| window.start <= at);
        self.windows.get(after.checked_sub(1)?).filter(|window| at < window.start + window.len)
    }
}

/// The order of a window's samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOrder {
    /// First sample of each shard, counted through the window.
    starts: Vec<u64>,
    /// What stands where; without one, the samples stand as they are.
    permutation: Option<Vec<u32>>,
    len: u64,
}

impl WindowOrder {
    /// The order within `window` of pass `pass`.
    pub fn new(window: &Window, counts: &[u32], order: Order, seed: u64, source: u64, pass: u64) -> Self {
        let mut starts = Vec::with_capacity(window.shards.len());
        let mut len = 0;
        for shard in &window.shards {
            starts.push(len);
            len += u64::from(counts[*shard as usize]);
        }
        let permutation = match order {
            Order::Sequential => None,
            Order::Shuffle | Order::WithReplacement => {
                let mut permutation: Vec<u32> = (0..u32::try_from(len).unwrap_or(u32::MAX)).collect();
                Rng::new(&[seed, SAMPLES, source, pass, window.number]).shuffle(&mut permutation);
                Some(permutation)
            }
        };
        Self { starts, permutation, len }
    }

    /// Samples of the window.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What stands at position `at` of the window: which of the window's shards, and which sample of it.
    pub fn sample(&self, at: u64) -> Option<(usize, u32)> {
        let number = match &self.permutation {
            Some(permutation) => u64::from(*permutation.get(usize::try_from(at).ok()?)?),
            None => Some(at).filter(|at| *at < self.len)?,
        };
        // The last shard that starts at or before it; empty ones start where the next does.
        let shard = self.starts.partition_point(|start| *start <= number).checked_sub(1)?;
        Some((shard, u32::try_from(number - self.starts[shard]).ok()?))
    }
}
