//! Samples that could not be used, counted over all ranks: said once an epoch and at the end, and the reason for a run to
//! stop when they are too many. The loader counts ([`Tally`]); what stands in their place is its business too.

use std::collections::BTreeMap;
use std::fmt;

use pairmill_loader::{BadReason, SkippedSample, Tally};
use pairmill_shards::printable::excerpt;
use tch::Device;

use crate::error::TrainError;
use crate::log::SkippedLine;
use crate::ranks::Ranks;
use crate::torch::TorchError;

/// Samples after which a run looks within an epoch; a limit means little for fewer.
pub const LOOK_EVERY: u64 = 1_000;
/// Longest part of an example that is shown.
const SHOWN: usize = 200;

/// What became of the samples that were due.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Skipped {
    asked: u64,
    reasons: BTreeMap<&'static str, u64>,
    example: Option<String>,
    recoded: u64,
}

impl Skipped {
    /// The sum over all ranks; the example is this rank's own. Every rank calls it.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn over_ranks(tally: Tally, ranks: &Ranks, device: Device) -> Result<Self, TorchError> {
        let count = |name: &&str| tally.skipped.get(name).copied().unwrap_or(0);
        let counts = BadReason::NAMES.iter().map(count);
        let mut numbers: Vec<f64> =
            [tally.asked, tally.recoded].into_iter().chain(counts).map(|n| n as f64).collect();
        ranks.sum_numbers(&mut numbers, device)?;
        let mut sums = numbers.into_iter().map(|sum| sum as u64);
        let (asked, recoded) = (sums.next().unwrap_or(0), sums.next().unwrap_or(0));
        let reasons = BadReason::NAMES.into_iter().zip(sums).filter(|(_, count)| *count > 0).collect();
        Ok(Self { asked, reasons, example: tally.example.as_ref().map(example), recoded })
    }

    /// Samples that were due.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Those that could not be used.
    pub fn count(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// Their share, 0–1.
    pub fn share(&self) -> f64 {
        self.count() as f64 / self.asked.max(1) as f64
    }

    /// Whether there is something to say.
    pub fn is_worth_a_line(&self) -> bool {
        self.count() > 0 || self.recoded > 0
    }

    fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.recoded += other.recoded;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        if self.example.is_none() {
            self.example.clone_from(&other.example);
        }
    }
}

/// `SHARD: KEY: REASON`
fn example(sample: &SkippedSample) -> String {
    let shard = sample.shard.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "{}: {}: {}",
        excerpt(&shard, SHOWN),
        excerpt(&sample.key, SHOWN),
        excerpt(&sample.reason.to_string(), SHOWN)
    )
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.share();
        let mut separator = "";
        if self.count() > 0 {
            write!(f, "{} of {} samples could not be used ({percent:.2} %): ", self.count(), self.asked)?;
            let mut reasons: Vec<_> = self.reasons.iter().collect();
            reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (index, (reason, count)) in reasons.into_iter().enumerate() {
                write!(f, "{}{count} {reason}", if index > 0 { ", " } else { "" })?;
            }
            if let Some(example) = &self.example {
                write!(f, "; such as {example}")?;
            }
            separator = "; ";
        }
        if self.recoded > 0 {
            write!(
                f,
                "{separator}{} of {} have text in UTF-16 or Latin-1, which was read as that",
                self.recoded, self.asked
            )?;
        }
        Ok(())
    }
}

/// One thing to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    over: &'static str,
    skipped: Skipped,
}

impl Report {
    /// For `metrics.jsonl`.
    pub fn line(&self, step: u64, epoch: f64) -> SkippedLine {
        let Self { over, skipped } = self;
        SkippedLine {
            step,
            epoch,
            over,
            samples: skipped.asked,
            skipped: skipped.count(),
            share: skipped.share(),
            reasons: skipped.reasons.clone(),
            example: skipped.example.clone(),
            recoded: skipped.recoded,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.over == "run" { "in all" } else { "this epoch" }, self.skipped)
    }
}

/// What a run has seen so far: of this epoch, and in all.
#[derive(Debug, Default)]
pub struct Watch {
    epoch: Skipped,
    /// Epochs before this one.
    before: Skipped,
    /// What there was when the limit was last looked at, where it may be looked at.
    judged: Option<Skipped>,
}

impl Watch {
    /// Adds what was found since. Returns what there is to say now.
    pub fn add(&mut self, found: Skipped, epoch_ends: bool, run_ends: bool, limit: f64) -> Vec<Report> {
        self.epoch.add(&found);
        let may_judge = epoch_ends || self.epoch.asked >= LOOK_EVERY;
        self.judged = may_judge.then(|| self.epoch.clone());
        let is_over = may_judge && self.epoch.share() > limit;
        let mut reports = Vec::new();
        if epoch_ends || run_ends || is_over {
            let epoch = std::mem::take(&mut self.epoch);
            let had_before = self.before.asked > 0;
            self.before.add(&epoch);
            if epoch.is_worth_a_line() {
                reports.push(Report { over: "epoch", skipped: epoch });
            }
            if run_ends && had_before && self.before.is_worth_a_line() {
                reports.push(Report { over: "run", skipped: self.before.clone() });
            }
        }
        reports
    }

    /// Whether the run may go on.
    ///
    /// # Errors
    /// [`TrainError::Skipped`] when more than `limit` of the samples of this epoch could not be used, once the epoch is over
    /// or a thousand samples were due.
    pub fn check(&self, limit: f64) -> Result<(), TrainError> {
        match &self.judged {
            Some(skipped) if skipped.share() > limit => {
                Err(TrainError::Skipped { skipped: Box::new(skipped.clone()), limit })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(asked: u64, links: u64) -> Skipped {
        let reasons = if links > 0 { [("link", links)].into() } else { BTreeMap::new() };
        let example = (links > 0).then(|| "0.tar: 7: it is no picture".to_owned());
        Skipped { asked, reasons, example, recoded: 0 }
    }

    #[test]
    fn t06_it_is_said_once_an_epoch_and_at_the_end() {
        let mut watch = Watch::default();
        let said = |watch: &mut Watch, found, epoch_ends, run_ends| -> Vec<String> {
            let reports = watch.add(found, epoch_ends, run_ends, 0.5);
            watch.check(0.5).unwrap();
            reports.iter().map(ToString::to_string).collect()
        };
        assert_eq!(said(&mut watch, found(1_000, 10), false, false), [""; 0]);
        let epoch = "this epoch: 20 of 2000 samples could not be used (1.00 %): 20 link; such as 0.tar: 7: it is no picture";
        assert_eq!(said(&mut watch, found(1_000, 10), true, false), [epoch]);
        assert_eq!(said(&mut watch, found(2_000, 0), true, false), [""; 0], "nothing to say of a good epoch");
        let last = said(&mut watch, found(500, 1), false, true);
        assert!(last.len() == 2 && last[0].starts_with("this epoch: 1 of 500"), "{last:?}");
        assert!(last[1].starts_with("in all: 21 of 4500 samples could not be used (0.47 %)"), "{last:?}");
    }

    #[test]
    fn t06_a_share_over_the_limit_stops_the_run_once_it_means_something() {
        let mut watch = Watch::default();
        watch.add(found(999, 60), false, false, 0.05);
        watch.check(0.05).unwrap();
        let reports = watch.add(found(1, 0), false, false, 0.05);
        assert_eq!(reports.len(), 1);
        let message = watch.check(0.05).unwrap_err().to_string();
        assert!(
            message.starts_with("60 of 1000 samples could not be used (6.00 %): 60 link; such as "),
            "{message}"
        );
        assert!(message.contains("data.max_skipped = 0.05") && !message.contains('\n'), "{message}");
        let mut small = Watch::default();
        small.add(found(16, 4), false, true, 0.05);
        small.check(0.05).unwrap();
        small.add(found(16, 4), true, false, 0.05);
        assert!(small.check(0.05).is_err(), "a whole epoch counts however small it is");
        assert!(small.check(0.25).is_ok(), "the limit itself is allowed");
    }
}
