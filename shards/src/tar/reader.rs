//! A tar read front to back from anything that can be read: a file, a pipe, a download. One sample lies in memory
//! at a time.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::entries::{Broken, Entries, Entry};
use super::error::{TarError, TarRule};
use super::index::{admit, lower_ext};
use super::keys::SeenKeys;
use super::skipped::{BadMember, Skipped};
use super::source::TarInput;
use super::{BadSamples, TarOptions, Unsorted};
use crate::sample::{Member, Sample};

/// Iterator over the samples of a tar stream, in file order.
///
/// An error ends the iteration. The sample being gathered when the tar turns out to be damaged is dropped, since
/// the damage may hide members of it; samples yielded before are whole. A stream cannot go back, so links in samples are
/// an error, and so are returning keys that should be joined: [`TarSamples`](super::TarSamples) does both.
pub struct TarReader<R> {
    entries: Entries<R>,
    options: TarOptions,
    path: PathBuf,
    entry: Entry,
    seen: SeenKeys,
    /// Samples begun.
    begun: usize,
    gathered: Option<Sample>,
    /// What is wrong with the sample being gathered.
    problem: Option<BadMember>,
    failed: Option<TarError>,
    done: bool,
}

impl TarReader<TarInput> {
    /// Opens a file, compressed or not.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: impl AsRef<Path>, options: impl Into<TarOptions>) -> Result<Self, TarError> {
        let path = path.as_ref();
        let unreadable =
            |e: std::io::Error| TarError { path: path.to_path_buf(), offset: 0, rule: TarRule::Read(e) };
        let input = File::open(path).and_then(TarInput::new).map_err(unreadable)?;
        Ok(Self::with_options(input, path, options))
    }
}

impl<R: Read> TarReader<R> {
    /// Reads samples from `input`, which should be buffered and is not compressed; `path` names it in errors.
    pub fn new(input: R, path: impl Into<PathBuf>) -> Self {
        Self::with_options(input, path, TarOptions::default())
    }

    /// [`new`](Self::new) with other choices than the strictest.
    pub fn with_options(input: R, path: impl Into<PathBuf>, options: impl Into<TarOptions>) -> Self {
        let options = options.into();
        Self {
            entries: Entries::new(input, options.end_marker),
            options,
            path: path.into(),
            entry: Entry::default(),
            seen: SeenKeys::default(),
            begun: 0,
            gathered: None,
            problem: None,
            failed: None,
            done: false,
        }
    }

    /// What was passed over so far.
    pub fn skipped(&mut self) -> &Skipped {
        self.entries.skipped()
    }

    /// The sample that was being gathered, unless it is to be left out.
    fn finished(&mut self) -> Option<Sample> {
        let (sample, problem) = (self.gathered.take()?, self.problem.take());
        match problem {
            Some(problem) if self.options.bad_samples == BadSamples::Skip => {
                self.entries.skipped().add_sample(&sample.key, &problem);
                None
            }
            _ => Some(sample),
        }
    }

    /// Reads up to the next key or the end. `None` at the end of the tar.
    fn gather(&mut self) -> Result<Option<Sample>, Broken> {
        loop {
            if !self.entries.next_entry(&mut self.entry)? {
                self.done = true;
                return Ok(self.finished());
            }
            let Some((key, ext)) = super::sample_name(&self.entry.name) else {
                if !super::is_meta(&self.entry.name) {
                    self.entries.skipped().add_member(&self.entry.name);
                }
                self.entries.skip_data(&self.entry)?;
                continue;
            };
            let broken = |rule| Broken { offset: self.entry.start, rule };
            if self.entry.link.is_some() {
                return Err(broken(TarRule::LinkInStream { name: self.entry.name.clone() }));
            }
            let problem = self.entry.is_bad_name.then(|| BadMember::Name { name: self.entry.name.clone() });
            if let Some(problem) = problem.clone().filter(|_| self.options.bad_samples == BadSamples::Stop) {
                return Err(broken(problem.into()));
            }
            let ext = lower_ext(ext).into_owned();
            let mut finished = None;
            if let Some(sample) = self.gathered.as_ref().filter(|sample| sample.key == key) {
                let held = sample.members.iter().map(|m| m.ext.as_str());
                admit(key, held, sample.num_bytes(), &ext, self.entry.size).map_err(broken)?;
            } else {
                let key = key.to_owned();
                let returns = self.seen.returning(&key, self.begun).is_some();
                if returns && self.options.unsorted != Unsorted::Split {
                    return Err(broken(TarRule::ReturningKey { key }));
                }
                self.begun += 1;
                finished = self.finished();
                self.gathered = Some(Sample { key, members: Vec::with_capacity(4) });
            }
            self.problem = self.problem.take().or(problem);
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
            if let Some(sample) = &mut self.gathered {
                sample.members.push(Member { ext, data });
            }
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
