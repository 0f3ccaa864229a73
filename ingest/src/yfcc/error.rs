//! What can be wrong with YFCC's files, each as one line that names the file, the line and the fix.

use std::path::PathBuf;

/// Why YFCC's files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum YfccError {
    /// The operating system refused.
    #[error("{}: cannot read: {error}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The compressed stream breaks off or is damaged.
    #[error("{}: broken bzip2 data after line {line}: {reason}; the file is damaged or cut short, fetch it again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Whole lines before the break.
        line: u64,
        /// What the decoder says.
        reason: String,
    },
    /// The SQLite release is damaged, or is another database.
    #[error("{}: not readable as YFCC100M's SQLite release: {reason}; fetch yfcc100m_dataset.sql again", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A line that does not end.
    #[error("{}: line {line} is longer than {} MiB; this is no YFCC100M text file", path.display(), super::MAX_LINE_BYTES >> 20)]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
    },
    /// A line with another number of fields than the format, or than the first line.
    #[error("{}: line {line} has {found} tab-separated columns, not {expected}; {fix}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// Fields found.
        found: usize,
        /// What would do.
        expected: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A number that is none.
    #[error("{}: line {line}: the {field} is `{found}`, not a number{fix}", path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// Which column.
        field: &'static str,
        /// Its text, shortened.
        found: String,
        /// What to do, starting with `; `.
        fix: &'static str,
    },
    /// A line number far beyond the 100 million there are.
    #[error("{}: line {line} lists line number {number}, beyond {}; this is not the list of a YFCC100M subset", path.display(), super::subset::MAX_LINES)]
    LineNumber {
        /// The list.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// The number.
        number: u64,
    },
    /// A list that no YFCC100M has.
    #[error("{}: line {line}: the {what} is beyond any of YFCC100M; give OpenAI's yfcc100m_subset_data.tsv.bz2", path.display())]
    NotTheList {
        /// The list.
        path: PathBuf,
        /// 1-based.
        line: u64,
        /// What is too large.
        what: &'static str,
    },
    /// A library panicked on the file's bytes.
    #[error("{}: the reader {reason}, after line {line}; please report this", path.display())]
    Panic {
        /// The file.
        path: PathBuf,
        /// Lines read before.
        line: u64,
        /// Where it panicked and what it said.
        reason: String,
    },
    /// The list names another photo at a line than the metadata has there.
    #[error("{}: line number {number} is photo {found}, but {} lists photo {listed} there; the list belongs to another release: join on the photo id", path.display(), subset.display())]
    OtherPhoto {
        /// The metadata.
        path: PathBuf,
        /// The list.
        subset: PathBuf,
        /// Line number, 0-based as in the list.
        number: u64,
        /// Photo id in the metadata.
        found: u64,
        /// Photo id in the list.
        listed: u64,
    },
    /// All lines were found but their photos are others.
    #[error("{}: the photo ids at the listed line numbers are not those of {}; the list belongs to another release: join on the photo id", path.display(), subset.display())]
    OtherPhotos {
        /// The metadata.
        path: PathBuf,
        /// The list.
        subset: PathBuf,
    },
    /// No line at all.
    #[error("{}: the file is empty; fetch it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A batch could not be put together.
    #[error("internal: {0}; please report this")]
    Batch(#[from] arrow::error::ArrowError),
}
