//! What keeps filters from doing their work. A row that fails a rule is no error.

use std::path::PathBuf;

/// Why rows cannot be filtered.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A rule about captions on a table whose captions are not read.
    #[error("[filter] {setting} needs captions: name their column with --caption-col")]
    NoCaption {
        /// The rule's setting.
        setting: &'static str,
    },
    /// More different values than the memory that was granted holds.
    #[error(
        "[filter] {setting}: more than {max} different values; raise [filter] max_distinct (each takes 20 to 39 bytes \
         of memory) or turn the rule off"
    )]
    TooManyDistinct {
        /// The rule's setting.
        setting: &'static str,
        /// The bound.
        max: u64,
    },
    /// The list of words.
    #[error("{path}: cannot read the list of words ([filter] profanity): {error}")]
    Words {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A list without a word.
    #[error("{path}: no word in it ([filter] profanity); give one word or phrase a line, in UTF-8")]
    NoWords {
        /// The file.
        path: PathBuf,
    },
    /// An SQL expression that is none, or not over the table's columns.
    #[error("--where `{expression}`: {reason}")]
    Where {
        /// As the user gave it.
        expression: String,
        /// What SQLite says.
        reason: String,
    },
    /// A column that a filter cannot read.
    #[error("column `{column}` cannot be filtered on: {reason}; name another in [filter.columns]")]
    Column {
        /// Which.
        column: &'static str,
        /// Arrow's word.
        reason: String,
    },
}
