//! The random numbers that orders and crops are made of. They are part of what a seed means, so they are written down
//! here rather than taken from a library, whose next version may draw others.

/// SplitMix64 (Steele, Lea, Flood 2014), started from a hash of some words.
#[derive(Debug, Clone)]
pub struct Rng(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Rng {
    /// A generator for what the words name, such as seed, epoch and position. Their order counts.
    pub fn new(words: &[u64]) -> Self {
        let start = words.iter().fold(GOLDEN, |state, word| {
            scramble(state.wrapping_add(GOLDEN) ^ scramble(word.wrapping_add(GOLDEN)))
        });
        Self(start)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        scramble(self.0)
    }

    /// A number below `end`, evenly (the bias is below `end` / 2⁶⁴); 0 for an `end` of 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number in [0, 1), in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Two independent numbers of N(0, 1), by Box and Muller (1958).
    fn normals(&mut self) -> (f64, f64) {
        // In (0, 1], so that the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.unit()).sin_cos();
        (radius * cos, radius * sin)
    }

    /// A number of N(0, 1).
    pub fn normal(&mut self) -> f64 {
        self.normals().0
    }

    /// Numbers of N(0, 1).
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for pair in out.chunks_mut(2) {
            let (first, second) = self.normals();
            for (value, drawn) in pair.iter_mut().zip([first, second]) {
                *value = drawn as f32;
            }
        }
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_in_every_version() {
        // Changing these numbers changes the order of every run: resumed runs would go on elsewhere.
        let mut rng = Rng::new(&[1, 2, 3]);
        let mut items: Vec<u32> = (0..8).collect();
        rng.shuffle(&mut items);
        assert_eq!(items, [6, 4, 1, 3, 5, 0, 2, 7]);
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut rng = Rng::new(&[5]);
        let mut noise = vec![0.0; 400_001];
        rng.fill_normal(&mut noise);
        noise.extend((0..100_000).map(|_| rng.normal() as f32));
        let moment =
            |power: i32| noise.iter().map(|n| f64::from(*n).powi(power)).sum::<f64>() / noise.len() as f64;
        // Their standard errors over half a million are 0.0014, 0.002, 0.0055 and 0.014.
        for (power, wanted, tolerance) in [(1, 0.0, 0.006), (2, 1.0, 0.008), (3, 0.0, 0.022), (4, 3.0, 0.056)]
        {
            assert!((moment(power) - wanted).abs() < tolerance, "moment {power}: {}", moment(power));
        }
        // Neighbours come from one pair of uniform numbers and must not know of each other.
        let together: f64 = noise.chunks_exact(2).map(|p| f64::from(p[0]) * f64::from(p[1])).sum();
        assert!((together / noise.len() as f64 * 2.0).abs() < 0.01);
    }

    #[test]
    fn numbers_are_even() {
        let mut rng = Rng::new(&[7]);
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|_| counts[rng.below(10) as usize] += 1);
        assert!(counts.iter().all(|n| (9_600..10_400).contains(n)), "{counts:?}");
    }
}
