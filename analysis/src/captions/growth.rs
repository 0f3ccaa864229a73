//! Vocabulary growth: how many distinct words `n` captions drawn at random are expected to hold. It follows exactly
//! from the document frequencies (rarefaction; Hurlbert, Ecology 52, 1971), so it depends on no order and sources of
//! different sizes can be compared at equal `n`.

use std::collections::BTreeMap;

/// Factors that are multiplied one by one.
const MAX_FACTORS: f64 = 256.0;

/// ln Γ(x) for x ≥ 1 by Stirling's series; below 10 by the recurrence. Good to 1e-12 relative.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series
}

/// Sizes of draws at which the curve is given: 1, 2, 5, 10, … and all.
fn draws(total: u64) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut power = 1_u64;
    'all: loop {
        for step in [1, 2, 5] {
            match power.checked_mul(step) {
                Some(size) if size < total => sizes.push(size),
                _ => break 'all,
            }
        }
        power = power.saturating_mul(10);
    }
    sizes.push(total);
    sizes
}

/// The chance that a draw of `n` of `all` captions holds one of the `df` captions of a word: 1 − C(all − df, n) /
/// C(all, n). `df` and `n` may be swapped, and the fraction is a product of as many factors as the smaller has; only
/// when both are large is it left to ln Γ, whose differences lose digits that small chances of many words would need.
fn chance_of_any(all: f64, df: f64, n: f64) -> f64 {
    let (few, many) = if df < n { (df, n) } else { (n, df) };
    if few + many > all {
        return 1.0;
    }
    let ln_none = if few <= MAX_FACTORS {
        (0..few as u64).map(|i| (-many / (all - i as f64)).ln_1p()).sum()
    } else {
        ln_gamma(all - df + 1.0) - ln_gamma(all - df - n + 1.0) - ln_gamma(all + 1.0)
            + ln_gamma(all - n + 1.0)
    };
    -f64::exp_m1(ln_none)
}

/// The curve as (captions, expected distinct words); `words_by_captions` says how many words occur in how many
/// captions.
pub fn growth(total: u64, words_by_captions: &BTreeMap<u64, u64>) -> Vec<(u64, f64)> {
    if total == 0 {
        return Vec::new();
    }
    let all = total as f64;
    draws(total)
        .into_iter()
        .map(|size| {
            let n = size as f64;
            let expected = words_by_captions.iter().map(|(&captions, &num_words)| {
                let df = captions as f64;
                num_words as f64 * chance_of_any(all, df, n)
            });
            (size, expected.sum())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_the_mean_over_all_draws() {
        // Words of five captions; every draw of n captions is enumerated.
        let captions = [vec![0, 1], vec![0, 2], vec![0], vec![3, 4, 5], vec![1, 0]];
        let frequency = |w: i32| captions.iter().filter(|c| c.contains(&w)).count() as u64;
        let mut by_captions = BTreeMap::new();
        (0..6).for_each(|w| *by_captions.entry(frequency(w)).or_insert(0) += 1);
        let curve = growth(5, &by_captions);
        assert_eq!(curve.iter().map(|p| p.0).collect::<Vec<_>>(), [1, 2, 5]);
        for (n, expected) in curve {
            let (mut sum, mut num) = (0.0, 0.0);
            for draw in (0_u32..32).filter(|d| u64::from(d.count_ones()) == n) {
                let words: std::collections::BTreeSet<i32> = (0..5)
                    .filter(|c| draw >> c & 1 == 1)
                    .flat_map(|c| captions[c as usize].clone())
                    .collect();
                sum += words.len() as f64;
                num += 1.0;
            }
            assert!((expected - sum / num).abs() < 1e-9, "{n}: {expected} {}", sum / num);
        }
    }

    #[test]
    fn large_numbers_keep_their_precision() {
        let curve = growth(1_000_000_000, &BTreeMap::from([(1, 1_000_000_000), (1_000_000_000, 7)]));
        let at = |n| curve.iter().find(|p| p.0 == n).unwrap().1;
        // A word of one caption is in a draw of n with chance n / total.
        assert!(
            (at(1000) - 1007.0).abs() < 1e-3 && (at(500_000_000) / 500_000_007.0 - 1.0).abs() < 1e-5,
            "{}",
            at(1000)
        );
        assert_eq!(at(1_000_000_000), 1_000_000_007.0);
    }
}
