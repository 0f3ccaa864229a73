//! `00000.idx` as DALI's `wds2idx` writes it: a line `v1.2 <samples>`, then a line per sample of blank-separated
//! components `ext offset size name`, the offset being that of the data.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{IndexError, malformed};
use crate::atomic::{FileAction, FileError, write_atomic};
use crate::tar::{MAX_NAME_BYTES, MAX_SAMPLE_MEMBERS, TarIndex};

/// First word of the file.
const VERSION: &str = "v1.2";
/// Longest line: every member of the largest sample under the longest name.
const MAX_LINE_BYTES: u64 = (MAX_SAMPLE_MEMBERS * (2 * MAX_NAME_BYTES + 64)) as u64;

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

/// Reads an index: the components of each sample, a line at a time.
///
/// # Errors
/// When the file cannot be read or is not an index of this version. Damage below the first line shows as the iterator
/// goes.
pub fn read(path: &Path) -> Result<DaliSamples, IndexError> {
    let file = File::open(path).map_err(|e| FileError::new(path, FileAction::Read, e))?;
    let mut samples = DaliSamples {
        path: path.to_owned(),
        input: BufReader::new(file),
        promised: 0,
        given: 0,
        done: false,
    };
    let line = samples.line()?;
    let head =
        line.as_deref().and_then(|line| line.split_once(' ')).filter(|(version, _)| *version == VERSION);
    let Some(promised) = head.and_then(|(_, n)| n.trim().parse::<usize>().ok()) else {
        return Err(malformed(path, format!("its first line is not `{VERSION} <samples>`")));
    };
    samples.promised = promised;
    Ok(samples)
}

/// Iterator over the samples of an index. An error ends it; one too few or too many is an error.
#[derive(Debug)]
pub struct DaliSamples {
    path: PathBuf,
    input: BufReader<File>,
    promised: usize,
    given: usize,
    done: bool,
}

impl DaliSamples {
    /// Number of samples by the first line. It is the file's word: memory should not rest on it.
    pub fn promised(&self) -> usize {
        self.promised
    }

    fn line(&mut self) -> Result<Option<String>, IndexError> {
        let mut bytes = Vec::new();
        let mut limited = Read::take(&mut self.input, MAX_LINE_BYTES + 1);
        let read = limited.read_until(b'\n', &mut bytes);
        read.map_err(|e| FileError::new(&self.path, FileAction::Read, e))?;
        if bytes.len() as u64 > MAX_LINE_BYTES {
            let line = self.given + 1;
            return Err(malformed(&self.path, format!("line {line} has more than {MAX_LINE_BYTES} bytes")));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(bytes).map_err(|_| malformed(&self.path, "not UTF-8 text"))?;
        Ok(Some(text))
    }

    fn sample(&mut self) -> Result<Option<Vec<DaliComponent>>, IndexError> {
        let Some(line) = self.line()? else {
            if self.given < self.promised {
                let reason =
                    format!("its first line promises {} samples, it has {}", self.promised, self.given);
                return Err(malformed(&self.path, reason));
            }
            return Ok(None);
        };
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
            let at = self.given + 2;
            let refused =
                || malformed(&self.path, format!("line {at} is not made of `ext offset size name`"));
            components.push(component.ok_or_else(refused)?);
        }
        self.given += 1;
        if self.given > self.promised {
            let reason = format!("its first line promises {} samples, it has more", self.promised);
            return Err(malformed(&self.path, reason));
        }
        Ok(Some(components))
    }
}

impl Iterator for DaliSamples {
    type Item = Result<Vec<DaliComponent>, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.sample().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
