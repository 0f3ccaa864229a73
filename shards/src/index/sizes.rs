//! `sizes.json`: samples per shard of a folder, where open_clip looks for the size of the dataset.
//!
//! img2dataset takes every top-level `*.json` of its output folder for shard statistics and stops at this one, so
//! it is written when a run is over, never while one may be resumed by img2dataset.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{IndexError, MAX_SIZES_BYTES, malformed};
use crate::atomic::write_atomic;

/// The file's name.
pub const FILE_NAME: &str = "sizes.json";

/// The file in `folder`.
pub fn path_in(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// Writes samples per shard; names are base names, `00000.tar`.
///
/// # Errors
/// When the file cannot be written.
pub fn write(sizes: &BTreeMap<String, u64>, path: &Path) -> Result<(), IndexError> {
    let mut text = serde_json::to_string_pretty(sizes).map_err(|e| malformed(path, e.to_string()))?;
    text.push('\n');
    Ok(write_atomic(path, text.as_bytes())?)
}

/// Reads samples per shard.
///
/// # Errors
/// When the file cannot be read or is no JSON object of counts.
pub fn read(path: &Path) -> Result<BTreeMap<String, u64>, IndexError> {
    serde_json::from_slice(&super::read(path, MAX_SIZES_BYTES)?)
        .map_err(|e| malformed(path, format!("no object of counts: {e}")))
}
