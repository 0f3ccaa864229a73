//! What became of the rows of a source, from its table to its shards: rows that a rule of the source left out, rows
//! that could not be fetched or used, by class, and images kept. Read from the dataset folder alone: the account of
//! its shards and, where the run left one, its dataset card.

use std::path::{Path, PathBuf};

use pairmill_shards::account::Account;
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::folder::{DatasetFolder, PAIRMILL_FOLDER};
use pairmill_shards::funnel::CARD_FILE;
use pairmill_shards::outcomes::by_count;
use pairmill_shards::words::{grouped, percent};
use serde::Deserialize;

use super::DataError;
use crate::chart::{Bar, bars};
use crate::report::{Block, FigureBlock, Section, Table, Value};

/// The rows of one dataset folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Funnel {
    /// Name of the source.
    pub source: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Rows before the first step.
    pub rows: u64,
    /// Every way a row was lost, in the order of the flow; rows = sum of these + `kept`.
    pub steps: Vec<Step>,
    /// Images in shards.
    pub kept: u64,
    /// Shards of the folder.
    pub shards: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// The tool, as far as the folder tells.
    pub made_by: String,
}

/// Rows that were lost in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule or failure class.
    pub name: String,
    /// In words.
    pub meaning: String,
    /// How many.
    pub rows: u64,
}

impl Funnel {
    /// Of the folder; `None` when it is no dataset folder with an account (bare tars, tables).
    ///
    /// # Errors
    /// When the folder cannot be listed or a sidecar or stats file not be read.
    pub fn of(source: &str, folder: &Path) -> Result<Option<Self>, DataError> {
        let scanned = DatasetFolder::scan(folder)?;
        if scanned.done().next().is_none() {
            return Ok(None);
        }
        let account = Account::of(&scanned)?;
        let outcomes = &account.outcomes;
        let step =
            |name: &str, meaning: &str, rows| Step { name: name.into(), meaning: meaning.into(), rows };
        let mut steps: Vec<Step> = by_count(&outcomes.failures)
            .into_iter()
            .map(|(class, rows)| step(class.as_str(), class.meaning(), rows))
            .collect();
        let lost = outcomes.rows.saturating_sub(outcomes.successes + outcomes.failed());
        steps.push(step(
            "no class",
            "failed; the tool that made the shards did not say how",
            outcomes.unclassified,
        ));
        steps.push(step("lost", "counted by the tool that made the shards, in no table", lost));
        steps.retain(|s| s.rows > 0);
        let card = read_card(folder)?;
        let left_out: u64 = card.iter().map(|step| step.rows).sum();
        steps.splice(0..0, card);
        let ours = folder.join(PAIRMILL_FOLDER).is_dir();
        Ok(Some(Self {
            source: source.to_owned(),
            folder: folder.to_owned(),
            rows: outcomes.rows + left_out,
            steps,
            kept: outcomes.successes,
            shards: account.shards,
            bytes: account.total_bytes(),
            made_by: if ours { "pairmill-ingest" } else { "another tool" }.to_owned(),
        }))
    }

    fn figure(&self, id: &str) -> FigureBlock {
        let bar = |label: &str, rows: u64, hint: &str| Bar {
            label: label.to_owned(),
            value: rows as f64,
            text: format!("{} ({})", grouped(rows), percent(rows, self.rows).trim()),
            hint: hint.to_owned(),
        };
        let mut shown = vec![bar("rows", self.rows, "rows of the table")];
        shown.extend(self.steps.iter().map(|s| bar(&format!("− {}", s.name), s.rows, &s.meaning)));
        shown.push(bar("images", self.kept, "in the shards"));
        let mut table = Table::new("", &["step", "rows", "meaning"]);
        let row = |name: &str, rows: u64, meaning: &str| {
            vec![name.into(), Value::Number(rows as f64, 0), meaning.into()]
        };
        table.rows.push(row("rows", self.rows, "rows of the table"));
        table.rows.extend(self.steps.iter().map(|s| row(&s.name, s.rows, &s.meaning)));
        table.rows.push(row("images", self.kept, "in the shards"));
        let title = format!("From rows to images: {}", self.source);
        FigureBlock {
            id: id.to_owned(),
            drawing: bars(&shown, &title),
            title,
            caption: "Every row once; a row that was fetched again counts with its last outcome.".to_owned(),
            table,
        }
    }
}

/// Rows or samples that rules left out, by the dataset card (FORMAT.md, `card.json`); of a
/// folder without one, none.
fn read_card(folder: &Path) -> Result<Vec<Step>, DataError> {
    #[derive(Deserialize)]
    struct Cards {
        runs: Vec<Card>,
    }
    #[derive(Deserialize)]
    struct Card {
        rules: Vec<RuleCount>,
    }
    #[derive(Deserialize)]
    struct RuleCount {
        rule: String,
        dropped: u64,
    }
    let path = folder.join(PAIRMILL_FOLDER).join(CARD_FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(FileError::new(path, FileAction::Read, e).into()),
    };
    let cards: Cards = serde_json::from_slice(&bytes)
        .map_err(|e| DataError::Card { path: path.clone(), problem: e.to_string() })?;
    let mut steps: Vec<Step> = Vec::new();
    for count in cards.runs.into_iter().flat_map(|run| run.rules).filter(|count| count.dropped > 0) {
        match steps.iter_mut().find(|step| step.name == count.rule) {
            Some(step) => step.rows += count.dropped,
            None => steps.push(Step {
                meaning: "left out by a rule (DATASET.md)".to_owned(),
                name: count.rule,
                rows: count.dropped,
            }),
        }
    }
    Ok(steps)
}

/// The funnels of all sources, in the order given.
pub(super) fn section(funnels: &[Funnel]) -> Section {
    let figures =
        funnels.iter().enumerate().map(|(n, funnel)| Block::Figure(funnel.figure(&format!("funnel-{n}"))));
    Section {
        id: "funnels".to_owned(),
        title: "From rows to images".to_owned(),
        lead: "What became of the rows of each source.".to_owned(),
        blocks: figures.collect(),
    }
}
