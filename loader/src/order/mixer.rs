//! Several sources in one stream, by weight: a cycle of a fixed number of places, shared out among the sources by
//! largest remainder and shuffled anew each time round. So shares hold exactly over a cycle, and how many places of a
//! source lie before any position is arithmetic.

use super::Rng;

/// Places of a cycle. A source needs at least half a place: 1/8,192 of the weight.
pub const MIX_CYCLE: u64 = 4096;
const MIX: u64 = 3;

/// Interleaves sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixer {
    seed: u64,
    quotas: Vec<u64>,
    /// The cycle drawn last, and for each place of it how many of the same source lie before it in the cycle.
    cycle: Option<u64>,
    places: Vec<(u32, u32)>,
}

impl Mixer {
    /// A mixer for sources of these weights. `Err` holds the number of a source whose weight is not a positive number
    /// or too small to get a single place.
    ///
    /// # Errors
    /// See above.
    pub fn new(weights: &[f64], seed: u64) -> Result<Self, usize> {
        if let Some(bad) = weights.iter().position(|w| !w.is_finite() || *w <= 0.0) {
            return Err(bad);
        }
        let sum: f64 = weights.iter().sum();
        let ideal: Vec<f64> = weights.iter().map(|w| w / sum * MIX_CYCLE as f64).collect();
        let mut quotas: Vec<u64> = ideal.iter().map(|share| share.floor() as u64).collect();
        let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
        by_remainder.sort_by(|a, b| (ideal[*b].fract()).total_cmp(&ideal[*a].fract()).then(a.cmp(b)));
        let missing = MIX_CYCLE.saturating_sub(quotas.iter().sum()) as usize;
        for source in by_remainder.into_iter().take(missing) {
            quotas[source] += 1;
        }
        match quotas.iter().position(|quota| *quota == 0) {
            Some(starved) => Err(starved),
            None => Ok(Self { seed, quotas, cycle: None, places: Vec::new() }),
        }
    }

    /// Places of each source in a cycle; they add up to [`MIX_CYCLE`].
    pub fn quotas(&self) -> &[u64] {
        &self.quotas
    }

    /// Source at stream position `at`, and how many samples of it lie before.
    pub fn locate(&mut self, at: u64) -> (usize, u64) {
        let cycle = at / MIX_CYCLE;
        self.draw(cycle);
        let (source, before) = self.places[(at % MIX_CYCLE) as usize];
        (source as usize, cycle * self.quotas[source as usize] + u64::from(before))
    }

    /// How many samples of each of the first `sources` sources lie before stream position `at`.
    pub fn before_each(&mut self, at: u64, sources: usize) -> Vec<u64> {
        let cycle = at / MIX_CYCLE;
        self.draw(cycle);
        let mut before: Vec<u64> = self.quotas.iter().take(sources).map(|quota| cycle * quota).collect();
        for (source, _) in &self.places[..(at % MIX_CYCLE) as usize] {
            if let Some(count) = before.get_mut(*source as usize) {
                *count += 1;
            }
        }
        before
    }

    fn draw(&mut self, cycle: u64) {
        if self.cycle == Some(cycle) {
            return;
        }
        let each = self.quotas.iter().enumerate();
        let mut sources: Vec<u32> =
            each.flat_map(|(source, quota)| (0..*quota).map(move |_| source as u32)).collect();
        Rng::new(&[self.seed, MIX, cycle]).shuffle(&mut sources);
        let mut seen = vec![0; self.quotas.len()];
        self.places.clear();
        for source in sources {
            let count = &mut seen[source as usize];
            self.places.push((source, *count));
            *count += 1;
        }
        self.cycle = Some(cycle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_over_a_cycle_and_counts_are_arithmetic() {
        let mut mixer = Mixer::new(&[1.0, 2.0, 5.0], 9).unwrap();
        assert_eq!(mixer.quotas(), [512, 1024, 2560]);
        let mut counts = [0_u64; 3];
        for at in 0..3 * MIX_CYCLE {
            if at % 97 == 0 {
                assert_eq!(mixer.before_each(at, 3), counts);
            }
            let (source, before) = mixer.locate(at);
            assert_eq!(before, counts[source]);
            counts[source] += 1;
        }
        assert_eq!(counts, [3 * 512, 3 * 1024, 3 * 2560]);
    }

    #[test]
    fn weights_that_cannot_be_honoured_are_named() {
        assert_eq!(Mixer::new(&[1.0, 0.0], 0), Err(1));
        assert_eq!(Mixer::new(&[1.0, 1e-6], 0), Err(1));
        assert_eq!(Mixer::new(&[f64::NAN, 1.0], 0), Err(0));
    }
}
