//! Files that are read whole: settings, lists of words, notes of earlier runs. A wrong path may lead to a device without
//! an end or to a table of gigabytes, so what is read is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a config file.
pub(crate) const CONFIG_BYTES: u64 = 4 << 20;
/// Most bytes of a list of words, or of a note of an earlier run, which names every input file.
pub(crate) const LIST_BYTES: u64 = 256 << 20;

/// The bytes of the file at `path`.
///
/// # Errors
/// When it cannot be read, or has more than `most` bytes.
pub(crate) fn read_bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it has more than {} MiB, which no such file has; check the path", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// The text of the file at `path`.
///
/// # Errors
/// As [`read_bytes`], and when it is not UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_bytes(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not a text in UTF-8"))
}
