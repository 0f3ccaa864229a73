//! The world's only source of chance: a counter hashed by SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", 2014). Own code and not a crate, because one seed must stay one web for ever,
//! and generators of crates change between versions.

/// A stream of numbers that depends on its seed parts alone.
#[derive(Debug, Clone)]
pub struct Rng(u64);

/// SplitMix64's finaliser: 64 bits to 64 well-mixed bits.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// The stream of these parts; any other list of parts gives an unrelated stream.
    pub fn of(parts: &[u64]) -> Self {
        let state = parts.iter().fold(0x7061_6972_6d69_6c6c, |state: u64, &part| {
            mix(state.wrapping_mul(STEP).wrapping_add(part).wrapping_add(STEP))
        });
        Self(state)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `n` (0 for `n` = 0).
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included; `low` where they are reversed.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(u64::from(high.saturating_sub(low)) + 1) as u32
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A number in [`low`, `high`).
    pub fn span(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: f32) -> bool {
        self.unit() * 100.0 < percent
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// An index into `weights`, drawn in proportion to them; the last one where all are zero.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.below(weights.iter().map(|&w| u64::from(w)).sum());
        for (i, &weight) in weights.iter().enumerate() {
            if left < u64::from(weight) {
                return i;
            }
            left -= u64::from(weight);
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_every_part() {
        let first = |parts: &[u64]| Rng::of(parts).next_u64();
        assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
        let others =
            [first(&[1, 2, 3]), first(&[1, 3, 2]), first(&[2, 2, 3]), first(&[1, 2]), first(&[1, 2, 3, 0])];
        let distinct: std::collections::BTreeSet<_> = others.into_iter().collect();
        assert_eq!(distinct.len(), others.len());
    }

    #[test]
    fn weights_are_kept_in_the_long_run() {
        let mut rng = Rng::of(&[7]);
        let mut seen = [0u32; 3];
        for _ in 0..30_000 {
            seen[rng.weighted(&[1, 0, 2])] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!((9_500..10_500).contains(&seen[0]), "{seen:?}");
    }
}
