//! The samples of a tar at a path, one after the other: streamed, so that memory holds one sample and a compressed tar
//! needs no room on the disk, as long as that is enough; a link, or a key that is to be joined, has the tar mapped and the
//! reading go on where it was.

use std::path::{Path, PathBuf};

use super::error::{TarError, TarRule};
use super::skipped::Skipped;
use super::source::TarInput;
use super::{MappedTar, TarOptions, TarReader, Unsorted};
use crate::sample::Sample;

/// Iterator over the samples of a tar file. An error ends it.
pub struct TarSamples {
    path: PathBuf,
    options: TarOptions,
    reading: Reading,
    /// Samples given so far.
    given: usize,
}

enum Reading {
    Streamed(Box<TarReader<TarInput>>),
    Mapped(Box<MappedTar>),
    Done,
}

impl TarSamples {
    /// Opens a file, compressed or not.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: impl AsRef<Path>, options: impl Into<TarOptions>) -> Result<Self, TarError> {
        let (path, options) = (path.as_ref().to_owned(), options.into());
        let reading = match options.unsorted {
            Unsorted::Join => Reading::Mapped(Box::new(MappedTar::open_with(&path, &options)?)),
            _ => Reading::Streamed(Box::new(TarReader::open(&path, &options)?)),
        };
        Ok(Self { path, options, reading, given: 0 })
    }

    /// What was passed over so far.
    pub fn skipped(&mut self) -> Skipped {
        match &mut self.reading {
            Reading::Streamed(reader) => reader.skipped().clone(),
            Reading::Mapped(tar) => tar.skipped().clone(),
            Reading::Done => Skipped::default(),
        }
    }
}

impl Iterator for TarSamples {
    type Item = Result<Sample, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Reading::Streamed(reader) = &mut self.reading {
            match reader.next() {
                Some(Err(error)) if matches!(error.rule, TarRule::LinkInStream { .. }) => {
                    match MappedTar::open_with(&self.path, &self.options) {
                        // The samples of a tar are the same whichever way it is read.
                        Ok(tar) => self.reading = Reading::Mapped(Box::new(tar)),
                        Err(error) => {
                            self.reading = Reading::Done;
                            return Some(Err(error));
                        }
                    }
                }
                next => {
                    self.given += usize::from(matches!(next, Some(Ok(_))));
                    return next;
                }
            }
        }
        let Reading::Mapped(tar) = &self.reading else { return None };
        let sample = tar.sample(self.given)?.to_sample();
        self.given += 1;
        Some(Ok(sample))
    }
}
