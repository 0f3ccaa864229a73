//! Entry point for fuzzers and mutation tests: bytes as the script of what a server of this machine answers, put
//! through the real client. Whatever the script says, a row ends as a bounded body or a typed failure with a message
//! of the list.
//!
//! A script is what goes over the wire, with these commands of two bytes in between: `FF` and `F` sends what came so
//! far as a packet of its own, `N` ends an answer and waits for the next request, `C` closes the connection, `R`
//! resets it; any other byte after `FF` stands for itself. The last answer ends with a close, and is given to every
//! further request.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pairmill_shards::status::FailureClass;
use pairmill_shards::table::{final_url, message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::attempt::{Fetcher, HostFacts, Outcome};
use super::job::Job;
use super::{FetchConfig, FetchCounters, FetchError, Request};

/// Addresses the scripts are played at in turn, so that no connection of the last script is asked again.
const ADDRESSES: u8 = 16;
/// Largest body.
const MAX_BYTES: u64 = 4 << 10;
const MAX_REDIRECTS: u32 = 4;
/// How long a server waits for another request before it closes. It bounds how long any script takes.
const NEXT_REQUEST: Duration = Duration::from_millis(20);

/// A client and servers on this machine, for one script after the other.
pub struct Stage {
    runtime: Runtime,
    fetcher: Fetcher,
    listeners: Vec<Arc<TcpListener>>,
    turn: AtomicUsize,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a body of this many bytes.
    Body(usize),
    /// With a failure of this class.
    Failed(FailureClass),
    /// With a redirect to somewhere else, which is not followed.
    Elsewhere,
}

impl Stage {
    /// # Errors
    /// When there are no threads or no loopback addresses.
    pub fn new() -> Result<Self, FetchError> {
        let runtime = super::build_runtime(1).map_err(FetchError::Start)?;
        let config = FetchConfig {
            max_bytes: MAX_BYTES,
            max_redirects: MAX_REDIRECTS,
            allowed_networks: vec!["127.0.0.0/26".to_owned()],
            // Far more than a script takes: reaching it is a finding.
            timeout_ms: 20_000,
            ..FetchConfig::default()
        };
        let (fetcher, listeners) = runtime.block_on(async {
            let fetcher = super::build_fetcher(&config, Arc::new(FetchCounters::default()))?;
            let mut listeners = Vec::new();
            for last in 1..=ADDRESSES {
                let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0))
                    .await
                    .map_err(FetchError::Start)?;
                listeners.push(Arc::new(listener));
            }
            Ok::<_, FetchError>((fetcher, listeners))
        })?;
        Ok(Self { runtime, fetcher, listeners, turn: AtomicUsize::new(0) })
    }

    /// Fetches one row from a server that answers by `script`.
    ///
    /// # Errors
    /// What went against the rules.
    pub fn play(&self, script: &[u8]) -> Result<Ending, String> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.listeners.len();
        let listener = self.listeners[turn].clone();
        self.runtime.block_on(async {
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            let url = format!("http://{address}/");
            tokio::select! {
                ending = self.fetch(&url) => ending,
                error = serve(&listener, answers(script)) => Err(error.to_string()),
            }
        })
    }

    async fn fetch(&self, url: &str) -> Result<Ending, String> {
        let request = Request { ticket: 0, url: url.to_owned() };
        let mut job = Job::new(&request, false).map_err(|failure| failure.message)?;
        for requests in 0..=MAX_REDIRECTS + 1 {
            let facts = HostFacts { single_row: false, has_answered: requests > 0 };
            let result = match self.fetcher.run_hop(&mut job, facts).await.outcome {
                Outcome::Body(body, _) => Ok(body),
                Outcome::Failed(failure) => Err(failure.failure),
                Outcome::Redirect(next) if next.origin() != job.target.origin() => {
                    return Ok(Ending::Elsewhere);
                }
                Outcome::Redirect(next) => {
                    job.follow(next);
                    continue;
                }
            };
            let fetched = job.into_fetched(result);
            if let Some(problem) = fetched.final_url.as_deref().and_then(|url| final_url::problem(url, false))
            {
                return Err(format!("final_url is {problem}"));
            }
            return match fetched.result {
                Ok(body) if body.bytes.len() as u64 > MAX_BYTES => {
                    Err(format!("a body of {} bytes", body.bytes.len()))
                }
                Ok(body) => Ok(Ending::Body(body.bytes.len())),
                Err(failure) if !message::is_listed(failure.class, &failure.message) => {
                    Err(format!("`{}` is not a message of {}", failure.message, failure.class))
                }
                Err(failure) if failure.class == FailureClass::Timeout => {
                    Err("a script that hangs".to_owned())
                }
                Err(failure) => Ok(Ending::Failed(failure.class)),
            };
        }
        Err(format!("more than {MAX_REDIRECTS} redirects"))
    }
}

/// One act of a server.
enum Act {
    Send(Vec<u8>),
    Close,
    Reset,
}

/// A script as answers, each to one request.
fn answers(script: &[u8]) -> Vec<Vec<Act>> {
    let (mut answers, mut acts, mut packet) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = script.iter().copied();
    while let Some(byte) = bytes.next() {
        let command = if byte == 0xff { bytes.next() } else { None };
        let act = match (byte, command) {
            (0xff, Some(b'F')) => None,
            (0xff, Some(b'N')) => None,
            (0xff, Some(b'C')) => Some(Act::Close),
            (0xff, Some(b'R')) => Some(Act::Reset),
            (byte, other) => {
                packet.push(other.unwrap_or(byte));
                continue;
            }
        };
        acts.push(Act::Send(std::mem::take(&mut packet)));
        acts.extend(act);
        if command == Some(b'N') {
            answers.push(std::mem::take(&mut acts));
        }
    }
    acts.extend([Act::Send(packet), Act::Close]);
    answers.push(acts);
    answers
}

/// Takes connections for ever; ends only with an error.
async fn serve(listener: &TcpListener, answers: Vec<Vec<Act>>) -> std::io::Error {
    let (answers, next) = (Arc::new(answers), Arc::new(AtomicUsize::new(0)));
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (answers, next) = (answers.clone(), next.clone());
                // What ends a connection ends it.
                connections.spawn(async move { drop(play(stream, &answers, &next).await) });
            }
            Err(error) => return error,
        }
    }
}

async fn play(mut stream: TcpStream, answers: &[Vec<Act>], next: &AtomicUsize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            let mut chunk = [0; 4_096];
            let read = tokio::time::timeout(NEXT_REQUEST, stream.read(&mut chunk)).await??;
            if read == 0 {
                return Ok(());
            }
            request.extend_from_slice(&chunk[..read]);
        }
        request.clear();
        let at = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        let acts = &answers[at];
        for act in acts {
            match act {
                Act::Send(bytes) => {
                    stream.write_all(bytes).await?;
                    // Lets the client read it by itself.
                    tokio::task::yield_now().await;
                }
                Act::Close => return Ok(()),
                Act::Reset => return stream.set_zero_linger(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn seeds() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
        let mut seeds: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "http"))
            .map(|path| {
                (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
            })
            .collect();
        seeds.sort();
        assert!(seeds.len() > 20, "{}", seeds.len());
        seeds
    }

    #[test]
    fn f24_each_attack_ends_typed() {
        let stage = Stage::new().unwrap();
        for (name, script) in seeds() {
            let ending = stage.play(&script).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            // Names begin with how they end.
            let word = match ending {
                Ending::Body(_) => "body",
                Ending::Elsewhere => "elsewhere",
                Ending::Failed(class) => class.as_str(),
            };
            assert!(name.starts_with(word), "{name} ends as {ending:?}");
        }
    }

    #[test]
    fn f24_mutated_attacks_end_typed() {
        let stage = Stage::new().unwrap();
        let seeds = seeds();
        let mut state = 12u64;
        let mut draw = |below: usize| {
            // SplitMix64's step; any spread will do.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed ^ (mixed >> 27)) % below.max(1) as u64) as usize
        };
        for round in 0..600 {
            let (name, seed) = &seeds[draw(seeds.len())];
            let mut script = seed.clone();
            for _ in 0..1 + draw(4) {
                let at = draw(script.len());
                match draw(4) {
                    0 if !script.is_empty() => script[at] = draw(256) as u8,
                    1 => script.truncate(at),
                    2 => script.insert(at, [0, 0xff, b'\r', b'\n', b':', b'-'][draw(6)]),
                    _ => {
                        let other = &seeds[draw(seeds.len())].1;
                        script.splice(at..at, other.iter().copied().take(200));
                    }
                }
            }
            let ended = stage.play(&script);
            assert!(ended.is_ok(), "round {round}, from {name}: {ended:?}: {}", script.escape_ascii());
        }
    }
}
