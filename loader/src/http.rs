//! One file by HTTP, with retries. What came of a broken transfer is built upon where the server can go on in the middle
//! and says that it is still the same file. The loader's cache and whoever else fetches files bring a [`Sink`].

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// Attempts in a row that bring nothing, at least, before a file is given up.
pub const ATTEMPTS: u32 = 5;
/// How long a server may bring nothing: an outage is a matter of time, not of a number of attempts.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Longest wait between two attempts, and longest that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const MAX_PAUSE: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time without a byte.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const COPY_BYTES: usize = 1 << 20;

/// Where a file goes, and what is known of what is there already.
pub trait Sink {
    /// The file; bytes in it are of [`Sink::version`].
    fn file(&self) -> &File;

    /// What the server called the version of the file that the bytes are of; `None` of what cannot be built upon.
    fn version(&self) -> Option<String>;

    /// Notes what the bytes that follow are of.
    ///
    /// # Errors
    /// When the disk refuses.
    fn keep_version(&mut self, version: Option<String>) -> io::Result<()>;

    /// Hears of bytes that came, and of the length of the whole as far as the server says.
    ///
    /// # Errors
    /// Why this file is not wanted: nothing more is asked for.
    fn hear(&mut self, at: u64, promised: Option<u64>) -> Result<(), String>;
}

/// Why a file did not come.
#[derive(Debug)]
pub enum HttpError {
    /// The server has no such file for us, and will not have one soon.
    Answer {
        /// Its status.
        status: u16,
        /// The status in words.
        problem: String,
    },
    /// It is no URL, or leads nowhere.
    Url(String),
    /// For as long as is waited, no attempt has brought anything.
    Spent {
        /// Status of the last, if it had one.
        status: Option<u16>,
        /// What happened, and how often.
        problem: String,
    },
    /// The sink does not want it.
    Refused(String),
    /// The disk does not.
    Disk(io::Error),
}

/// Fetches files.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    pause: Duration,
    patience: Duration,
}

/// Why one attempt failed.
enum Attempt {
    /// Another one may help, perhaps after a pause the server named.
    Again(Option<u16>, String, Option<Duration>),
    Never(HttpError),
}

impl Attempt {
    fn again(problem: String) -> Self {
        Self::Again(None, problem, None)
    }
}

impl Client {
    /// `pause` is the wait before a second attempt; it doubles with each. A file is given up when for `patience` and
    /// [`ATTEMPTS`] nothing of it has come.
    pub fn new(pause: Duration, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("pairmill/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(STALL_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .build();
        Self { agent: config.into(), pause, patience }
    }

    /// Brings the whole of `url` into `sink`. Returns the bytes that came over the wire, in all attempts.
    ///
    /// # Errors
    /// [`HttpError`]; what came stays in the sink.
    pub fn fetch(&self, url: &str, sink: &mut dyn Sink) -> Result<u64, HttpError> {
        let (mut failures, mut pause, mut came) = (0, self.pause, 0);
        let mut since = Instant::now();
        loop {
            let before = length(sink)?;
            match self.attempt(url, sink, &mut came) {
                Ok(()) => return Ok(came),
                Err(Attempt::Never(error)) => return Err(error),
                Err(Attempt::Again(status, problem, asked)) => {
                    // What came can be built upon only if the next attempt may go on behind it.
                    if length(sink)? > before && sink.version().is_some() {
                        (failures, pause, since) = (0, self.pause, Instant::now());
                    }
                    failures += 1;
                    if failures >= ATTEMPTS && since.elapsed() >= self.patience {
                        let problem = format!("{problem}, {failures} times in a row");
                        return Err(HttpError::Spent { status, problem });
                    }
                    std::thread::sleep(asked.unwrap_or(pause).min(MAX_PAUSE));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn attempt(&self, url: &str, sink: &mut dyn Sink, came: &mut u64) -> Result<(), Attempt> {
        let have = length(sink).map_err(Attempt::Never)?;
        let mut request = self.agent.get(url);
        if let (1.., Some(version)) = (have, sink.version()) {
            request =
                request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, version);
        }
        let mut response = request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
                Attempt::Never(HttpError::Url(error.to_string()))
            }
            error => Attempt::again(error.to_string()),
        })?;
        let failed = |error| Attempt::Never(HttpError::Disk(error));
        let status = response.status();
        let begin = match status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if have > 0 && range_start(&response) == Some(have) => have,
            // Stands behind the end of what is there now, or goes on elsewhere: begin anew.
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                sink.keep_version(None).map_err(failed)?;
                return Err(Attempt::again("the server's file changed".to_owned()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                return Err(busy(&response));
            }
            status if status.is_server_error() => return Err(busy(&response)),
            status => {
                let status = status.as_u16();
                return Err(Attempt::Never(HttpError::Answer { status, problem: words(status) }));
            }
        };
        let promised = response.body().content_length().map(|bytes| begin + bytes);
        let refused = |problem| Attempt::Never(HttpError::Refused(problem));
        sink.hear(begin, promised).map_err(refused)?;
        sink.keep_version(strong_version(&response)).map_err(failed)?;
        sink.file().set_len(begin).map_err(failed)?;
        let (at, broken) = copy(&mut response, begin, promised, sink)?;
        *came += at - begin;
        match (broken, promised) {
            (Some(problem), _) => Err(Attempt::again(format!("broke off after {at} bytes ({problem})"))),
            (None, Some(promised)) if at != promised => {
                Err(Attempt::again(format!("{at} bytes came of {promised}")))
            }
            _ => Ok(()),
        }
    }
}

/// The body behind byte `begin` of the file: where it ends, and why it broke off if it did.
fn copy(
    response: &mut Response<Body>,
    begin: u64,
    promised: Option<u64>,
    sink: &mut dyn Sink,
) -> Result<(u64, Option<String>), Attempt> {
    let failed = |error| Attempt::Never(HttpError::Disk(error));
    let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
    let file = sink.file().try_clone().map_err(failed)?;
    let mut writer = BufWriter::with_capacity(COPY_BYTES, file);
    writer.seek(SeekFrom::Start(begin)).map_err(failed)?;
    let (mut at, mut buffer) = (begin, vec![0; COPY_BYTES]);
    let broken = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break None,
            Ok(bytes) => {
                at += bytes as u64;
                sink.hear(at, promised).map_err(|problem| Attempt::Never(HttpError::Refused(problem)))?;
                writer.write_all(&buffer[..bytes]).map_err(failed)?;
            }
            Err(error) => break Some(error.to_string()),
        }
    };
    writer.flush().map_err(failed)?;
    Ok((at, broken))
}

fn length(sink: &dyn Sink) -> Result<u64, HttpError> {
    sink.file().metadata().map(|meta| meta.len()).map_err(HttpError::Disk)
}

/// A server that may have time later.
fn busy(response: &Response<Body>) -> Attempt {
    let status = response.status().as_u16();
    Attempt::Again(Some(status), words(status), retry_after(response))
}

/// A status in words.
pub(crate) fn words(status: u16) -> String {
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
