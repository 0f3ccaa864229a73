//! One file by HTTP: whole or not at all, with retries. What arrived of a broken transfer is kept for the next attempt
//! where the server can go on in the middle and says that it is still the same file.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::cache::PART;
use crate::error::LoaderError;

/// Attempts in a row that bring nothing.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait that a server may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time without a byte.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const COPY_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Fetcher {
    agent: Agent,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The file is in place.
    Whole,
    /// The server has no such file for us, and will not have one soon: a status of 400 or more.
    Missing(u16),
}

/// Why one attempt failed.
enum Attempt {
    /// Another one may help, perhaps after a pause the server named.
    Again(Option<u16>, String, Option<Duration>),
    Never(LoaderError),
}

impl Fetcher {
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("pairmill/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(STALL_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .build();
        Self { agent: config.into() }
    }

    /// Fetches `url` to `path`, which is there whole or not at all.
    pub fn whole(&self, url: &str, path: &Path, max_bytes: u64) -> Result<Fetched, LoaderError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut part = tempfile::Builder::new()
            .prefix(".")
            .suffix(PART)
            .tempfile_in(folder)
            .map_err(|source| file("write in", folder, source))?;
        // What tells this file from a later one under the same URL.
        let mut version: Option<String> = None;
        let (mut failures, mut pause) = (0, FIRST_PAUSE);
        loop {
            let before = length(&part)?;
            match self.attempt(url, &mut part, &mut version, max_bytes) {
                Ok(Fetched::Whole) => break,
                Ok(missing) => return Ok(missing),
                Err(Attempt::Never(error)) => return Err(error),
                Err(Attempt::Again(status, problem, asked)) => {
                    // What came can be built upon only if the next attempt may go on behind it.
                    if length(&part)? > before && version.is_some() {
                        (failures, pause) = (0, FIRST_PAUSE);
                    }
                    failures += 1;
                    if failures == ATTEMPTS {
                        let problem = format!("{problem}, {ATTEMPTS} times in a row");
                        return Err(LoaderError::Fetch { url: url.to_owned(), status, problem });
                    }
                    std::thread::sleep(asked.unwrap_or(pause).min(MAX_PAUSE));
                    pause *= 2;
                }
            }
        }
        part.as_file().sync_all().map_err(|source| file("write", part.path(), source))?;
        part.persist(path).map_err(|error| file("write", path, error.error))?;
        Ok(Fetched::Whole)
    }

    fn attempt(
        &self,
        url: &str,
        part: &mut NamedTempFile,
        version: &mut Option<String>,
        max_bytes: u64,
    ) -> Result<Fetched, Attempt> {
        let have = length(part).map_err(Attempt::Never)?;
        let mut request = self.agent.get(url);
        if let (1.., Some(version)) = (have, version.as_deref()) {
            request =
                request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, version);
        }
        let again = |problem: String| Attempt::Again(None, problem, None);
        let mut response = request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
                Attempt::Never(LoaderError::Fetch {
                    url: url.to_owned(),
                    status: None,
                    problem: error.to_string(),
                })
            }
            error => again(error.to_string()),
        })?;
        let status = response.status();
        let begin = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if have > 0 && range_start(&response) == Some(have) => have,
            // Stands behind the end of what is there now, or goes on elsewhere: begin anew.
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                *version = None;
                return Err(again("the server's file changed".to_owned()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                return Err(Attempt::Again(
                    Some(status.as_u16()),
                    words(status.as_u16()),
                    retry_after(&response),
                ));
            }
            _ if status.is_server_error() => {
                return Err(Attempt::Again(
                    Some(status.as_u16()),
                    words(status.as_u16()),
                    retry_after(&response),
                ));
            }
            _ if status.is_client_error() => return Ok(Fetched::Missing(status.as_u16())),
            _ => {
                let (url, status) = (url.to_owned(), status.as_u16());
                let problem = words(status);
                return Err(Attempt::Never(LoaderError::Fetch { url, status: Some(status), problem }));
            }
        };
        let promised = response.body().content_length().map(|bytes| begin + bytes);
        *version = strong_version(&response);
        let failed = |source| Attempt::Never(file("write", part.path(), source));
        part.as_file().set_len(begin).map_err(failed)?;
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut writer = std::io::BufWriter::with_capacity(COPY_BYTES, part.as_file());
        std::io::Seek::seek(&mut writer, std::io::SeekFrom::Start(begin)).map_err(failed)?;
        let (mut at, mut buffer) = (begin, vec![0; COPY_BYTES]);
        let broken = loop {
            match reader.read(&mut buffer) {
                Ok(0) => break None,
                Ok(bytes) => {
                    at += bytes as u64;
                    if at > max_bytes {
                        let problem = format!("it has more than {max_bytes} bytes");
                        return Err(Attempt::Never(LoaderError::Url { url: url.to_owned(), problem }));
                    }
                    writer.write_all(&buffer[..bytes]).map_err(failed)?;
                }
                Err(error) => break Some(error.to_string()),
            }
        };
        writer.flush().map_err(failed)?;
        match (broken, promised) {
            (Some(problem), _) => Err(again(format!("broke off after {at} bytes ({problem})"))),
            (None, Some(promised)) if at != promised => Err(again(format!("{at} bytes came of {promised}"))),
            _ => Ok(Fetched::Whole),
        }
    }
}

/// A status in words.
pub(super) fn words(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!("the server says {status} {}", reason.unwrap_or("")).trim_end().to_owned()
}

/// An ETag or a date under which `If-Range` goes on; a weak ETag promises too little.
fn strong_version(response: &Response<Body>) -> Option<String> {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let tag = text(header::ETAG).filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(header::LAST_MODIFIED)).map(str::to_owned)
}

/// First byte of a partial answer.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn length(part: &NamedTempFile) -> Result<u64, LoaderError> {
    part.as_file().metadata().map(|meta| meta.len()).map_err(|source| file("read", part.path(), source))
}

pub(super) fn file(action: &'static str, path: &Path, source: std::io::Error) -> LoaderError {
    LoaderError::File { path: path.to_owned(), action, source }
}
