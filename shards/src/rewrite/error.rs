//! What can be wrong with shards that are to be rewritten, each in one line that says what to do.

use std::path::{Path, PathBuf};

use crate::atomic::{FileAction, FileError};
use crate::index::IndexError;
use crate::table::TableError;
use crate::tar::{TarError, TarWriteError};

/// Why shards cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// Nothing to read.
    #[error("no tar was given; name shards or a folder that holds them")]
    NoInputs,
    /// The output is where the input is.
    #[error("{}: the output is an input's own folder; give another", folder.display())]
    OwnFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The output holds another run's shards.
    #[error("{}: holds {what}; give another folder, or empty this one", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// What it holds.
        what: &'static str,
    },
    /// Another process writes to the output.
    #[error("{}: another subset, reshard or convert, or pairmill-ingest, is writing here; wait for it or stop it", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// An input is another one than when the run began.
    #[error(
        "{}: its shards were made of another {input} (same name and size, other content); bring the former one back, \
         or give another folder, or empty this one", folder.display()
    )]
    OtherInput {
        /// The output folder.
        folder: PathBuf,
        /// The input.
        input: String,
    },
    /// The record of a run cannot be understood.
    #[error("{}: not a record of subset, reshard or convert ({problem}); bring it back, or empty the folder", path.display())]
    Record {
        /// The file in `_pairmill`.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },
    /// A sample that its sidecar does not know.
    #[error("{}: sample {key} has no success of its own in {}; run `pairmill-shards verify`", tar.display(), table.display())]
    NoRow {
        /// The tar.
        tar: PathBuf,
        /// The sidecar.
        table: PathBuf,
        /// The sample.
        key: String,
    },
    /// A member that cannot stand in a new shard.
    #[error("{}: {source}", tar.display())]
    Sample {
        /// The tar it is from, or the new one.
        tar: PathBuf,
        /// What is wrong.
        source: TarWriteError,
    },
    /// A damaged bucket: the disk under the output.
    #[error("{}: a temporary file was changed while it was used; give the command again", path.display())]
    Bucket {
        /// The bucket.
        path: PathBuf,
    },
    /// A damaged tar.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A damaged sidecar, or a new one that cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An index of the new shards.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a [`Carrier`](super::Carrier) could not bring or take.
    #[error(transparent)]
    Carried(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl RewriteError {
    /// Why a sample of `tar` could not be written to `output`: the fault of the one or of the other.
    pub(super) fn of_write(tar: &Path, output: &Path, source: TarWriteError) -> Self {
        match source {
            TarWriteError::Io(error) => match error.downcast::<FileError>() {
                Ok(error) => error.into(),
                Err(error) => FileError::new(output, FileAction::Write, error).into(),
            },
            source => Self::Sample { tar: tar.to_owned(), source },
        }
    }

    pub(super) const OTHER_SHARDS: &'static str = "shards that this command did not write";
    pub(super) const OTHER_RUN: &'static str = "shards of other inputs or other settings";
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn f15_a_full_disk_is_not_the_inputs_fault() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let named = FileError::new("out/00000.tar", FileAction::Write, full()).into_io();
        for (error, place) in [(full(), "out/_pairmill/shuffle/000.tar"), (named, "out/00000.tar")] {
            let bucket = Path::new("out/_pairmill/shuffle/000.tar");
            let text =
                RewriteError::of_write(Path::new("in.tar"), bucket, TarWriteError::Io(error)).to_string();
            assert!(
                text.contains(place) && text.contains("the disk is full") && !text.contains("in.tar"),
                "{text}"
            );
        }
        let of_sample = TarWriteError::NoMembers { key: "k".to_owned() };
        let text = RewriteError::of_write(Path::new("in.tar"), Path::new("out"), of_sample).to_string();
        assert!(text.starts_with("in.tar: "), "{text}");
    }
}
