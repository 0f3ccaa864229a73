//! One value per (series, task, shots), by a rule.

use std::collections::{BTreeMap, HashMap};

use pairmill_shards::results::{Shots, SourcedRow, Split};

use super::Rule;
use crate::stats;

/// The metric that figures show.
const METRIC: &str = "acc1";

/// Runs that belong together in a figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Objective, method and alpha as one text, such as `CLIP_LP-FT`.
    pub loss: String,
    /// Architecture; `None` takes any, for series of the paper whose rows disagree about it.
    pub arch: Option<String>,
    /// Source.
    pub us: String,
}

/// What a cell comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Percent.
    pub value: f64,
    /// 95 % interval, where the rule has one.
    pub interval: Option<(f64, f64)>,
    /// Test values of the cell.
    pub num_values: usize,
    /// Seeds that went into the value.
    pub num_seeds: usize,
    /// Row whose value it is, or the first of those averaged: an index into the rows.
    pub row: usize,
}

/// The rows, ready to be asked for cells.
#[derive(Debug)]
pub struct Picker<'a> {
    rows: &'a [SourcedRow],
    /// Objective, method and alpha of each row as one text.
    losses: Vec<String>,
    rule: Rule,
    seed: u64,
    cells: HashMap<(&'a str, &'a str, Shots), Vec<usize>>,
}

impl<'a> Picker<'a> {
    /// A picker by `rule`; `seed` is that of the bootstrap.
    pub fn new(rows: &'a [SourcedRow], rule: Rule, seed: u64) -> Self {
        let mut cells: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, SourcedRow { row, .. }) in rows.iter().enumerate() {
            if row.metric == METRIC {
                cells
                    .entry((row.config.us.as_str(), row.config.ds.as_str(), row.shots))
                    .or_default()
                    .push(at);
            }
        }
        let losses = rows.iter().map(|sourced| sourced.row.config.loss()).collect();
        Self { rows, losses, rule, seed, cells }
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Indexes of all rows of a cell, in the order read.
    pub fn rows_of(&self, series: &Series, ds: &str, shots: Shots) -> Vec<usize> {
        let cell = self.cells.get(&(series.us.as_str(), ds, shots));
        let fits = |at: &usize| {
            let config = &self.rows[*at].row.config;
            self.losses[*at] == series.loss && series.arch.as_ref().is_none_or(|arch| *arch == config.arch)
        };
        cell.map(|rows| rows.iter().copied().filter(fits).collect()).unwrap_or_default()
    }

    /// The value of a cell with its interval; `None` where nothing was run, or where the rule needs what was not
    /// measured.
    pub fn pick(&self, series: &Series, ds: &str, shots: Shots) -> Option<Estimate> {
        let (chosen, num_values) = self.chosen(series, ds, shots)?;
        let values = self.values(&chosen);
        let interval = match self.rule {
            Rule::MeanOverSeeds => stats::mean_interval(&values, self.seed),
            Rule::MaxOverGrid | Rule::ValidationSelected => None,
        };
        let (value, row) = (stats::mean(&values)?, *chosen.first()?);
        Some(Estimate { value, interval, num_values, num_seeds: values.len(), row })
    }

    /// The value of a cell alone, as [`Picker::pick`] gives it; intervals take ten thousand resamples each.
    pub fn value_of(&self, series: &Series, ds: &str, shots: Shots) -> Option<f64> {
        stats::mean(&self.values(&self.chosen(series, ds, shots)?.0))
    }

    /// The test rows whose mean is a cell's value, and how many test rows the cell has.
    fn chosen(&self, series: &Series, ds: &str, shots: Shots) -> Option<(Vec<usize>, usize)> {
        let rows = self.rows_of(series, ds, shots);
        let (test, val): (Vec<usize>, Vec<usize>) =
            rows.into_iter().partition(|&at| self.rows[at].row.split == Split::Test);
        let chosen = match self.rule {
            Rule::MaxOverGrid => vec![self.largest(&test)?],
            Rule::ValidationSelected => {
                let best = self.best_settings(&val)?;
                test.iter().copied().filter(|&at| self.settings(at) == best).collect()
            }
            Rule::MeanOverSeeds => {
                let mut by_seed: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
                for &at in &test {
                    by_seed.entry(self.rows[at].row.seed).or_default().push(at);
                }
                by_seed.into_iter().filter_map(|(seed, runs)| self.of_seed(seed, &runs, &val)).collect()
            }
        };
        Some((chosen, test.len()))
    }

    fn values(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().map(|&at| self.value(at)).collect()
    }

    fn value(&self, at: usize) -> f64 {
        self.rows[at].row.value
    }

    /// The first row of the largest value.
    fn largest(&self, rows: &[usize]) -> Option<usize> {
        rows.iter().copied().reduce(|best, at| if self.value(at) > self.value(best) { at } else { best })
    }

    /// Names the settings of a row; runs that differ only in their seed share it.
    fn settings(&self, at: usize) -> String {
        self.rows[at].row.config.hash()
    }

    /// The settings with the best mean validation value; of equals the first in order of their hash.
    fn best_settings(&self, val: &[usize]) -> Option<String> {
        let mut means: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for &at in val {
            means.entry(self.settings(at)).or_default().push(self.value(at));
        }
        let mut best: Option<(String, f64)> = None;
        for (settings, values) in means {
            let mean = stats::mean(&values)?;
            if best.as_ref().is_none_or(|(_, old)| mean > *old) {
                best = Some((settings, mean));
            }
        }
        best.map(|(settings, _)| settings)
    }

    /// The run of one seed: by validation where that seed has validation values, else the largest test value.
    fn of_seed(&self, seed: Option<u64>, test: &[usize], val: &[usize]) -> Option<usize> {
        let val: Vec<usize> = val.iter().copied().filter(|&at| self.rows[at].row.seed == seed).collect();
        match self.largest(&val) {
            Some(best) => test.iter().copied().find(|&at| self.settings(at) == self.settings(best)),
            None => self.largest(test),
        }
    }
}
