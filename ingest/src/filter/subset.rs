//! A subset of a source: a seeded sample, or the first rows.
//!
//! The sample is the rows with the smallest keyed hashes of (URL, caption). So it is uniform, does not depend on the
//! order of rows or files, and is nested: for one seed and one set of filters, the 0.5 M rows are among the 1 M rows,
//! and those among the 2.7 M. A first pass over the table finds the largest hash that is still in ([`Smallest`],
//! 16 bytes of memory for each row asked for); the second keeps what is not above it. Equal rows have equal hashes;
//! where only some of them fit, the first ones are taken.

use pairmill_shards::words::grouped;
use serde::{Deserialize, Serialize};

use super::funnel::Funnel;

/// How many rows, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubsetConfig {
    /// Rows drawn from those that pass the filters; all when absent or when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Of the draw.
    pub seed: u64,
    /// Only the first rows that pass the filters, in the order of the table, as the study did with its shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<u64>,
    /// Whether the rows come in a seeded order instead of that of the table; needs room for them on the output's disk.
    pub shuffle: bool,
}

impl SubsetConfig {
    /// Whether it leaves anything out.
    pub fn leaves_out(&self) -> bool {
        self.rows.is_some() || self.prefix.is_some()
    }

    /// What to tell where fewer rows passed than were asked for, so that all of them were taken.
    pub fn shortfall(&self, funnel: &Funnel) -> Option<String> {
        let (flag, wanted) = match (self.rows, self.prefix) {
            (Some(wanted), _) => ("--subset", wanted),
            (None, prefix) => ("--prefix", prefix?),
        };
        let kept = funnel.kept();
        (kept < wanted).then(|| {
            let (wanted, kept) = (grouped(wanted), grouped(kept));
            format!(
                "{flag} asks for {wanted} rows, but only {kept} are left after the filters: all were taken"
            )
        })
    }
}

/// The smallest of many places, in memory of twice their number.
#[derive(Debug)]
pub struct Smallest {
    wanted: usize,
    seen: u64,
    places: Vec<u64>,
}

impl Smallest {
    /// Keeps the `wanted` smallest.
    pub fn new(wanted: u64) -> Self {
        Self { wanted: usize::try_from(wanted).unwrap_or(usize::MAX), seen: 0, places: Vec::new() }
    }

    /// Takes the next place.
    pub fn push(&mut self, place: u64) {
        self.seen += 1;
        if self.wanted == 0 {
            return;
        }
        if self.places.len() == self.places.capacity() {
            // Doubling, but never beyond what is needed.
            let most = self.wanted.saturating_mul(2);
            self.places.reserve_exact(self.places.len().max(1_024).min(most - self.places.len()));
        }
        self.places.push(place);
        // Selecting is linear and happens once in as many rows: constant work a row.
        if self.places.len() >= self.wanted.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.places.len() > self.wanted {
            self.places.select_nth_unstable(self.wanted - 1);
            self.places.truncate(self.wanted);
        }
    }

    /// What the sample is; `None` when all rows are in it.
    pub fn threshold(mut self) -> Option<Threshold> {
        if self.wanted == 0 {
            return Some(Threshold { largest: 0, equals: 0 });
        }
        if self.seen <= self.wanted as u64 {
            return None;
        }
        self.cut();
        let largest = self.places.iter().copied().max().unwrap_or(0);
        let equals = self.places.iter().filter(|&&place| place == largest).count() as u64;
        Some(Threshold { largest, equals })
    }
}

/// Which places are in a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// The largest place in it.
    largest: u64,
    /// How many more rows of just that place are taken.
    equals: u64,
}

impl Threshold {
    /// Whether the next row, of `place`, is in.
    pub fn takes(&mut self, place: u64) -> bool {
        if place == self.largest && self.equals > 0 {
            self.equals -= 1;
            return true;
        }
        place < self.largest
    }
}
