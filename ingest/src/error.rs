//! Everything that ends a run. A row that fails is no error (it gets a failure class); an error is what leaves rows
//! unwritten, and its one line names the file, flag or folder and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::FileError;
use pairmill_shards::index::IndexError;
use pairmill_shards::stats::StatsError;
use pairmill_shards::storage::StorageError;
use pairmill_shards::table::TableError as SidecarError;
use pairmill_shards::tar::TarWriteError;

use crate::config::ConfigError;
use crate::fetch::FetchError;
use crate::filter::FilterError;
use crate::imagenet::ImageNetError;
use crate::table::TableError;

/// Why a run ended early or never began.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A setting that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The input table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A rule that cannot be applied.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// ImageNet's archives.
    #[error(transparent)]
    ImageNet(#[from] ImageNetError),
    /// `retry` of what was never fetched.
    #[error("{}: its images came out of an archive, not from the web, so there is nothing to fetch again; mend the archive and run it into a new folder", folder.display())]
    NotFetched {
        /// The folder.
        folder: PathBuf,
    },
    /// The fetch runtime did not start.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A finished file could not be put in place.
    #[error(transparent)]
    Atomic(#[from] FileError),
    /// An index of a tar could not be written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A finished shard's stats cannot be read.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A sidecar.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// A bucket, of the input or of the output.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A tar could not be written.
    #[error(transparent)]
    Tar(#[from] TarWriteError),
    /// The output folder holds shards of a run with other settings or another input.
    #[error(
        "{folder}: holds another run's shards ({differences}); use another --output-folder, the same settings, or \
         --incremental-mode overwrite to start anew"
    )]
    OtherRun {
        /// The output folder.
        folder: PathBuf,
        /// Each setting that differs.
        differences: String,
    },
    /// The input is another one than that of the shards in the folder.
    #[error(
        "{folder}: its shards were made of another input ({what}); bring the former input back, or give another \
         --output-folder, or --incremental-mode overwrite to start anew"
    )]
    OtherInput {
        /// The output folder.
        folder: PathBuf,
        /// The file and what of it is different.
        what: String,
    },
    /// An input file changed while a run read it.
    #[error(
        "{file}: changed while it was read, so shards may hold rows of both versions; start anew with \
         --incremental-mode overwrite once nothing writes to it"
    )]
    ChangedMeanwhile {
        /// The file.
        file: PathBuf,
    },
    /// Input and output in one folder, where the shards' names would be taken for input, or take its place.
    #[error("{output}: {clash}; give another --output-folder")]
    OverInput {
        /// The output folder.
        output: PathBuf,
        /// Which file of the run would be which input.
        clash: String,
    },
    /// `retry` or `extend` on a folder whose last run did not finish.
    #[error(
        "{folder}: the run that begins at shard {first_shard} is not finished; finish it first by giving its command \
         again"
    )]
    Unfinished {
        /// The output folder.
        folder: PathBuf,
        /// Where the unfinished run begins.
        first_shard: u64,
    },
    /// Another process writes to the folder.
    #[error("{folder}: another pairmill-ingest is writing here; wait for it or stop it")]
    Locked {
        /// The output folder.
        folder: PathBuf,
    },
    /// `retry` on a folder that no run of ours began.
    #[error(
        "{folder}: no run of pairmill-ingest began here (no _pairmill/runs); `retry` needs its settings: finish the \
         folder with `run` first"
    )]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },
    /// A file in `_pairmill/runs` is damaged.
    #[error("{file}: not a run's settings: {message}; remove the file if the run may be continued on trust")]
    Segment {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A shard's rows beyond what is held at once.
    #[error(
        "{rows} rows of one shard hold more than {mebibytes} MiB of text; lower --number-sample-per-shard or carry fewer \
         columns"
    )]
    ShardTooLarge {
        /// Rows gathered until the limit.
        rows: usize,
        /// The limit.
        mebibytes: usize,
    },
    /// The operating system refused.
    #[error("{path}: {reason}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The refusal, and what to do where we know.
        reason: String,
    },
    /// A thread ended that should not have.
    #[error("internal: {0}; please report this")]
    Internal(String),
}

impl IngestError {
    /// An I/O error at `path`, with advice for the usual causes.
    pub fn folder(path: &Path, error: io::Error) -> Self {
        let advice = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; make room and give the same command again, finished shards are kept"
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                "; choose an --output-folder you may write to"
            }
            io::ErrorKind::NotFound => "; the folder is gone: give the same command again to recreate it",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "; a file is in the way: choose another --output-folder"
            }
            _ => "",
        };
        Self::Io { path: path.to_owned(), reason: format!("{error}{advice}") }
    }

    /// Whether the user's input is at fault (exit code 2) rather than the machine (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Storage(error) => return error.is_bad_input(),
            Self::Sidecar(error) => return matches!(error, SidecarError::Version { .. }),
            Self::Fetch(error) => return error.is_bad_input(),
            _ => {}
        }
        matches!(
            self,
            Self::Fetch(FetchError::UserAgent(_) | FetchError::Nameserver(_) | FetchError::Network(_))
                | Self::Config(_)
                | Self::Table(_)
                | Self::Filter(_)
                | Self::ShardTooLarge { .. }
                | Self::ImageNet(_)
                | Self::OtherRun { .. }
                | Self::OtherInput { .. }
                | Self::ChangedMeanwhile { .. }
                | Self::OverInput { .. }
                | Self::Unfinished { .. }
                | Self::NoRun { .. }
                | Self::NotFetched { .. }
                | Self::Locked { .. }
        )
    }
}
