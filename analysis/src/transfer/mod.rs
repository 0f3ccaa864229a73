//! Rows to the paper's figures. `rule` names how many runs of one cell become one value, `pick` applies it, `lineup`
//! decides which sources, tasks and shots are compared, and each module under `figure/` makes one figure with the
//! table of exactly what it draws.

mod figure;
mod lineup;
mod pick;
mod rule;
mod section;

pub use figure::{Figure, SIZES, SpreadPoint, all_figures, compared, size_series, spreads};
pub use lineup::Lineup;
pub use pick::{Estimate, Picker, Series};
pub use rule::Rule;
pub use section::{provenance, sections};

use pairmill_shards::results::Shots;

use crate::load::Results;

/// Everything claims, figures and report are made from.
#[derive(Debug)]
pub struct Study<'a> {
    /// The rows.
    pub results: &'a Results,
    /// How cells become values.
    pub picker: Picker<'a>,
    /// What is compared.
    pub lineup: Lineup,
}

impl<'a> Study<'a> {
    /// A study of `results` by `rule`; `None` takes the rule that fits the rows ([`Rule::fitting`]). `seed` is that
    /// of the bootstrap.
    pub fn new(results: &'a Results, rule: Option<Rule>, seed: u64) -> Self {
        let rule = rule.unwrap_or_else(|| Rule::fitting(results));
        Self { results, picker: Picker::new(&results.rows, rule, seed), lineup: Lineup::of(&results.rows) }
    }

    /// The value of a compared source.
    pub fn source(&self, us: &str, ds: &str, shots: Shots) -> Option<Estimate> {
        self.picker.pick(&self.lineup.series(us), ds, shots)
    }

    /// The compared sources that have a value for a task and a number of shots.
    pub fn sources_at(&self, ds: &str, shots: Shots) -> Vec<(&str, f64)> {
        let of = |us: &str| self.picker.value_of(&self.lineup.series(us), ds, shots);
        self.lineup.sources.iter().filter_map(|us| Some((us.as_str(), of(us)?))).collect()
    }
}
