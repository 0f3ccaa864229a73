//! The sidecar table: one Parquet row per *input* row of a shard, successes and failures alike, and the Parquet
//! image shard, which is the same table with the image bytes in its last column (FORMAT.md §4, §7).
//!
//! `schema` says which columns, `writer` writes them in input order with bytes that depend on the rows alone,
//! `reader` reads ours and img2dataset's, `message` holds the wordings of failures, `final_url` says what of an address
//! may be written.

pub mod final_url;
mod foreign;
pub mod message;
mod reader;
mod row;
mod schema;
mod version;
mod writer;

pub use foreign::{IMAGE_NAMES, have_bytes, image_column, is_binary, is_image_struct, value_type};
pub use message::classify_message;
pub use reader::{Batches, RowColumns, Rows, SidecarReader, SidecarRow, is_sidecar, text_column};
pub use row::{ImageSize, RowOutcome, sample_json};
pub use schema::{HashKind, RESERVED_COLUMNS, SidecarOptions, SidecarSchema};
#[cfg(feature = "cli")]
pub(crate) use schema::{image_metadata, image_struct_fields};
#[cfg(feature = "storage")]
pub(crate) use version::{FOOTER_END_BYTES, check_version_in, footer_bytes};
pub use version::{VERSION_KEY, check_version, check_version_beside, check_version_of};
pub(crate) use writer::shard_properties;
pub use writer::{IMAGE_ROW_GROUP_ROWS, SIDECAR_ROW_GROUP_ROWS, SidecarWriter};

use std::path::{Path, PathBuf};

use crate::FORMAT_VERSION;
use crate::atomic::{FileAction, FileError};
use crate::lookalike::Lookalike;
use crate::parquet_file::ParquetFault;
use crate::printable::excerpt;

/// Key of the file metadata that marks a table made from a tar that had none: its `json` and captions are members as
/// they stood.
pub const MEMBERS_KEY: &str = "pairmill.members";

/// Names of the columns Pairmill and img2dataset add to a reader's.
pub mod column {
    /// The sample's key.
    pub const KEY: &str = "key";
    /// img2dataset's status word.
    pub const STATUS: &str = "status";
    /// One line of why a row failed.
    pub const ERROR_MESSAGE: &str = "error_message";
    /// Pixels after the resize.
    pub const WIDTH: &str = "width";
    /// Pixels after the resize.
    pub const HEIGHT: &str = "height";
    /// Pixels as downloaded.
    pub const ORIGINAL_WIDTH: &str = "original_width";
    /// Pixels as downloaded.
    pub const ORIGINAL_HEIGHT: &str = "original_height";
    /// EXIF tags as a JSON string.
    pub const EXIF: &str = "exif";
    /// Typed reason of a failure (Pairmill).
    pub const FAILURE_CLASS: &str = "failure_class";
    /// Requests made for the row (Pairmill).
    pub const ATTEMPTS: &str = "attempts";
    /// Where redirects ended, when that is not `url` (Pairmill).
    pub const FINAL_URL: &str = "final_url";
    /// Key of the row this one supersedes (Pairmill, retry shards only).
    pub const RETRY_OF: &str = "retry_of";
    /// The caption, under this name whatever the input called it.
    pub const CAPTION: &str = "caption";
    /// The URL, under this name whatever the input called it.
    pub const URL: &str = "url";
    /// The image in a Parquet image shard of struct form.
    pub const IMAGE: &str = "image";
    /// Where captions are looked for in tables of any tool; the first that is there counts.
    pub const CAPTIONS: [&str; 4] = ["txt", CAPTION, "text", "TEXT"];
    /// Where keys are.
    pub const KEYS: [&str; 2] = [KEY, "__key__"];
}

/// Why a table cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file could not be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not Parquet, or damaged.
    #[error("{}: not a readable Parquet file: {reason}{remedy}", path.display())]
    Corrupt {
        /// The table.
        path: PathBuf,
        /// What the Parquet reader said.
        reason: String,
        /// What to do, with the punctuation before it; empty where the reason says it.
        remedy: &'static str,
    },
    /// Another kind of file under the name of a table.
    #[error("{}: {what}", path.display())]
    Lookalike {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: Lookalike,
    },
    /// Written by a newer Pairmill.
    #[error("{}: written in format version `{}`, and this program reads up to {FORMAT_VERSION}; read it with the Pairmill that wrote it, or a newer one", path.display(), excerpt(found, 20))]
    Version {
        /// The table.
        path: PathBuf,
        /// The version it names.
        found: String,
    },
    /// A column holds something else than it must.
    #[error("{}: column `{column}` is {found}, not {expected}; was the table made by another tool?", path.display())]
    ColumnType {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it must hold.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// A column that every sidecar has is missing.
    #[error("{}: no column `{column}`; is this a sidecar table?", path.display())]
    MissingColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A cell breaks the format.
    #[error("{}: row {row}: column `{column}`: {problem}", path.display())]
    Cell {
        /// The table.
        path: PathBuf,
        /// Row number from 0.
        row: u64,
        /// The column.
        column: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An input column has a name that the sidecar needs for its own.
    #[error("input column `{0}` has a name the output uses itself; rename it or leave it out")]
    ReservedColumn(String),
    /// Two input columns of one name.
    #[error("input column `{0}` appears twice; name each column once")]
    DuplicateColumn(String),
    /// Rows of another shape than the schema was built for.
    #[error("rows do not fit the sidecar's columns: {0}")]
    Shape(String),
    /// The Parquet writer failed; a full disk shows here.
    #[error("cannot write the table: {0}")]
    Write(#[from] parquet::errors::ParquetError),
    /// Arrow refused to assemble the columns.
    #[error("cannot assemble the table: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl TableError {
    /// `is_ours` of a table with a format version, or in a folder of our runs: they can make it again. Others may be
    /// anyone's.
    pub(crate) fn of_fault(path: &Path, fault: ParquetFault, is_ours: bool) -> Self {
        let remedy = match &fault {
            _ if is_ours => "; delete the shard's files and run again to rebuild it",
            ParquetFault::Encrypted => "",
            ParquetFault::Contradiction(_) => " or fetch it again",
            _ => "; fetch it again, or make it again with the tool that wrote it",
        };
        match fault {
            ParquetFault::Read(error) => FileError::new(path, FileAction::Read, error).into(),
            ParquetFault::Lookalike(what) => Self::Lookalike { path: path.to_owned(), what },
            fault => {
                let text = fault.to_string();
                // The remedy says it, where it is one.
                let reason = text.strip_suffix(", fetch it again").unwrap_or(&text).to_owned();
                Self::Corrupt { path: path.to_owned(), reason, remedy }
            }
        }
    }
}
