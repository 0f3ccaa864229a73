//! A dataset's files by HTTP, when asked: each whole and checked, or not there. What came of a broken transfer stays in
//! `.NAME.part` and is gone on from, by this call or a later one: the server's version of the file stands beside it, and a
//! file that has changed meanwhile is begun anew.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use pairmill_shards::words::hex;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::catalogue::RemoteFile;

/// Attempts in a row that bring nothing.
const ATTEMPTS: u32 = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time without a byte.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const COPY_BYTES: usize = 1 << 20;
/// Longest wait that a server may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);

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
        source: std::io::Error,
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

/// Fetches files. `pause` is what it waits before a second attempt; it doubles with each.
#[derive(Debug)]
pub struct Fetcher {
    agent: Agent,
    pause: Duration,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::with_pause(Duration::from_secs(1))
    }
}

/// One attempt's end.
enum Attempt {
    Again(String, Option<Duration>),
    Never(FetchError),
}

impl Fetcher {
    /// With another first pause.
    pub fn with_pause(pause: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("pairmill/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(STALL_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .build();
        Self { agent: config.into(), pause }
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
        let folder = path.parent().unwrap_or(out);
        fs::create_dir_all(folder).map_err(write_error(folder))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = Part {
            data: folder.join(format!(".{name}.part")),
            version: folder.join(format!(".{name}.part.version")),
        };
        let (mut failures, mut pause, mut came) = (0, self.pause, 0);
        loop {
            let before = part.length();
            let attempt = self.attempt(file, &part, &mut came, progress);
            match attempt {
                Ok(()) => break,
                Err(Attempt::Never(error)) => return Err(error),
                Err(Attempt::Again(problem, asked)) => {
                    if part.length() > before && part.version().is_some() {
                        (failures, pause) = (0, self.pause);
                    }
                    failures += 1;
                    if failures == ATTEMPTS {
                        let problem =
                            format!("{problem}, {ATTEMPTS} times in a row; the same command goes on");
                        return Err(FetchError::Remote { url: file.url.to_owned(), problem });
                    }
                    std::thread::sleep(asked.unwrap_or(pause).min(MAX_PAUSE));
                    pause *= 2;
                }
            }
        }
        if let Some(problem) = content_problem(&part.data, file)? {
            part.remove();
            let problem = format!("what {} sent is another file: {problem}", file.url);
            return Err(FetchError::Content { path, problem });
        }
        File::open(&part.data).and_then(|data| data.sync_all()).map_err(write_error(&part.data))?;
        fs::rename(&part.data, &path).map_err(write_error(&path))?;
        let _ = fs::remove_file(&part.version);
        Ok(Fetched::Bytes(came))
    }

    fn attempt(
        &self,
        file: &RemoteFile<'_>,
        part: &Part,
        came: &mut u64,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), Attempt> {
        let remote = |problem: String| FetchError::Remote { url: file.url.to_owned(), problem };
        let again = |problem: String| Attempt::Again(problem, None);
        let have = part.length();
        let mut request = self.agent.get(file.url);
        if let (1.., Some(version)) = (have, part.version()) {
            request =
                request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, version);
        }
        let mut response = request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
                Attempt::Never(remote(error.to_string()))
            }
            error => again(error.to_string()),
        })?;
        let status = response.status();
        let begin = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if have > 0 && range_start(&response) == Some(have) => have,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                part.remove();
                return Err(again("the server's file changed".to_owned()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                return Err(Attempt::Again(words(status), retry_after(&response)));
            }
            status if status.is_server_error() => {
                return Err(Attempt::Again(words(status), retry_after(&response)));
            }
            status => return Err(Attempt::Never(remote(words(status)))),
        };
        let promised = response.body().content_length().map(|bytes| begin + bytes);
        if let (Some(promised), Some(known)) = (promised, file.bytes)
            && promised != known
            && file.md5.is_none()
        {
            let problem =
                format!("the server's file has {promised} bytes in place of {known}; is it a notice?");
            return Err(Attempt::Never(remote(problem)));
        }
        let failed = |source| Attempt::Never(FetchError::Write { path: part.data.clone(), source });
        let mut data =
            OpenOptions::new().create(true).truncate(false).write(true).open(&part.data).map_err(failed)?;
        data.set_len(begin).and_then(|()| data.seek(SeekFrom::Start(begin))).map_err(failed)?;
        part.keep_version(strong_version(&response)).map_err(failed)?;
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let (mut at, mut buffer) = (begin, vec![0; COPY_BYTES]);
        progress(at, promised.or(file.bytes));
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => {
                    data.write_all(&buffer[..bytes]).map_err(failed)?;
                    at += bytes as u64;
                    *came += bytes as u64;
                    progress(at, promised.or(file.bytes));
                }
                Err(error) => return Err(again(format!("broke off after {at} bytes ({error})"))),
            }
        }
        match promised {
            Some(promised) if at != promised => Err(again(format!("{at} bytes came of {promised}"))),
            _ => Ok(()),
        }
    }
}

/// A file that is being fetched.
struct Part {
    data: PathBuf,
    version: PathBuf,
}

impl Part {
    fn length(&self) -> u64 {
        fs::metadata(&self.data).map_or(0, |meta| meta.len())
    }

    /// What the server called the version that the bytes are of.
    fn version(&self) -> Option<String> {
        fs::read_to_string(&self.version).ok().filter(|version| !version.is_empty())
    }

    fn keep_version(&self, version: Option<String>) -> std::io::Result<()> {
        fs::write(&self.version, version.unwrap_or_default())
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.data);
        let _ = fs::remove_file(&self.version);
    }
}

/// How a file on disk differs from what it should be: by its checksum where that is known, else by its length.
///
/// # Errors
/// When it cannot be read.
pub fn content_problem(path: &Path, file: &RemoteFile<'_>) -> Result<Option<String>, FetchError> {
    let unreadable = |source: std::io::Error| FetchError::Content {
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
pub fn md5_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let (mut md5, mut buffer) = (Md5::new(), vec![0; COPY_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&md5.finalize())),
            bytes => md5.update(&buffer[..bytes]),
        }
    }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> FetchError + '_ {
    move |source| FetchError::Write { path: path.to_owned(), source }
}

fn words(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or("");
    format!("the server says {} {reason}", status.as_u16()).trim_end().to_owned()
}

/// An ETag or a date under which `If-Range` goes on; a weak ETag promises too little.
fn strong_version(response: &Response<Body>) -> Option<String> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let tag = text(header::ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(header::LAST_MODIFIED)).map(str::to_owned)
}

fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
