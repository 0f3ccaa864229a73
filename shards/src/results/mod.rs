//! Result rows: what the trainer measured, one row per (run, metric), and the only place where training and reports
//! meet (FORMAT.md §10).
//!
//! `row` is the row and its words, `parquet` the form the trainer writes, `tsv` the view with the columns of the
//! paper's released table, so that the authors' file and ours are read alike, `table` reads either form and says what it
//! did with `Nan` cells and repeated rows, and `names` tells sources and tasks of one name apart by their content. Values of the corrected and of the as-published protocol never
//! meet in one view.

mod names;
mod parquet;
mod row;
mod table;
mod tsv;

pub use names::Names;
pub use parquet::{RESULTS_VERSION, read_parquet, write_parquet};
pub use row::{Method, Protocol, ResultRow, RunConfig, Selection, Shots, Split, View};
pub use table::{Origin, ReadNote, ResultTable, SourcedRow};
pub use tsv::{Cell, TSV_COLUMNS, TsvRow, TsvView, read_tsv, tsv_view, write_tsv};

use std::path::PathBuf;

use crate::atomic::FileError;

/// Why result rows cannot be read or written. Each names the file, the place and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file could not be opened, read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing in it.
    #[error("{}: empty, not even a header; is it the result of a run that was cut off?", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Larger than any table of results.
    #[error("{}: {bytes} bytes; result tables of more than {limit} bytes are not read, so split it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The header is not the one of the table.
    #[error("{}: {problem}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Which column, and what to do.
        problem: String,
    },
    /// One cell or row breaks the format.
    #[error("{}: line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line of the text file, the header being 1.
        line: u64,
        /// Which column, what is wrong, what to do.
        problem: String,
    },
    /// One row of a Parquet file breaks the format.
    #[error("{}: row {row}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Row number from 0.
        row: u64,
        /// Which column, what is wrong, what to do.
        problem: String,
    },
    /// Not Parquet, or damaged.
    #[error("{}: not a readable Parquet file: {reason}; write it again from the run", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// Rows that contradict each other.
    #[error("{first} and {second} give {what} two values, {a} and {b}; remove the wrong one")]
    Conflict {
        /// Where the first stands.
        first: String,
        /// Where the second stands.
        second: String,
        /// Run, shots and metric.
        what: String,
        /// The first value.
        a: f64,
        /// The second value.
        b: f64,
    },
    /// Both protocols in one view.
    #[error(
        "rows of the corrected and of the as-published protocol cannot stand in one table; write one each"
    )]
    MixedProtocols,
    /// A row that the TSV view has no place for.
    #[error("the TSV view has no column for {0}; write Parquet instead")]
    NoColumn(String),
    /// The Parquet writer failed.
    #[error("cannot write the results: {0}")]
    Write(#[from] ::parquet::errors::ParquetError),
    /// Arrow refused to assemble the columns.
    #[error("cannot assemble the results: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}
