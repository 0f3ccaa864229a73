//! `00000.tar.idx` as Megatron-Energon writes it: little-endian u64 offsets (Energon writes the machine's own
//! order), one per sample of its first header, then the end of the data. The rest of Energon's dataset description
//! is left to its `prepare`, which reserves the right to change it.

use std::path::{Path, PathBuf};

use super::{IndexError, MAX_INDEX_BYTES, malformed};
use crate::atomic::write_atomic;
use crate::tar::TarIndex;

/// `00000.tar.idx` for `00000.tar`.
pub fn path_for(tar: &Path) -> PathBuf {
    let mut name = tar.as_os_str().to_owned();
    name.push(".idx");
    name.into()
}

/// Writes the index of a tar to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write(index: &TarIndex, path: &Path) -> Result<(), IndexError> {
    let offsets = index.iter().map(|sample| sample.start()).chain([index.end()]);
    let bytes: Vec<u8> = offsets.flat_map(u64::to_le_bytes).collect();
    Ok(write_atomic(path, &bytes)?)
}

/// Reads an index: the offset of each sample's first header, then the end of the data.
///
/// # Errors
/// When the file cannot be read, or is not a non-empty array of growing offsets.
pub fn read(path: &Path) -> Result<Vec<u64>, IndexError> {
    let bytes = super::read(path, MAX_INDEX_BYTES)?;
    let (words, rest) = bytes.as_chunks::<8>();
    if words.is_empty() || !rest.is_empty() {
        return Err(malformed(path, format!("{} bytes are no array of 64-bit offsets", bytes.len())));
    }
    let offsets: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    match offsets.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(at) => Err(malformed(path, format!("offset {} is not behind offset {at}", at + 1))),
        None => Ok(offsets),
    }
}
