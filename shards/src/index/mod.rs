//! Side indexes that other readers of our tars want: views of a [`TarIndex`](crate::tar::TarIndex), written beside
//! the shard when it is written, or later for anyone's tars. FORMAT.md §5.
//!
//! | file | for |
//! |---|---|
//! | `00000.idx` ([`dali`]) | DALI's webdataset reader, which otherwise scans the tar at start-up |
//! | `00000.tar.idx` ([`energon`]) | Megatron-Energon's random access |
//! | `sizes.json` ([`sizes`]) | open_clip, which otherwise needs `--train-num-samples` |

pub mod dali;
pub mod energon;
pub mod sizes;

use std::path::PathBuf;

use crate::atomic::{FileAction, FileError};

/// Largest index file that is read.
pub const MAX_INDEX_BYTES: u64 = 1 << 30;

/// An index that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A name that DALI's blank-separated lines cannot hold.
    #[error("{}: member `{name}` has a blank in its name, which DALI's index cannot hold; rename it, or leave DALI's index out", path.display())]
    Blank {
        /// The index file.
        path: PathBuf,
        /// The member.
        name: String,
    },
    /// The file does not hold what its name promises.
    #[error("{}: {reason}; delete it and run `pairmill-shards index` again", path.display())]
    Malformed {
        /// The index file.
        path: PathBuf,
        /// What is wrong, with the line where there are lines.
        reason: String,
    },
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads a whole index file, unless it is absurdly large.
fn read(path: &std::path::Path) -> Result<Vec<u8>, IndexError> {
    let failed = |e| FileError::new(path, FileAction::Read, e);
    let len = std::fs::metadata(path).map_err(failed)?.len();
    if len > MAX_INDEX_BYTES {
        return Err(malformed(path, format!("{len} bytes; the limit is {MAX_INDEX_BYTES}")));
    }
    Ok(std::fs::read(path).map_err(failed)?)
}

fn malformed(path: &std::path::Path, reason: impl Into<String>) -> IndexError {
    IndexError::Malformed { path: path.to_path_buf(), reason: reason.into() }
}
