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

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::atomic::{FileAction, FileError};

/// Largest index file that is read at once: 16 M samples of Energon's.
pub const MAX_INDEX_BYTES: u64 = 128 << 20;
/// Largest `sizes.json`: a million shards.
pub const MAX_SIZES_BYTES: u64 = 32 << 20;

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

/// Reads a whole index file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, IndexError> {
    let failed = |e| FileError::new(path, FileAction::Read, e);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(malformed(path, format!("more than {limit} bytes, which is the limit"))),
        false => Ok(bytes),
    }
}

fn malformed(path: &Path, reason: impl Into<String>) -> IndexError {
    IndexError::Malformed { path: path.to_path_buf(), reason: reason.into() }
}
