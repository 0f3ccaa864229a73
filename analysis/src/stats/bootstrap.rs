//! Percentile bootstrap of a mean (Efron 1979), seeded: one seed, one interval, on every machine.

use pairmill_shards::random::SplitMix64;

use super::mean;

/// Resamples of one interval.
pub const RESAMPLES: usize = 10_000;

/// The 95 % interval of the mean of `values` by [`RESAMPLES`] resamples; `None` below three values, where resampling
/// says nothing.
pub fn mean_interval(values: &[f64], seed: u64) -> Option<(f64, f64)> {
    if values.len() < 3 {
        return None;
    }
    let mut random = SplitMix64::new(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let sample: Vec<f64> =
                values.iter().map(|_| values[random.below(values.len() as u64) as usize]).collect();
            mean(&sample)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    // Nearest ranks of 2.5 % and 97.5 %.
    let at = |share: f64| means[((share * RESAMPLES as f64).ceil() as usize).clamp(1, RESAMPLES) - 1];
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_mean_narrows_with_more_values_and_repeats() {
        let few = [10.0, 12.0, 11.0, 13.0];
        let many: Vec<f64> = few.iter().cycle().take(64).copied().collect();
        let (low, high) = mean_interval(&few, 1).unwrap();
        assert!(low < 11.5 && 11.5 < high && low >= 10.0 && high <= 13.0);
        let (low2, high2) = mean_interval(&many, 1).unwrap();
        // A quarter of the width, as 64 values are 16 times 4.
        let ratio = (high2 - low2) / (high - low);
        assert!((0.2..0.3).contains(&ratio), "{ratio}");
        assert_eq!(mean_interval(&few, 1), Some((low, high)));
        assert_eq!(mean_interval(&few[..2], 1), None);
    }
}
