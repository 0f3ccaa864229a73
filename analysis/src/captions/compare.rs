//! Sources against each other, by their words. Partitions of the counts hold the same words in every source, so
//! memory holds one partition of each at a time.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use super::count::{Counted, PARTITIONS, SpillError};
use super::result::{Distinctive, DistinctiveWord, Overlap};

/// Weight of the prior in words: so many words of all sources together are put into each side. Monroe, Colaresi and
/// Quinn call it α₀; the larger, the less a rare word can say.
pub const PRIOR_WORDS: f64 = 10_000.0;
/// Words of each source whose overlap is given besides that of all.
pub const TOP_WORDS: usize = 1000;

/// Two sources, while words go by.
#[derive(Debug, Clone, Default)]
struct Pair {
    num_both: u64,
    num_either: u64,
    divergence: f64,
}

/// A word in a heap whose top is the least distinctive.
#[derive(Debug, PartialEq)]
struct Ranked(DistinctiveWord);

impl Eq for Ranked {}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.z.total_cmp(&self.0.z).then_with(|| self.0.word.cmp(&other.0.word))
    }
}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares sources by name and counts; `num_distinctive` words are kept of each.
///
/// # Errors
/// When a temporary file fails.
pub fn compare(
    sources: &[(&str, &Counted)],
    num_distinctive: usize,
) -> Result<(Vec<Distinctive>, Vec<Overlap>), SpillError> {
    let totals: Vec<f64> = sources.iter().map(|(_, counted)| counted.num_total as f64).collect();
    let pairs: Vec<(usize, usize)> =
        (0..sources.len()).flat_map(|a| (a + 1..sources.len()).map(move |b| (a, b))).collect();
    let mut sums = vec![Pair::default(); pairs.len()];
    let mut heaps: Vec<BinaryHeap<Ranked>> = sources.iter().map(|_| BinaryHeap::new()).collect();
    for number in 0..PARTITIONS {
        each_word(sources, number, |word, counts| {
            for (&(a, b), pair) in pairs.iter().zip(&mut sums) {
                pair.add((counts[a], counts[b]), (totals[a], totals[b]));
            }
            for (source, heap) in heaps.iter_mut().enumerate().filter(|(s, _)| counts[*s] > 0) {
                let (log_odds, z) = log_odds(counts, &totals, source);
                let least = heap.peek().map_or(f64::NEG_INFINITY, |r| r.0.z);
                if z <= 0.0 || (heap.len() >= num_distinctive && z < least) {
                    continue;
                }
                let count = counts[source];
                let count_elsewhere = counts.iter().sum::<u64>() - count;
                heap.push(Ranked(DistinctiveWord {
                    word: word.to_owned(),
                    count,
                    count_elsewhere,
                    log_odds,
                    z,
                }));
                if heap.len() > num_distinctive {
                    heap.pop();
                }
            }
        })?;
    }
    let distinctive = sources
        .iter()
        .zip(heaps)
        .map(|((name, _), heap)| Distinctive {
            source: (*name).to_owned(),
            words: heap.into_sorted_vec().into_iter().map(|r| r.0).collect(),
        })
        .collect();
    let mut tops: Vec<HashSet<String>> = Vec::new();
    for (_, counted) in sources {
        tops.push(counted.top(TOP_WORDS)?.into_iter().map(|e| e.word).collect());
    }
    let overlaps = pairs
        .iter()
        .zip(sums)
        .map(|(&(a, b), pair)| {
            let both = tops[a].intersection(&tops[b]).count();
            let either = tops[a].len() + tops[b].len() - both;
            Overlap {
                a: sources[a].0.to_owned(),
                b: sources[b].0.to_owned(),
                jaccard: pair.num_both as f64 / pair.num_either.max(1) as f64,
                jaccard_top: both as f64 / either.max(1) as f64,
                num_top: TOP_WORDS,
                js_distance: pair.divergence.clamp(0.0, 1.0).sqrt(),
            }
        })
        .collect();
    Ok((distinctive, overlaps))
}

/// Gives every word of a partition with its count in each source.
fn each_word(
    sources: &[(&str, &Counted)],
    number: usize,
    mut take: impl FnMut(&str, &[u64]),
) -> Result<(), SpillError> {
    let mut lists = Vec::new();
    for (_, counted) in sources {
        lists.push(counted.partition(number)?);
    }
    let mut cursors: Vec<_> = lists.iter().map(|list| list.iter().peekable()).collect();
    let mut counts = vec![0; sources.len()];
    while let Some(word) = cursors.iter_mut().filter_map(|c| c.peek().map(|e| e.word)).min() {
        for (count, cursor) in counts.iter_mut().zip(&mut cursors) {
            *count = cursor.next_if(|e| e.word == word).map_or(0, |e| e.count);
        }
        take(word, &counts);
    }
    Ok(())
}

impl Pair {
    fn add(&mut self, (a, b): (u64, u64), (total_a, total_b): (f64, f64)) {
        self.num_both += u64::from(a > 0 && b > 0);
        self.num_either += u64::from(a > 0 || b > 0);
        let (p, q) = (a as f64 / total_a.max(1.0), b as f64 / total_b.max(1.0));
        let middle = (p + q) / 2.0;
        let part = |x: f64| if x > 0.0 { x / 2.0 * (x / middle).log2() } else { 0.0 };
        self.divergence += part(p) + part(q);
    }
}

/// Log-odds of a word in `source` against all others, with an informative Dirichlet prior, and the same in standard
/// deviations (Monroe, Colaresi and Quinn, Political Analysis 16, 2008, equations 15, 16, 20 and 22). The prior of a
/// word is its share of all sources times [`PRIOR_WORDS`].
fn log_odds(counts: &[u64], totals: &[f64], source: usize) -> (f64, f64) {
    let sum = counts.iter().sum::<u64>() as f64;
    let total: f64 = totals.iter().sum();
    let prior = PRIOR_WORDS * sum / total;
    let odds = |count: f64, total: f64| ((count + prior) / (total + PRIOR_WORDS - count - prior)).ln();
    let (here, elsewhere) = (counts[source] as f64, sum - counts[source] as f64);
    let log_odds = odds(here, totals[source]) - odds(elsewhere, total - totals[source]);
    let variance = 1.0 / (here + prior) + 1.0 / (elsewhere + prior);
    (log_odds, log_odds / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::count::{Counter, Spill};
    use super::*;

    fn counted(words: &[(&str, usize)]) -> Counted {
        let spill = Arc::new(Spill::new(&std::env::temp_dir()));
        let mut counter = Counter::new(1 << 20, Arc::clone(&spill));
        for (word, count) in words {
            (0..*count).for_each(|_| counter.add(word.as_bytes(), 0, word.len()));
        }
        Counted::new(vec![counter], spill, 1 << 16).unwrap()
    }

    #[test]
    fn sources_are_told_apart_by_their_own_words() {
        let cats = counted(&[("the", 500), ("cat", 300), ("fur", 100)]);
        let dogs = counted(&[("the", 500), ("dog", 350), ("fur", 100), ("bark", 1)]);
        let (distinctive, overlaps) = compare(&[("cats", &cats), ("dogs", &dogs)], 2).unwrap();
        assert_eq!(distinctive[0].words[0].word, "cat");
        assert_eq!(distinctive[1].words.iter().map(|w| w.word.as_str()).collect::<Vec<_>>(), ["dog", "bark"]);
        assert!(distinctive[1].words[0].z > distinctive[1].words[1].z);
        let overlap = &overlaps[0];
        assert!((overlap.jaccard - 2.0 / 5.0).abs() < 1e-12);
        // By hand: JSD = H(m) − (H(p) + H(q)) / 2.
        let entropy = |p: &[f64]| p.iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum::<f64>();
        let p = [500.0 / 900.0, 300.0 / 900.0, 100.0 / 900.0, 0.0, 0.0];
        let q = [500.0 / 951.0, 0.0, 100.0 / 951.0, 350.0 / 951.0, 1.0 / 951.0];
        let m: Vec<f64> = p.iter().zip(&q).map(|(a, b)| (a + b) / 2.0).collect();
        let expected = (entropy(&m) - (entropy(&p) + entropy(&q)) / 2.0).sqrt();
        assert!((overlap.js_distance - expected).abs() < 1e-12, "{} {expected}", overlap.js_distance);
    }

    #[test]
    fn equal_sources_are_at_distance_zero_and_disjoint_ones_at_one() {
        let (a, b) = (counted(&[("x", 3), ("y", 2)]), counted(&[("z", 9)]));
        let (distinctive, overlaps) = compare(&[("a", &a), ("again", &a), ("b", &b)], 5).unwrap();
        let of = |n: usize| (overlaps[n].js_distance, overlaps[n].jaccard, overlaps[n].jaccard_top);
        assert_eq!((of(0), of(1)), ((0.0, 1.0, 1.0), (1.0, 0.0, 0.0)));
        assert_eq!(distinctive[2].words[0].word, "z");
    }
}
