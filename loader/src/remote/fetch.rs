//! A shard or a file beside one by HTTP: whole in the cache or not at all.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::cache::PART;
use crate::error::LoaderError;
use crate::http::{Client, HttpError, Sink};

/// Wait before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Statuses of a server that has no such file for us.
const REFUSALS: std::ops::Range<u16> = 400..500;

#[derive(Debug)]
pub(super) struct Fetcher(Client);

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The file is in place.
    Whole,
    /// The server has no such file for us, and will not have one soon: a status of 400 or more.
    Missing(u16),
}

/// A temporary file beside the one it becomes.
struct Part {
    file: NamedTempFile,
    version: Option<String>,
    max_bytes: u64,
}

impl Sink for Part {
    fn file(&self) -> &File {
        self.file.as_file()
    }

    fn version(&self) -> Option<String> {
        self.version.clone()
    }

    fn keep_version(&mut self, version: Option<String>) -> io::Result<()> {
        self.version = version;
        Ok(())
    }

    fn hear(&mut self, at: u64, _promised: Option<u64>) -> Result<(), String> {
        if at > self.max_bytes {
            return Err(format!("it has more than {} bytes", self.max_bytes));
        }
        Ok(())
    }
}

impl Fetcher {
    pub fn new(patience: Duration) -> Self {
        Self(Client::new(FIRST_PAUSE, patience))
    }

    /// Fetches `url` to `path`, which is there whole or not at all.
    pub fn whole(&self, url: &str, path: &Path, max_bytes: u64) -> Result<Fetched, LoaderError> {
        let mut part = Part { file: part_of(path)?, version: None, max_bytes };
        if let Err(error) = self.0.fetch(url, &mut part) {
            let url = url.to_owned();
            return Err(match error {
                HttpError::Answer { status, .. } if REFUSALS.contains(&status) => {
                    return Ok(Fetched::Missing(status));
                }
                HttpError::Answer { status, problem } => {
                    LoaderError::Fetch { url, status: Some(status), problem }
                }
                HttpError::Url(problem) => LoaderError::Fetch { url, status: None, problem },
                HttpError::Spent { status, problem } => LoaderError::Fetch { url, status, problem },
                HttpError::Refused(problem) => LoaderError::Url { url, problem },
                HttpError::Disk(source) => file("write", part.file.path(), source),
            });
        }
        persist(part.file, path)?;
        Ok(Fetched::Whole)
    }
}

/// A hidden file beside `path` for what is on its way there.
pub(super) fn part_of(path: &Path) -> Result<NamedTempFile, LoaderError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".").suffix(PART).tempfile_in(folder);
    made.map_err(|source| file("write in", folder, source))
}

/// Gives a file that is whole its name.
pub(super) fn persist(part: NamedTempFile, path: &Path) -> Result<(), LoaderError> {
    part.as_file().sync_all().map_err(|source| file("write", part.path(), source))?;
    part.persist(path).map(drop).map_err(|error| file("write", path, error.error))
}

pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> LoaderError {
    LoaderError::File { path: path.to_owned(), action, source }
}
