//! How the runs of one cell (source, task, shots) become one value. The choice moves numbers by more than many of
//! the differences discussed, so it has a name and stands in every output.

use pairmill_shards::results::{Protocol, Split};

use crate::load::Results;

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rule {
    /// The largest test value of all runs, as the paper: the test set chooses
    MaxOverGrid,
    /// The test value of the settings with the best validation value (mean over seeds)
    ValidationSelected,
    /// The mean over seeds with a bootstrap interval; each seed's run chosen on validation values, or by maximum where there are none
    MeanOverSeeds,
}

impl Rule {
    /// Its name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxOverGrid => "max-over-grid",
            Self::ValidationSelected => "validation-selected",
            Self::MeanOverSeeds => "mean-over-seeds",
        }
    }

    /// One sentence for readers.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::MaxOverGrid => {
                "Each value is the largest test accuracy of all runs of its cell, as in the paper: the test set chooses."
            }
            Self::ValidationSelected => {
                "Each value is the test accuracy of the settings that were best on validation images, averaged over seeds."
            }
            Self::MeanOverSeeds => {
                "Each value is the mean over seeds; the bars are 95 % bootstrap intervals (10,000 resamples) where there are three seeds or more."
            }
        }
    }

    /// The rule for rows whose user named none: the paper's for as-published rows; else over seeds where there are
    /// several, by validation where it was measured, and the paper's where nothing better is possible.
    pub fn fitting(results: &Results) -> Self {
        if results.protocol == Protocol::AsPublished {
            return Self::MaxOverGrid;
        }
        let mut seeds: Vec<_> = results.rows.iter().filter_map(|r| r.row.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        if seeds.len() > 1 {
            Self::MeanOverSeeds
        } else if results.rows.iter().any(|r| r.row.split == Split::Val) {
            Self::ValidationSelected
        } else {
            Self::MaxOverGrid
        }
    }
}
