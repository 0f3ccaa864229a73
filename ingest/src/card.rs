//! The dataset card: where the rows are from, what was dropped by which rule and why, and how many pictures came of
//! it, beside what the study had. `_pairmill/card.json` for programs, `DATASET.md` for people.
//!
//! A folder that was extended has one entry a run, and one for each `retry`, whose rows stand among the failures of a
//! run. The card holds nothing that depends on the clock, so equal runs write equal cards.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use pairmill_shards::folder::PAIRMILL_FOLDER;
pub use pairmill_shards::funnel::{CARD_FILE, CARD_TEXT_FILE, RuleCount};
use pairmill_shards::funnel::{CARD_FORMAT, write_cards};
use pairmill_shards::markup::markdown;
use pairmill_shards::printable::printable;
use pairmill_shards::stamp::{Depth, Stamp};
use pairmill_shards::words::grouped;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::IngestError;
use crate::filter::{FilterConfig, Funnel, SubsetConfig};
use crate::output::Segment;
use crate::progress::Account;
use crate::small_file::{LIST_BYTES, read_bytes};

/// All runs over a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cards {
    format: u32,
    runs: Vec<Card>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retries: Vec<RetryCard>,
}

impl Cards {
    fn read(folder: &Path) -> Option<Self> {
        let path = folder.join(PAIRMILL_FOLDER).join(CARD_FILE);
        read_bytes(&path, LIST_BYTES).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    fn write(&self, folder: &Path) -> Result<(), IngestError> {
        let runs = self.runs.iter().map(Card::to_markdown);
        let text: Vec<String> = runs.chain(self.retries.iter().map(RetryCard::to_markdown)).collect();
        Ok(write_cards(folder, "pairmill-ingest", self, &text.concat())?)
    }
}

/// What one run took from where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Id of the run's first shard.
    pub first_shard: u64,
    /// Version of the tool that began it.
    pub version: String,
    /// Word of the source, if it is a known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its licence note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The files, in reading order.
    pub inputs: Vec<HashedInput>,
    /// The rules and their cut-offs.
    pub filter: FilterConfig,
    /// The draw.
    pub subset: SubsetConfig,
    /// Rows of the files.
    pub rows_in: u64,
    /// What each rule saw and dropped, in order.
    pub rules: Vec<RuleCount>,
    /// Rules that the source has but the table no column for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applied: Vec<String>,
    /// Rows that passed: those of the shards.
    pub rows_kept: u64,
    /// Pictures in the shards.
    pub pictures: u64,
    /// Rows without a picture, by class.
    pub failures: BTreeMap<String, u64>,
    /// Pictures the study had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper_rows: Option<u64>,
}

/// An input file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashedInput {
    /// Its name without folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Of its bytes as they are on disk, in hex.
    pub sha256: String,
}

impl Card {
    /// The card of a finished run.
    pub fn new(
        config: &Config,
        segment: &Segment,
        inputs: &[HashedInput],
        funnel: &Funnel,
        account: &Account,
    ) -> Self {
        let manners = config.source.name.map(|source| source.manners());
        let failures = &account.outcomes.failures;
        Self {
            first_shard: segment.first_shard,
            version: segment.version.clone(),
            source: config.source.name.map(|source| source.as_str().to_owned()),
            title: manners.as_ref().map(|manners| manners.guide.title.to_owned()),
            licence: manners.as_ref().map(|manners| manners.licence.to_owned()),
            inputs: inputs.to_vec(),
            filter: config.filter.clone(),
            subset: config.subset,
            rows_in: funnel.rows_in,
            rules: funnel.steps().collect(),
            not_applied: funnel.not_applied().map(|rule| rule.as_str().to_owned()).collect(),
            rows_kept: funnel.kept(),
            pictures: account.outcomes.successes,
            failures: failures.iter().map(|(class, rows)| (class.as_str().to_owned(), *rows)).collect(),
            paper_rows: manners.and_then(|manners| manners.guide.paper_rows),
        }
    }

    /// Writes both cards of `folder`; entries of its other runs stay.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(self, folder: &Path) -> Result<(), IngestError> {
        let new = || Cards { format: CARD_FORMAT, runs: Vec::new(), retries: Vec::new() };
        let mut cards = Cards::read(folder).unwrap_or_else(new);
        cards.runs.retain(|run| run.first_shard != self.first_shard);
        cards.runs.push(self);
        cards.runs.sort_by_key(|run| run.first_shard);
        cards.write(folder)
    }

    fn to_markdown(&self) -> String {
        let mut text = String::new();
        let title = self.title.as_deref().unwrap_or("A table of one's own");
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n## {title}, from shard {}\n", self.first_shard);
        if let Some(licence) = &self.licence {
            let _ = writeln!(text, "{licence}\n");
        }
        let _ = writeln!(text, "| | rows |\n|---|---:|");
        let _ = writeln!(text, "| in the files | {} |", grouped(self.rows_in));
        for rule in &self.rules {
            let _ = writeln!(text, "{}", rule.table_row());
        }
        for rule in &self.not_applied {
            let _ = writeln!(text, "| `{rule}` not applied: no column for it | |");
        }
        let _ = writeln!(text, "| kept | {} |", grouped(self.rows_kept));
        for (class, rows) in &self.failures {
            let _ = writeln!(text, "| failed: `{class}` | {} |", grouped(*rows));
        }
        let _ = writeln!(text, "| **pictures** | **{}** |", grouped(self.pictures));
        if let Some(paper) = self.paper_rows {
            let _ = writeln!(text, "| the study had, before it drew subsets | {} |", grouped(paper));
        }
        if let Some(rows) = self.subset.rows {
            let seed = self.subset.seed;
            // All of them where there were no more.
            let drawn = grouped(rows.min(self.rows_kept));
            let _ = writeln!(text, "\nSubset: {drawn} rows drawn with seed {seed}.");
        }
        if let Some(expression) = &self.filter.predicate {
            let _ = writeln!(text, "\nWhere: `{}`.", printable(&expression.replace('\n', " ")));
        }
        if let Some(rows) = self.subset.prefix {
            let _ = writeln!(
                text,
                "\nSubset: the first {} rows; files behind them were not read.",
                grouped(rows)
            );
        }
        if self.subset.shuffle {
            let _ = writeln!(text, "\nShuffled with seed {}.", self.subset.seed);
        }
        let _ = writeln!(text, "\n| file | bytes | SHA-256 |\n|---|---:|---|");
        for HashedInput { name, bytes, sha256 } in &self.inputs {
            let _ = writeln!(text, "| {} | {} | `{sha256}` |", markdown(name), grouped(*bytes));
        }
        let _ = writeln!(text, "\nMade with pairmill {}.", self.version);
        text
    }
}

/// What a retry fetched again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryCard {
    /// Id of its first shard.
    pub first_shard: u64,
    /// Version of the tool that began it.
    pub version: String,
    /// Failures that it was for.
    pub classes: Vec<String>,
    /// Rows that had failed so: those of its shards.
    pub rows: u64,
    /// Pictures in its shards.
    pub pictures: u64,
    /// Rows that failed again, by class.
    pub failures: BTreeMap<String, u64>,
}

impl RetryCard {
    /// The card of a finished retry.
    pub fn new(segment: &Segment, account: &Account) -> Self {
        let outcomes = &account.outcomes;
        Self {
            first_shard: segment.first_shard,
            version: segment.version.clone(),
            classes: segment.retry_of_classes.iter().map(|class| class.as_str().to_owned()).collect(),
            rows: outcomes.rows,
            pictures: outcomes.successes,
            failures: outcomes
                .failures
                .iter()
                .map(|(class, rows)| (class.as_str().to_owned(), *rows))
                .collect(),
        }
    }

    /// Adds it to the cards of `folder`, if there are any; whether there are.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(self, folder: &Path) -> Result<bool, IngestError> {
        let Some(mut cards) = Cards::read(folder) else { return Ok(false) };
        cards.retries.retain(|retry| retry.first_shard != self.first_shard);
        cards.retries.push(self);
        cards.retries.sort_by_key(|retry| retry.first_shard);
        cards.write(folder).map(|()| true)
    }

    fn to_markdown(&self) -> String {
        let classes: Vec<String> = self.classes.iter().map(|class| format!("`{class}`")).collect();
        let mut text = format!(
            "\n## Fetched again, from shard {}\n\nRows above that had failed as {}.\n\n| | rows |\n|---|---:|\n| fetched again | {} |\n",
            self.first_shard,
            classes.join(", "),
            grouped(self.rows)
        );
        for (class, rows) in &self.failures {
            // Writing to a string does not fail.
            let _ = writeln!(text, "| failed: `{class}` | {} |", grouped(*rows));
        }
        let _ = writeln!(text, "| **pictures** | **{}** |", grouped(self.pictures));
        let _ = writeln!(text, "\nMade with pairmill {}.", self.version);
        text
    }
}

/// Hashes of the input files, computed on a thread of their own while pictures are fetched.
#[derive(Debug)]
pub struct InputHashes {
    thread: JoinHandle<Result<Vec<HashedInput>, IngestError>>,
    /// While it lives, the hashes are wanted: a run that ends early drops it.
    wanted: Arc<()>,
}

impl InputHashes {
    /// Begins; of files whose SHA-256 is known already, nothing is read.
    pub fn start(files: Vec<(PathBuf, Option<String>)>) -> Self {
        let wanted = Arc::new(());
        let watched = Arc::downgrade(&wanted);
        let thread = std::thread::spawn(move || {
            let wanted = || watched.strong_count() > 0;
            files.into_iter().map(|(path, known)| hash(&path, known, wanted)).collect()
        });
        Self { thread, wanted }
    }

    /// Waits for them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn join(self) -> Result<Vec<HashedInput>, IngestError> {
        let hashes = self.thread.join();
        drop(self.wanted);
        hashes.map_err(|_| IngestError::Internal("hashing the input ended by itself".to_owned()))?
    }
}

fn hash(path: &Path, known: Option<String>, wanted: impl Fn() -> bool) -> Result<HashedInput, IngestError> {
    let failed = |error: std::io::Error| IngestError::Io {
        path: path.to_owned(),
        reason: format!("{error}; the shards are finished, give the same command again for the card"),
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    let sha256 = match known {
        Some(known) => known,
        None => {
            let stamp = Stamp::of_while(path, Depth::Whole, &wanted).map_err(failed)?;
            stamp.as_ref().and_then(Stamp::sha256).unwrap_or_default().to_owned()
        }
    };
    Ok(HashedInput { name, bytes, sha256 })
}
