//! The version of the format, which stands in the file metadata of each table. Every reader stops at a newer one than it
//! knows (FORMAT.md): what it takes for a column may mean something else there.

use std::path::Path;

use parquet::file::metadata::KeyValue;

use super::TableError;
use crate::FORMAT_VERSION;
use crate::folder::{ShardFile, beside};
use crate::parquet_file::{ParquetFile, ParquetInput};

/// Key of the file metadata that names the version.
pub const VERSION_KEY: &str = "pairmill.format_version";

/// Bytes at the end of a Parquet file that say how long its footer is.
#[cfg(feature = "storage")]
pub(crate) const FOOTER_END_BYTES: u64 = 8;
/// A footer longer than this is not read for a version's sake.
#[cfg(feature = "storage")]
const MAX_FOOTER_BYTES: u64 = 32 << 20;

/// Holds the file metadata of the table at `path` against the versions this program knows. Tables of other tools have
/// none, and pass.
///
/// # Errors
/// When the version is newer.
pub fn check_version(path: &Path, metadata: Option<&Vec<KeyValue>>) -> Result<(), TableError> {
    let entry = metadata.into_iter().flatten().find(|entry| entry.key == VERSION_KEY);
    let Some(found) = entry.map(|entry| entry.value.as_deref().unwrap_or_default()) else { return Ok(()) };
    match found.parse::<u32>() {
        Ok(version) if (1..=FORMAT_VERSION).contains(&version) => Ok(()),
        _ => Err(TableError::Version { path: path.to_owned(), found: found.to_owned() }),
    }
}

/// The same for the file at `path`. One that cannot be read passes: whoever reads it says so.
///
/// # Errors
/// When the version is newer.
pub fn check_version_of(path: &Path) -> Result<(), TableError> {
    ParquetInput::open(path).map_or(Ok(()), |input| check_version_within(path, input))
}

/// The same for the table beside the tar at `tar`, if there is one: a tar itself names no version.
///
/// # Errors
/// As [`check_version_of`].
pub fn check_version_beside(tar: &Path) -> Result<(), TableError> {
    let table = beside(tar, ShardFile::Table);
    if table.is_file() { check_version_of(&table) } else { Ok(()) }
}

/// Bytes of the footer, end included, by the last [`FOOTER_END_BYTES`] of a file; `None` when it is no Parquet.
#[cfg(feature = "storage")]
pub(crate) fn footer_bytes(end: &[u8]) -> Option<u64> {
    let (length, magic) = end.split_at_checked(4)?;
    let length = u64::from(u32::from_le_bytes(length.try_into().ok()?)) + FOOTER_END_BYTES;
    (magic == b"PAR1" && length <= MAX_FOOTER_BYTES).then_some(length)
}

/// As [`check_version_of`] by the footer alone, end included.
///
/// # Errors
/// When the version is newer.
#[cfg(feature = "storage")]
pub(crate) fn check_version_in(path: &Path, footer: &[u8]) -> Result<(), TableError> {
    check_version_within(path, ParquetInput::memory([b"PAR1", footer].concat()))
}

fn check_version_within(path: &Path, input: ParquetInput) -> Result<(), TableError> {
    match ParquetFile::open(input) {
        Ok(file) => check_version(path, file.metadata().file_metadata().key_value_metadata()),
        Err(_) => Ok(()),
    }
}
