//! Statistics of small samples: rank correlations, bootstrap intervals, and Python's `%.2g`.

mod bootstrap;
mod digits;
mod rank;

pub use bootstrap::{RESAMPLES, mean_interval};
pub use digits::{general, short};
pub use rank::{kendall, ranks, spearman};

/// The mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}
