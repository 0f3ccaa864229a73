//! What can be wrong with captions, each in one line that says what to do.

use std::path::PathBuf;

use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::spec::SpecError;
use pairmill_shards::tar::TarError;

use super::count::SpillError;
use crate::output::OutputError;

/// Why captions cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum CaptionsError {
    /// An input names no file.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A file could not be opened, read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A table of a newer format version.
    #[error(transparent)]
    Version(#[from] pairmill_shards::table::TableError),
    /// A damaged tar.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A temporary file.
    #[error(transparent)]
    Spill(#[from] SpillError),
    /// A file of a format without captions.
    #[error("{}: captions are read from .tar, .parquet, .csv, .tsv and .jsonl, each of the last three also with .gz", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A table that does not parse.
    #[error("{}: {problem}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },
    /// A column that is not there.
    #[error("{}: no column `{column}`; {advice}", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// Names that are near, or all there are.
        advice: String,
    },
    /// No column that looks like captions.
    #[error("{}: none of the columns {columns} is known to hold captions; name one with --caption-col", path.display())]
    WhichColumn {
        /// The file.
        path: PathBuf,
        /// All there are.
        columns: String,
    },
    /// The column holds something else than text.
    #[error("{}: column `{column}` holds {found}, not text; name the column of captions with --caption-col", path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// Files of one source that are not alike.
    #[error("source `{source_name}` mixes schemas: {} has {first}, {} has {second}; give them as two sources (NAME=PATH) or name the column with --caption-col", first_path.display(), second_path.display())]
    Mixed {
        /// The source.
        source_name: String,
        /// A file.
        first_path: PathBuf,
        /// What it has.
        first: String,
        /// A file that differs.
        second_path: PathBuf,
        /// What that has.
        second: String,
    },
    /// Nothing to count.
    #[error("source `{source_name}` holds no captions: {account}")]
    NoCaptions {
        /// The source.
        source_name: String,
        /// What became of its rows.
        account: String,
    },
    /// A class file without a name in it.
    #[error("{}: no class name in it; write one on each line", path.display())]
    NoClasses {
        /// The file.
        path: PathBuf,
    },
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// The merges of the tokenizer, which are built in.
    #[error("the tokenizer cannot be made: {0}")]
    Tokens(String),
    /// A drawing, or a file of it.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl CaptionsError {
    /// Whether the input is at fault, not the disk or the program.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::File(e) => matches!(e.action, FileAction::Read | FileAction::List),
            Self::Spill(_) | Self::Tokens(_) | Self::Output(_) => false,
            _ => true,
        }
    }
}
