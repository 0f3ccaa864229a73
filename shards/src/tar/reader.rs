//! A tar read front to back from anything that can be read: a file, a pipe, a download. One sample lies in memory
//! at a time.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::EndMarker;
use super::entries::{Broken, Entries, Entry};
use super::error::{TarError, TarRule};
use super::index::{admit, lower_ext};
use crate::sample::{Member, Sample};

/// Bytes read from a file at once; larger members are read straight into their own memory.
const BUFFER_BYTES: usize = 128 << 10;

/// Iterator over the samples of a tar stream, in file order.
///
/// An error ends the iteration. The sample being gathered when the tar turns out to be damaged is dropped, since
/// the damage may hide members of it; samples yielded before are whole.
pub struct TarReader<R> {
    entries: Entries<R>,
    path: PathBuf,
    entry: Entry,
    gathered: Option<Sample>,
    failed: Option<TarError>,
    done: bool,
}

impl TarReader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: impl AsRef<Path>, end_marker: EndMarker) -> Result<Self, TarError> {
        let path = path.as_ref();
        let unreadable = |e| TarError { path: path.to_path_buf(), offset: 0, rule: TarRule::Read(e) };
        let file = File::open(path).map_err(unreadable)?;
        Ok(Self::with_end_marker(BufReader::with_capacity(BUFFER_BYTES, file), path, end_marker))
    }
}

impl<R: Read> TarReader<R> {
    /// Reads samples from `input`, which should be buffered; `path` names it in errors.
    pub fn new(input: R, path: impl Into<PathBuf>) -> Self {
        Self::with_end_marker(input, path, EndMarker::Required)
    }

    /// [`new`](Self::new) with a choice about the closing zero blocks.
    pub fn with_end_marker(input: R, path: impl Into<PathBuf>, end_marker: EndMarker) -> Self {
        Self {
            entries: Entries::new(input, end_marker),
            path: path.into(),
            entry: Entry::default(),
            gathered: None,
            failed: None,
            done: false,
        }
    }

    /// Reads up to the next key or the end. `None` at the end of the tar.
    fn gather(&mut self) -> Result<Option<Sample>, Broken> {
        loop {
            if !self.entries.next_entry(&mut self.entry)? {
                self.done = true;
                return Ok(self.gathered.take());
            }
            let Some((key, ext)) = super::sample_name(&self.entry.name) else {
                self.entries.skip_data(&self.entry)?;
                continue;
            };
            let ext = lower_ext(ext).into_owned();
            let mut finished = None;
            let mut sample = match self.gathered.take() {
                Some(sample) if sample.key == key => {
                    let held = sample.members.iter().map(|m| m.ext.as_str());
                    admit(key, held, sample.num_bytes(), &ext, self.entry.size)
                        .map_err(|rule| Broken { offset: self.entry.start, rule })?;
                    sample
                }
                other => {
                    finished = other;
                    Sample { key: key.to_owned(), members: Vec::with_capacity(4) }
                }
            };
            let mut data = Vec::new();
            if let Err(broken) = self.entries.take_data(&self.entry, &mut data) {
                // The next sample is broken; the finished one is whole and goes out first.
                return match finished {
                    Some(finished) => {
                        self.failed = Some(self.named(broken));
                        Ok(Some(finished))
                    }
                    None => Err(broken),
                };
            }
            sample.members.push(Member { ext, data });
            self.gathered = Some(sample);
            if finished.is_some() {
                return Ok(finished);
            }
        }
    }

    fn named(&self, broken: Broken) -> TarError {
        TarError { path: self.path.clone(), offset: broken.offset, rule: broken.rule }
    }
}

impl<R: Read> Iterator for TarReader<R> {
    type Item = Result<Sample, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.done = true;
            return Some(Err(error));
        }
        if self.done {
            return None;
        }
        match self.gather() {
            Ok(sample) => sample.map(Ok),
            Err(broken) => {
                self.done = true;
                Some(Err(self.named(broken)))
            }
        }
    }
}
