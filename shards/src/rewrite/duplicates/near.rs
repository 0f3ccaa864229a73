//! The nearest earlier hash within so many bits, exactly and without comparing all pairs.
//!
//! By the pigeonhole principle: 64 bits are cut into four bands of 16. Of two hashes that differ in at most D = 4r + a
//! bits (0 ≤ a < 4), one of the first a + 1 bands differs in at most r bits or one of the others in at most r - 1;
//! otherwise they would differ in (a + 1)(r + 1) + (3 - a)r = D + 1. So only the hashes filed under a band within that
//! radius are looked at (M. Norouzi, A. Punjani, D. Fleet, *Fast Search in Hamming Space with Multi-Index Hashing*,
//! 2012), and none within D is missed.

use std::collections::HashMap;

/// Bands of a hash.
const BANDS: u32 = 4;
/// Bits of a band.
const BAND_BITS: u32 = 16;
/// The greatest distance that is looked for: beyond it nearly everything would be looked at.
pub const MAX_DISTANCE: u32 = 15;

/// Hashes by number, each once. 32 to 64 bytes in the bands and 19 to 39 in the table for each.
#[derive(Debug)]
pub(super) struct NearIndex {
    distance: u32,
    /// Which sample has the hash.
    numbers: HashMap<u64, u64>,
    /// Hashes by the value of one of their bands, band after band.
    bands: Vec<Vec<u64>>,
    /// What to flip in a band, fewest bits first.
    flips: Vec<u16>,
}

impl NearIndex {
    /// An index that finds hashes within `distance` bits, at most [`MAX_DISTANCE`].
    pub(super) fn new(distance: u32) -> Self {
        let distance = distance.min(MAX_DISTANCE);
        let mut flips: Vec<u16> = (0..=u16::MAX).filter(|f| f.count_ones() <= distance / BANDS).collect();
        flips.sort_by_key(|flip| flip.count_ones());
        let bands = if distance == 0 { Vec::new() } else { vec![Vec::new(); (BANDS << BAND_BITS) as usize] };
        Self { distance, numbers: HashMap::new(), bands, flips }
    }

    /// Distance and number of the nearest hash within reach; of equally near ones the first that was added.
    pub(super) fn nearest(&self, hash: u64) -> Option<(u32, u64)> {
        if let Some(number) = self.numbers.get(&hash) {
            return Some((0, *number));
        }
        if self.distance == 0 {
            return None;
        }
        let mut best: Option<(u32, u64)> = None;
        for band in 0..BANDS {
            let radius = match band <= self.distance % BANDS {
                true => self.distance / BANDS,
                false if self.distance < BANDS => continue,
                false => self.distance / BANDS - 1,
            };
            for flip in self.flips.iter().take_while(|flip| flip.count_ones() <= radius) {
                for other in &self.bands[place(band, band_of(hash, band) ^ flip)] {
                    let apart = (hash ^ other).count_ones();
                    if apart > best.map_or(self.distance, |(least, _)| least) {
                        continue;
                    }
                    let Some(number) = self.numbers.get(other) else { continue };
                    best = Some(best.map_or((apart, *number), |found| found.min((apart, *number))));
                }
            }
        }
        best
    }

    /// Adds a hash that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, number: u64) {
        if self.numbers.insert(hash, number).is_none() && !self.bands.is_empty() {
            for band in 0..BANDS {
                self.bands[place(band, band_of(hash, band))].push(hash);
            }
        }
    }
}

fn band_of(hash: u64, band: u32) -> u16 {
    (hash >> (band * BAND_BITS)) as u16
}

fn place(band: u32, value: u16) -> usize {
    (band << BAND_BITS | u32::from(value)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the index stands for.
    fn by_all_pairs(known: &[(u64, u64)], hash: u64, distance: u32) -> Option<(u32, u64)> {
        let pairs = known.iter().map(|(other, number)| ((hash ^ other).count_ones(), *number));
        pairs.filter(|(apart, _)| *apart <= distance).min()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Hashes a few flipped bits away from a handful of others: many pairs at and around the distance.
        #[test]
        fn near_by_bands_is_near_by_all_pairs(
            centres in prop::collection::vec(any::<u64>(), 1..4),
            hashes in prop::collection::vec((0_usize..4, prop::collection::vec(0_u32..64, 0..12)), 1..120),
            distance in 0_u32..=MAX_DISTANCE,
        ) {
            let mut index = NearIndex::new(distance);
            let mut known = Vec::new();
            for (number, (centre, flips)) in hashes.iter().enumerate() {
                let hash = flips.iter().fold(centres[centre % centres.len()], |hash, bit| hash ^ 1 << bit);
                let expected = by_all_pairs(&known, hash, distance);
                prop_assert_eq!(index.nearest(hash), expected);
                if expected.is_none() {
                    index.insert(hash, number as u64);
                    known.push((hash, number as u64));
                }
            }
        }
    }

    #[test]
    fn each_way_to_spread_the_bits_over_the_bands_is_found() {
        let mask = |bits: u32, band: u32| ((1_u64 << bits) - 1) << (band * BAND_BITS);
        for distance in [1, 3, 4, 5, 7, 8, 11] {
            let mut index = NearIndex::new(distance);
            index.insert(0, 7);
            for first in 0..=distance {
                for second in 0..=distance - first {
                    for third in 0..=distance - first - second {
                        let fourth = distance - first - second - third;
                        let hash = mask(first, 0) | mask(second, 1) | mask(third, 2) | mask(fourth, 3);
                        assert_eq!(index.nearest(hash), Some((distance, 7)), "{hash:016x}");
                        for band in 0..BANDS {
                            let farther = hash | mask(1, band) << (BAND_BITS - 1);
                            assert_eq!(index.nearest(farther), None, "{farther:016x}");
                        }
                    }
                }
            }
        }
    }
}
