//! Which sources, tasks and numbers of shots a study compares: the paper's where its names occur, else whatever the
//! rows hold.

use std::collections::{BTreeMap, BTreeSet};

use pairmill_shards::results::{Method, RunConfig, Shots, SourcedRow};

use super::Series;
use crate::study;

/// What is compared with what.
#[derive(Debug, Clone)]
pub struct Lineup {
    /// Sources, in the order of figures.
    pub sources: Vec<String>,
    /// Tasks, in the order of figures.
    pub tasks: Vec<String>,
    /// Numbers of shots, fewest first.
    pub shots: Vec<Shots>,
    /// Whether the sources are the paper's seven.
    pub is_papers: bool,
    loss: String,
    scratch_loss: String,
    arch: String,
    not_compared: Vec<String>,
}

impl Lineup {
    /// The lineup of `rows`.
    pub fn of(rows: &[SourcedRow]) -> Self {
        let losses: Vec<String> = rows.iter().map(|r| r.row.config.loss()).collect();
        let loss = most_common(losses.iter().map(String::as_str), study::CLIP);
        let of_loss: Vec<_> =
            rows.iter().zip(&losses).filter(|(_, own)| **own == loss).map(|(r, _)| &r.row).collect();
        let main = || of_loss.iter().copied();
        let is_other = |(r, own): &(&SourcedRow, &String)| **own != loss && r.row.config.us != study::SCRATCH;
        let others: BTreeSet<&String> =
            rows.iter().zip(&losses).filter(is_other).map(|(_, own)| own).collect();
        let not_compared = others.into_iter().cloned().collect();
        let arch = most_common(main().map(|r| r.config.arch.as_str()), study::RN50);
        let found: BTreeSet<&str> =
            main().filter(|r| r.config.arch == arch).map(|r| r.config.us.as_str()).collect();
        let papers: Vec<String> =
            study::SOURCES.iter().filter(|s| found.contains(s.us)).map(|s| s.us.to_owned()).collect();
        let is_papers = papers.len() >= 2;
        let sources = if is_papers {
            papers
        } else {
            // Where nothing was pretrained at all, that is what there is.
            let only_scratch = found.iter().all(|us| *us == study::SCRATCH);
            let wanted = |us: &&&str| only_scratch || **us != study::SCRATCH;
            found.iter().filter(wanted).map(|us| (*us).to_owned()).collect()
        };
        let scratch_loss = scratch_loss(rows, &loss);
        let of_sources = || main().filter(|r| sources.contains(&r.config.us));
        let all_tasks: BTreeSet<&str> = of_sources().map(|r| r.config.ds.as_str()).collect();
        let known = study::TASKS.iter().map(|t| t.ds).filter(|ds| all_tasks.contains(ds));
        let others = all_tasks.iter().copied().filter(|ds| study::task_named(ds).is_none());
        let tasks = known.chain(others).map(str::to_owned).collect();
        let all_shots: BTreeSet<Shots> = of_sources().map(|r| r.shots).collect();
        let wanted = |shots: &Shots| match is_papers {
            true => study::SHOTS.contains(shots),
            false => *shots != Shots::Zero,
        };
        let mut shots: Vec<Shots> = all_shots.iter().copied().filter(wanted).collect();
        if shots.is_empty() {
            // Nothing was trained: what there is are zero-shot values.
            shots = all_shots.into_iter().collect();
        }
        Self { tasks, shots, is_papers, loss, scratch_loss, arch, sources, not_compared }
    }

    /// The series of a compared source.
    pub fn series(&self, us: &str) -> Series {
        let loss = if us == study::SCRATCH { &self.scratch_loss } else { &self.loss };
        Series { loss: loss.clone(), arch: Some(self.arch.clone()), us: us.to_owned() }
    }

    /// Methods and mixtures of other rows, as texts like [`Lineup::loss`]: figures do not show them.
    pub fn not_compared(&self) -> &[String] {
        &self.not_compared
    }

    /// The objective compared, with method and alpha.
    pub fn loss(&self) -> &str {
        &self.loss
    }

    /// The architecture compared.
    pub fn arch(&self) -> &str {
        &self.arch
    }
}

/// What rows from scratch are called: as the others, as in the paper's table, else by the random head they begin with.
fn scratch_loss(rows: &[SourcedRow], loss: &str) -> String {
    let mut own = rows.iter().map(|r| &r.row.config).filter(|config| config.us == study::SCRATCH);
    let is_random = |config: &RunConfig| config.method == Method::RandomHead && config.alpha.is_none();
    if own.clone().any(|config| config.loss() == loss) {
        return loss.to_owned();
    }
    own.find(|config| is_random(config)).map_or_else(|| loss.to_owned(), RunConfig::loss)
}

/// `preferred` if it occurs, else the most frequent word, of equals the first in alphabetical order.
fn most_common<'a>(words: impl Iterator<Item = &'a str>, preferred: &'a str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    if counts.contains_key(preferred) {
        return preferred.to_owned();
    }
    let most = counts.values().max().copied().unwrap_or(0);
    counts.iter().find(|(_, n)| **n == most).map_or_else(String::new, |(word, _)| (*word).to_owned())
}
