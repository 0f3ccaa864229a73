//! Lengths of captions, counted exactly: how many captions have which length.

use std::collections::BTreeMap;

use serde::Serialize;

/// Lengths kept in a plain array; longer ones are rare.
const SHORT: usize = 1024;

/// How many captions have which length.
#[derive(Debug, Clone)]
pub struct Lengths {
    short: Vec<u64>,
    long: BTreeMap<u64, u64>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { short: vec![0; SHORT], long: BTreeMap::new() }
    }
}

/// Lengths in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthSummary {
    /// Arithmetic mean.
    pub mean: f64,
    /// The shortest.
    pub min: u64,
    /// A quarter is at most this long.
    pub p25: u64,
    /// Half.
    pub median: u64,
    /// Three quarters.
    pub p75: u64,
    /// 95 of 100.
    pub p95: u64,
    /// The longest.
    pub max: u64,
}

impl Lengths {
    /// Counts one caption.
    pub fn add(&mut self, length: usize) {
        match self.short.get_mut(length) {
            Some(num) => *num += 1,
            None => *self.long.entry(length as u64).or_insert(0) += 1,
        }
    }

    /// Adds another thread's.
    pub fn merge(&mut self, other: &Self) {
        self.short.iter_mut().zip(&other.short).for_each(|(a, b)| *a += b);
        for (length, num) in &other.long {
            *self.long.entry(*length).or_insert(0) += num;
        }
    }

    /// Lengths that occur, rising, and the captions that have them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let short = self.short.iter().enumerate().map(|(length, num)| (length as u64, *num));
        short.filter(|(_, num)| *num > 0).chain(self.long.iter().map(|(l, n)| (*l, *n)))
    }

    /// Captions longer than `length`.
    pub fn num_above(&self, length: u64) -> u64 {
        self.iter().filter(|(l, _)| *l > length).map(|(_, n)| n).sum()
    }

    /// In a few numbers; `None` without captions. The quantile q is the smallest length that a share q of the
    /// captions does not exceed.
    pub fn summary(&self) -> Option<LengthSummary> {
        let total: u64 = self.iter().map(|(_, n)| n).sum();
        let sum: u128 = self.iter().map(|(l, n)| u128::from(l) * u128::from(n)).sum();
        let quantile = |q: f64| {
            let wanted = (q * total as f64).ceil().max(1.0) as u64;
            let mut seen = 0;
            self.iter()
                .find(|(_, n)| {
                    seen += n;
                    seen >= wanted
                })
                .map(|(l, _)| l)
        };
        Some(LengthSummary {
            mean: sum as f64 / total as f64,
            min: self.iter().next()?.0,
            p25: quantile(0.25)?,
            median: quantile(0.5)?,
            p75: quantile(0.75)?,
            p95: quantile(0.95)?,
            max: self.iter().last()?.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_lengths_that_occur() {
        let (mut a, mut b) = (Lengths::default(), Lengths::default());
        (1..=10).for_each(|n| a.add(n));
        b.add(5000);
        a.merge(&b);
        let summary = a.summary().unwrap();
        assert_eq!((summary.min, summary.median, summary.p95, summary.max), (1, 6, 5000, 5000));
        assert!((summary.mean - 5055.0 / 11.0).abs() < 1e-12);
        assert_eq!((a.num_above(9), Lengths::default().summary()), (2, None));
    }
}
