//! Rules that drop rows or samples, and how many each dropped: what ingest's filters and `pairmill-shards subset` count,
//! print and put on the dataset card (FORMAT.md, `card.json`) alike.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::atomic::{FileAction, FileError, write_atomic};
pub use crate::folder::CARD_TEXT_FILE;
use crate::folder::PAIRMILL_FOLDER;
use crate::printable::printable_json;
use crate::words::{grouped, percent};

/// Name of the card for programs, in `_pairmill/`.
pub const CARD_FILE: &str = "card.json";
/// Version of the card's layout.
pub const CARD_FORMAT: u32 = 1;

/// Writes both cards of `folder`: `card` for programs, `sections` of Markdown for people, by `tool`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_cards(
    folder: &Path,
    tool: &str,
    card: &impl Serialize,
    sections: &str,
) -> Result<(), FileError> {
    let path = folder.join(PAIRMILL_FOLDER).join(CARD_FILE);
    let mut json = serde_json::to_string_pretty(card)
        .map_err(|error| FileError::new(&path, FileAction::Write, error.into()))?;
    json.push('\n');
    let head = format!(
        "# Dataset card\n\nWritten by {tool}; the same for programs: `{PAIRMILL_FOLDER}/{CARD_FILE}`.\n"
    );
    write_atomic(folder.join(CARD_TEXT_FILE), format!("{head}{sections}").as_bytes())?;
    write_atomic(path, printable_json(&json).as_bytes())
}

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// Its word.
    pub rule: String,
    /// Rows it saw.
    pub rows_in: u64,
    /// Rows it dropped.
    pub dropped: u64,
}

impl RuleCount {
    /// A line of a Markdown table of two columns.
    pub fn table_row(&self) -> String {
        let share = percent(self.dropped, self.rows_in);
        format!("| dropped by `{}` | {} ({share} of what it saw) |", self.rule, grouped(self.dropped))
    }
}

/// Numbers of a funnel's first and last line, below each other.
pub fn total(what: &str, count: u64) -> String {
    format!("{what:<20} {:>15}", grouped(count))
}

impl fmt::Display for RuleCount {
    /// A line of a printed funnel, as wide as [`total`]'s: dropped rows, their share of what the rule saw, what is left.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gone, left) = (grouped(self.dropped), grouped(self.rows_in - self.dropped.min(self.rows_in)));
        write!(f, "- {:<18} {gone:>15}  {:>6}  left {left}", self.rule, percent(self.dropped, self.rows_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_below_each_other() {
        let step = RuleCount { rule: "duplicate_image".to_owned(), rows_in: 2_000, dropped: 8 };
        assert_eq!(total("samples in", 2_000), "samples in                     2,000");
        assert_eq!(step.to_string(), "- duplicate_image                  8    0.4%  left 1,992");
        assert_eq!(step.table_row(), "| dropped by `duplicate_image` | 8 (0.4% of what it saw) |");
    }
}
