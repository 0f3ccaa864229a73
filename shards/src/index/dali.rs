//! `00000.idx` as DALI's `wds2idx` writes it: a line `v1.2 <samples>`, then a line per sample of blank-separated
//! components `ext offset size name`, the offset being that of the data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{IndexError, malformed};
use crate::atomic::write_atomic;
use crate::tar::TarIndex;

/// First word of the file.
const VERSION: &str = "v1.2";

/// One member of a sample, as read from an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaliComponent {
    /// Extension.
    pub ext: String,
    /// First byte of its data in the tar.
    pub offset: u64,
    /// Bytes of data.
    pub size: u64,
    /// Member name.
    pub name: String,
}

/// `00000.idx` for `00000.tar`.
pub fn path_for(tar: &Path) -> PathBuf {
    tar.with_extension("idx")
}

/// Writes the index of a tar to `path`.
///
/// # Errors
/// When a member name has a blank in it, or the file cannot be written.
pub fn write(index: &TarIndex, path: &Path) -> Result<(), IndexError> {
    let mut text = String::with_capacity(index.num_members() * 40 + 20);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{VERSION} {}", index.len());
    for sample in index.iter() {
        for (at, c) in sample.components().enumerate() {
            if c.name.contains(char::is_whitespace) || c.ext.is_empty() {
                return Err(IndexError::Blank { path: path.to_path_buf(), name: c.name.to_owned() });
            }
            let blank = if at == 0 { "" } else { " " };
            let _ = write!(text, "{blank}{} {} {} {}", c.ext, c.offset, c.size, c.name);
        }
        text.push('\n');
    }
    Ok(write_atomic(path, text.as_bytes())?)
}

/// Reads an index: the components of each sample.
///
/// # Errors
/// When the file cannot be read or is not an index of this version.
pub fn read(path: &Path) -> Result<Vec<Vec<DaliComponent>>, IndexError> {
    let bytes = super::read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| malformed(path, "not UTF-8 text"))?;
    let mut lines = text.lines();
    let head = lines.next().and_then(|line| line.split_once(' ')).filter(|(version, _)| *version == VERSION);
    let Some(num_samples) = head.and_then(|(_, n)| n.trim().parse::<usize>().ok()) else {
        return Err(malformed(path, format!("its first line is not `{VERSION} <samples>`")));
    };
    let mut samples = Vec::new();
    for (at, line) in lines.enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut components = Vec::with_capacity(words.len() / 4);
        for four in words.chunks(4) {
            let component = match four {
                [ext, offset, size, name] => {
                    offset.parse().ok().zip(size.parse().ok()).map(|(offset, size)| DaliComponent {
                        ext: (*ext).to_owned(),
                        offset,
                        size,
                        name: (*name).to_owned(),
                    })
                }
                _ => None,
            };
            let refused =
                || malformed(path, format!("line {} is not made of `ext offset size name`", at + 2));
            components.push(component.ok_or_else(refused)?);
        }
        samples.push(components);
    }
    if samples.len() != num_samples {
        let reason = format!("its first line promises {num_samples} samples, it has {}", samples.len());
        return Err(malformed(path, reason));
    }
    Ok(samples)
}
