//! A dataset's files by HTTP, when asked: each whole and checked, or not there. What came of a broken transfer stays in
//! `.NAME.part` and is gone on from, by this call or a later one: the server's version of the file stands beside it, and a
//! file that has changed meanwhile is begun anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use pairmill_loader::http::{Client, HttpError, Sink};
use pairmill_shards::words::hex;

use super::catalogue::RemoteFile;

const COPY_BYTES: usize = 1 << 20;

/// Why a file could not be fetched. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server has none, or the way to it is broken.
    #[error("{url}: {problem}")]
    Remote {
        /// The address.
        url: String,
        /// What happened.
        problem: String,
    },
    /// What came, or what was there, is another file.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// How it differs, and what to do.
        problem: String,
    },
    /// The disk refuses.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was there already, whole.
    There,
    /// This many bytes came over the wire, in all attempts.
    Bytes(u64),
}

/// First pauses that a server may bring nothing for: three minutes of one second.
const PATIENT_PAUSES: u32 = 180;

/// Fetches files.
#[derive(Debug)]
pub struct Fetcher(Client);

impl Default for Fetcher {
    fn default() -> Self {
        Self::with_pause(Duration::from_secs(1))
    }
}

impl Fetcher {
    /// `pause` is the wait before a second attempt; it doubles with each. A server that brings nothing for a few
    /// hundred of them is given up.
    pub fn with_pause(pause: Duration) -> Self {
        Self(Client::new(pause, PATIENT_PAUSES * pause))
    }

    /// Fetches `file` into the folder `out`; `progress` hears of bytes there and bytes in all.
    ///
    /// # Errors
    /// [`FetchError`]; what came of a broken transfer stays for the next call.
    pub fn fetch(
        &self,
        file: &RemoteFile<'_>,
        out: &Path,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Fetched, FetchError> {
        let path = out.join(file.path);
        if path.exists() {
            let problem = content_problem(&path, file)?;
            return match problem {
                None => Ok(Fetched::There),
                Some(problem) => {
                    let problem = format!("it is there, but {problem}; remove it to fetch it anew");
                    Err(FetchError::Content { path, problem })
                }
            };
        }
        let mut part = Part::open(&path, file, progress)?;
        let came = self.0.fetch(file.url, &mut part).map_err(|error| {
            part.tidy();
            let remote = |problem| FetchError::Remote { url: file.url.to_owned(), problem };
            match error {
                HttpError::Spent { problem, .. } => remote(format!("{problem}; the same command goes on")),
                HttpError::Answer { problem, .. } | HttpError::Url(problem) | HttpError::Refused(problem) => {
                    remote(problem)
                }
                HttpError::Disk(source) => FetchError::Write { path: part.data.clone(), source },
            }
        })?;
        if let Some(problem) = content_problem(&part.data, file)? {
            part.remove();
            let problem = format!("what {} sent is another file: {problem}", file.url);
            return Err(FetchError::Content { path, problem });
        }
        part.open.sync_all().map_err(write_error(&part.data))?;
        fs::rename(&part.data, &path).map_err(write_error(&path))?;
        let _ = fs::remove_file(&part.version);
        Ok(Fetched::Bytes(came))
    }
}

/// A file that is being fetched.
struct Part<'a> {
    data: PathBuf,
    version: PathBuf,
    open: File,
    wanted: &'a RemoteFile<'a>,
    progress: &'a mut dyn FnMut(u64, Option<u64>),
}

impl<'a> Part<'a> {
    /// What there is of the file that is to lie at `path`.
    fn open(
        path: &Path,
        wanted: &'a RemoteFile<'a>,
        progress: &'a mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Self, FetchError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(write_error(folder))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let data = folder.join(format!(".{name}.part"));
        let version = folder.join(format!(".{name}.part.version"));
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&data);
        let open = open.map_err(write_error(&data))?;
        Ok(Self { data, version, open, wanted, progress })
    }

    /// Leaves nothing behind where nothing came.
    fn tidy(&self) {
        if self.open.metadata().is_ok_and(|meta| meta.len() == 0) {
            self.remove();
        }
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.data);
        let _ = fs::remove_file(&self.version);
    }
}

impl Sink for Part<'_> {
    fn file(&self) -> &File {
        &self.open
    }

    fn version(&self) -> Option<String> {
        fs::read_to_string(&self.version).ok().filter(|version| !version.is_empty())
    }

    fn keep_version(&mut self, version: Option<String>) -> io::Result<()> {
        fs::write(&self.version, version.unwrap_or_default())
    }

    fn hear(&mut self, at: u64, promised: Option<u64>) -> Result<(), String> {
        if let (Some(promised), Some(known)) = (promised, self.wanted.bytes)
            && promised != known
            && self.wanted.md5.is_none()
        {
            return Err(format!(
                "the server's file has {promised} bytes in place of {known}; is it a notice?"
            ));
        }
        (self.progress)(at, promised.or(self.wanted.bytes));
        Ok(())
    }
}

/// How a file on disk differs from what it should be: by its checksum where that is known, else by its length.
///
/// # Errors
/// When it cannot be read.
pub fn content_problem(path: &Path, file: &RemoteFile<'_>) -> Result<Option<String>, FetchError> {
    let unreadable = |source: io::Error| FetchError::Content {
        path: path.to_owned(),
        problem: format!("cannot be read: {source}"),
    };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    match (file.md5, file.bytes) {
        (Some(expected), _) => {
            let found = md5_of(path).map_err(unreadable)?;
            Ok((found != expected)
                .then(|| format!("its MD5 is {found} in place of {expected}, of {length} bytes")))
        }
        (None, Some(expected)) if length != expected => {
            Ok(Some(format!("it has {length} bytes in place of {expected}")))
        }
        (None, _) => Ok(None),
    }
}

/// MD5 of a file, in hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn md5_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut md5, mut buffer) = (Md5::new(), vec![0; COPY_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&md5.finalize())),
            bytes => md5.update(&buffer[..bytes]),
        }
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> FetchError + '_ {
    move |source| FetchError::Write { path: path.to_owned(), source }
}
