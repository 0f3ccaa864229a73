//! Why a dataset cannot be used: which file, which rule.

use std::io;
use std::path::{Path, PathBuf};

use pairmill_shards::printable::{excerpt, printable};

/// Why a dataset cannot be used. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file or folder cannot be read.
    #[error("{}: cannot be read: {source}", shown_path(path))]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something that the dataset cannot do without is not there.
    #[error("{}: {what}", shown_path(place))]
    Missing {
        /// Where it was looked for.
        place: PathBuf,
        /// What, and where it comes from.
        what: String,
    },
    /// An archive that is cut off, damaged or none at all.
    #[error("{}: {rule}", shown_path(path))]
    Archive {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        rule: String,
    },
    /// A file whose content breaks a rule, or a dataset whose parts do not fit together.
    #[error("{file}: {rule}")]
    Wrong {
        /// Which file, or which row of it.
        file: String,
        /// The rule.
        rule: String,
    },
    /// The config does not fit the kind of dataset.
    #[error("dataset {kind}: {rule}")]
    Config {
        /// The kind's word.
        kind: &'static str,
        /// What is wrong.
        rule: String,
    },
}

impl DatasetError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn wrong(file: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Wrong { file: file.into(), rule: rule.into() }
    }

    pub(super) fn missing(place: &Path, what: impl Into<String>) -> Self {
        Self::Missing { place: place.to_owned(), what: what.into() }
    }
}

/// A path in one line, whole: what it ends in is the file that is meant.
pub(super) fn shown_path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// Text from outside, fit for one line of a message.
pub(super) fn shown(text: &str) -> String {
    excerpt(text, 120)
}
