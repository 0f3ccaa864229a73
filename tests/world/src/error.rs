//! What can go wrong while making the world: encoders, files and sockets. Data cannot, since the world makes it.

use std::io;
use std::path::{Path, PathBuf};

use crate::words::UnknownWord;

/// Result with the world's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the world itself (the faults it serves are not errors: see [`crate::Fault`]).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An encoder refused a picture.
    #[error("cannot encode a {width}×{height} picture as {format}: {reason}")]
    Encode {
        /// Format word.
        format: &'static str,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// The encoder's own words.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A Parquet table could not be written.
    #[error("{}: cannot write Parquet: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: parquet::errors::ParquetError,
    },
    /// A row batch could not be built.
    #[error("{}: cannot build a row batch: {source}", path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// What the builder said.
        source: arrow::error::ArrowError,
    },
    /// A table format could not be told from the file's name.
    #[error("{}: unknown table format; end the name in {known}, or give the format", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Endings that are known.
        known: &'static str,
    },
    /// The server could not listen.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen {
        /// Address and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A configuration that makes no sense.
    #[error("{0}")]
    Config(String),
    /// A word that is none of a vocabulary's.
    #[error(transparent)]
    Word(#[from] UnknownWord),
}

impl Error {
    /// An I/O error that says which file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
