//! Rows by what became of them: the table that a run prints at its end and that `stat` begins with.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::stats::ShardStats;
use crate::status::FailureClass;
use crate::words::{grouped, percent};

/// Rows, each once, as successes or under the class they failed with. `{}` prints the table, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// Rows of the input.
    pub rows: u64,
    /// Rows whose image is in a shard.
    pub successes: u64,
    /// Failed rows by class.
    #[serde(rename = "failures_by_class")]
    pub failures: BTreeMap<FailureClass, u64>,
    /// Failed rows that no class is known of: img2dataset wrote them.
    pub unclassified: u64,
}

impl Outcomes {
    /// Adds the rows of a shard by its stats.
    pub fn add_stats(&mut self, stats: &ShardStats) {
        self.rows += stats.count;
        self.successes += stats.successes;
        for (&class, &count) in &stats.failure_classes {
            *self.failures.entry(class).or_default() += count;
        }
        let classified: u64 = stats.failure_classes.values().sum();
        self.unclassified += (stats.failed_to_download + stats.failed_to_resize).saturating_sub(classified);
    }

    /// Rows that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum::<u64>() + self.unclassified
    }

    /// Whether every row is a success or a failure. Only shards of tools that lose rows break it.
    pub fn adds_up(&self) -> bool {
        self.rows == self.successes + self.failed()
    }
}

/// Most frequent first, equals in the order of [`FailureClass::ALL`].
pub fn by_count(failures: &BTreeMap<FailureClass, u64>) -> Vec<(FailureClass, u64)> {
    let mut sorted: Vec<_> = failures.iter().map(|(&class, &count)| (class, count)).collect();
    sorted.sort_by_key(|&(class, count)| (Reverse(count), class));
    sorted
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(String, u64, &str)> = vec![
            ("rows".into(), self.rows, ""),
            ("  success".into(), self.successes, ""),
            ("  failed".into(), self.failed(), ""),
        ];
        for (class, count) in by_count(&self.failures) {
            lines.push((format!("    {class}"), count, class.meaning()));
        }
        if self.unclassified > 0 {
            lines.push(("    no class".into(), self.unclassified, "from shards of img2dataset"));
        }
        let lost = self.rows.saturating_sub(self.successes + self.failed());
        if lost > 0 {
            lines.push(("  lost".into(), lost, "counted by the tool that wrote the shards, in no table"));
        }
        let name_width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let count_width = lines.iter().map(|(_, count, _)| grouped(*count).len()).max().unwrap_or(0);
        for (at, (name, count, meaning)) in lines.into_iter().enumerate() {
            let share = percent(count, self.rows);
            let count = grouped(count);
            let line = format!("{name:<name_width$}  {count:>count_width$}  {share:>6}  {meaning}");
            write!(f, "{}{}", if at > 0 { "\n" } else { "" }, line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_every_row_once() {
        let outcomes = Outcomes {
            rows: 12_000,
            successes: 8_954,
            failures: [(FailureClass::NotAnImage, 10), (FailureClass::Dns, 2_140)].into(),
            unclassified: 894,
        };
        assert_eq!((outcomes.failed(), outcomes.adds_up()), (3_044, false));
        let expected = "\
rows              12,000    100%
  success          8,954   74.6%
  failed           3,044   25.4%
    dns            2,140   17.8%  host names that do not resolve
    not_an_image      10    0.1%  no image in the answer (HTML, say)
    no class         894    7.5%  from shards of img2dataset
  lost                 2    0.1%  counted by the tool that wrote the shards, in no table";
        assert_eq!(outcomes.to_string(), expected);
    }
}
