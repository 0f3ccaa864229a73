//! The ranks of a run before their collectives and beside them: a line of text from every rank to rank 0. Over it they
//! compare what they are about to do, and over it each learns at once that another has ended, whether it said why or was
//! killed. Collectives know neither: one of NCCL waits for a rank that is gone until its timeout.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use socket2::{SockRef, TcpKeepalive};

use super::facts::Facts;
use crate::launch::Launch;
use crate::torch::TorchError;
use crate::torch::group::{Aborter, Rendezvous, Store};

/// Where rank 0 says in the store how to reach it.
const LINE: &str = "pairmill/line";
/// Longest word, bytes: the shards of a run go in one.
const MAX_WORD: u64 = 256 << 20;
/// How long a rank that cannot take part waits for others to tell it to.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stranger on the port may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after a collective failed the reason may take to arrive.
const REASON_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a process may go on after a rank was lost, to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How long the end of a process waits until the others have read why.
const FAREWELL: Duration = Duration::from_secs(3);
/// A machine that is switched off is noticed about a minute later.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));
/// Exit codes of a process that does not end by itself.
const FAILED: i32 = 1;
const BAD_INPUT: i32 = 2;

/// Why ranks do not make a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// They never met.
    #[error("the {world} ranks cannot meet at {host}:{port}: {why}")]
    Meet {
        /// Number of ranks.
        world: usize,
        /// MASTER_ADDR.
        host: String,
        /// MASTER_PORT.
        port: u16,
        /// What failed.
        why: String,
    },
    /// They are not about to do the same.
    #[error("{0}; give every rank the same program, settings and files")]
    Differ(String),
    /// One has ended.
    #[error("rank {rank} ended: {why}")]
    Lost {
        /// Which.
        rank: usize,
        /// What it said, or that it said nothing.
        why: String,
        /// Whether other input or flags would have helped it.
        bad_input: bool,
    },
}

impl RankError {
    /// Whether other input or flags would help.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Meet { .. } => false,
            Self::Differ(_) => true,
            Self::Lost { bad_input, .. } => *bad_input,
        }
    }
}

/// What one rank says to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// The first word of every rank but 0.
    Hello { secret: String, rank: usize, world: usize },
    /// From rank 0: its facts.
    Offer(Facts),
    /// To rank 0: the first difference from them.
    Answer(Option<String>),
    /// From rank 0: the first difference of any rank.
    Verdict(Option<String>),
    /// A rank ends; nothing follows.
    End { rank: usize, why: Option<Why> },
}

/// Why a rank ends before the run does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Why {
    message: String,
    bad_input: bool,
}

/// This process and the others of its run, met. Clones share the line.
#[derive(Debug, Clone)]
pub struct Meeting {
    rank: usize,
    world: usize,
    line: Option<Arc<Line>>,
}

/// What a meeting of several ranks holds.
#[derive(Debug)]
struct Line {
    store: Mutex<Store>,
    shared: Arc<Shared>,
}

/// What the threads that listen share with the one that works.
#[derive(Debug)]
struct Shared {
    rank: usize,
    world: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Lines to the other ranks: on rank 0 to all, elsewhere to rank 0.
    peers: Vec<(usize, TcpStream)>,
    /// Words that wait for the working thread; at most one of each rank, as each waits for an answer.
    inbox: Vec<(usize, Word)>,
    /// Ranks that are done and say nothing more.
    done: Vec<usize>,
    /// Lines that are still listened to.
    listening: usize,
    /// The first rank that ended early, or what kept a stranger from being one.
    lost: Option<RankError>,
    /// This process is ending: the others' ends are no news.
    ending: bool,
    /// Ends collectives that wait for a lost rank.
    aborter: Option<Aborter>,
}

impl Meeting {
    /// A run of one process.
    pub fn alone() -> Self {
        Self { rank: 0, world: 1, line: None }
    }

    /// Meets the other ranks of `launch`; returns when all are there.
    ///
    /// # Errors
    /// [`RankError`] when they do not come in time, or one says that it cannot take part.
    pub fn open(launch: &Launch) -> Result<Self, RankError> {
        match &launch.rendezvous {
            None => Ok(Self::alone()),
            Some(rendezvous) => Self::meet(rendezvous),
        }
    }

    fn meet(rendezvous: &Rendezvous) -> Result<Self, RankError> {
        let Rendezvous { rank, world, .. } = *rendezvous;
        let cannot = |why: String| RankError::Meet {
            world,
            host: rendezvous.host.clone(),
            port: rendezvous.port,
            why,
        };
        let store = Store::connect(rendezvous).map_err(|TorchError(why)| cannot(why))?;
        let shared = Arc::new(Shared { rank, world, state: Mutex::default(), changed: Condvar::new() });
        if rank == 0 {
            let (listener, port) = listen(&rendezvous.host).map_err(|error| cannot(error.to_string()))?;
            let secret = secret();
            store.set(LINE, &format!("{port} {secret}")).map_err(|TorchError(why)| cannot(why))?;
            let accepting = Arc::clone(&shared);
            spawn("ranks-accept", move || accepting.accept(&listener, &secret))
                .map_err(|error| cannot(error.to_string()))?;
            let deadline = Instant::now() + rendezvous.timeout;
            let state =
                shared.wait_until(deadline, |state| state.lost.is_some() || state.peers.len() == world - 1);
            if state.lost.is_none() && state.peers.len() < world - 1 {
                return Err(cannot("not all came in time".to_owned()));
            }
        } else {
            let place = store.get(LINE).map_err(|TorchError(why)| cannot(why))?;
            let told =
                place.split_once(' ').and_then(|(port, secret)| Some((port.parse::<u16>().ok()?, secret)));
            let Some((port, secret)) = told else {
                return Err(cannot("rank 0 is another program".to_owned()));
            };
            let stream = TcpStream::connect((rendezvous.host.as_str(), port))
                .map_err(|error| cannot(format!("rank 0 does not answer on port {port}: {error}")))?;
            keep_alive(&stream);
            shared.add_peer(0, stream).map_err(|error| cannot(error.to_string()))?;
            shared.say(0, &Word::Hello { secret: secret.to_owned(), rank, world });
        }
        Ok(Self { rank, world, line: Some(Arc::new(Line { store: Mutex::new(store), shared })) })
    }

    /// This process, 0 to `world` - 1.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn world(&self) -> usize {
        self.world
    }

    /// The store, to make a group of; `None` for one process.
    pub(super) fn store(&self) -> Option<MutexGuard<'_, Store>> {
        self.line.as_ref().map(|line| line.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose collectives end when a rank is lost.
    pub(super) fn watch(&self, aborter: Aborter) {
        if let Some(line) = &self.line {
            line.shared.lock().aborter = Some(aborter);
        }
    }

    /// Returns when the facts of all ranks are the same. Rank 0 looks first; the others are given what it found, where
    /// they must look for the same thing. Every rank calls it at the same point.
    ///
    /// # Errors
    /// The same on every rank: the first difference, or a rank that has ended. And what `look` fails with, which the
    /// others learn when this process ends.
    pub fn agree<E: From<RankError>>(
        &self,
        look: impl FnOnce(Option<&Facts>) -> Result<Facts, E>,
    ) -> Result<(), E> {
        let Some(line) = &self.line else {
            return look(None).map(drop);
        };
        let shared = &line.shared;
        let difference = if self.rank == 0 {
            let facts = look(None)?;
            shared.say_to_all(&Word::Offer(facts));
            let mut first = None;
            for rank in 1..self.world {
                match shared.hear(rank)? {
                    Word::Answer(difference) => first = first.or(difference),
                    _ => return Err(confused(rank).into()),
                }
            }
            shared.say_to_all(&Word::Verdict(first.clone()));
            first
        } else {
            let Word::Offer(offer) = shared.hear(0)? else { return Err(confused(0).into()) };
            let facts = look(Some(&offer))?;
            shared.say(0, &Word::Answer(offer.difference(&facts, self.rank)));
            let Word::Verdict(first) = shared.hear(0)? else { return Err(confused(0).into()) };
            first
        };
        difference.map_or(Ok(()), |difference| Err(RankError::Differ(difference).into()))
    }

    /// The rank that was lost, if one was: now, or within the moment that the reason of a failed collective takes.
    pub fn lost(&self) -> Option<RankError> {
        let shared = &self.line.as_ref()?.shared;
        shared.wait_until(Instant::now() + REASON_TIMEOUT, |state| state.lost.is_some()).lost.clone()
    }

    /// Tells the others that this process ends, and why if that is before the run does.
    pub fn end(&self, failure: Option<(String, bool)>) {
        let Some(line) = &self.line else { return };
        let shared = &line.shared;
        let failed = failure.is_some();
        // Dropped without the lock: it may be the last handle to the group.
        let aborter = shared.lock().aborter.take();
        drop(aborter);
        let (rank, why) = {
            let mut state = shared.lock();
            state.ending = true;
            match (&state.lost, failure) {
                // Whose end it was is the news, not that this process follows.
                (Some(RankError::Lost { rank, why, bad_input }), Some(_)) => {
                    (*rank, Some(Why { message: why.clone(), bad_input: *bad_input }))
                }
                (_, failure) => (self.rank, failure.map(|(message, bad_input)| Why { message, bad_input })),
            }
        };
        shared.changed.notify_all();
        shared.say_to_all(&Word::End { rank, why });
        for (_, peer) in &shared.lock().peers {
            // It may be gone already.
            let _ = peer.shutdown(Shutdown::Write);
        }
        if failed {
            // What was not read when the line closes may be lost to the other side.
            drop(shared.wait_until(Instant::now() + FAREWELL, |state| state.listening == 0));
        }
    }
}

/// Tells the other ranks that this one cannot take part, if they come soon. For what goes wrong before a run begins.
pub fn refuse(launch: &Launch, why: &str) {
    let Some(rendezvous) = &launch.rendezvous else { return };
    let rendezvous = Rendezvous { timeout: REFUSAL_TIMEOUT, ..rendezvous.clone() };
    if let Ok(meeting) = Meeting::meet(&rendezvous) {
        meeting.end(Some((why.to_owned(), true)));
    }
}

fn confused(rank: usize) -> RankError {
    RankError::Differ(format!("rank {rank} does not speak as this program does"))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state once `done` holds of it, or at `deadline`.
    fn wait_until(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// The next word of `rank`.
    fn hear(&self, rank: usize) -> Result<Word, RankError> {
        let mut state = self.lock();
        loop {
            if let Some(at) = state.inbox.iter().position(|(from, _)| *from == rank) {
                return Ok(state.inbox.remove(at).1);
            }
            if let Some(lost) = &state.lost {
                return Err(lost.clone());
            }
            if state.done.contains(&rank) {
                return Err(RankError::Differ(format!("rank {rank} is done before rank {}", self.rank)));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn say(&self, to: usize, word: &Word) {
        self.write(word, |rank| rank == to);
    }

    fn say_to_all(&self, word: &Word) {
        self.write(word, |_| true);
    }

    /// Whoever does not listen any more is noticed by the thread that listens to it.
    fn write(&self, word: &Word, to: impl Fn(usize) -> bool) {
        let Ok(mut line) = serde_json::to_vec(word) else { return };
        line.push(b'\n');
        // The lock is held, so that words of two threads do not mix.
        for (_, peer) in self.lock().peers.iter_mut().filter(|(rank, _)| to(*rank)) {
            let _ = peer.write_all(&line);
        }
    }

    /// Rank 0's part of the meeting: takes the lines of all others, then closes the door.
    fn accept(self: &Arc<Self>, listener: &TcpListener, secret: &str) {
        let mut missing = self.world - 1;
        for stream in listener.incoming() {
            let Some((rank, stream)) = stream.ok().and_then(|stream| self.hello(stream, secret)) else {
                continue;
            };
            if self.add_peer(rank, stream).is_ok() {
                missing -= 1;
            }
            if missing == 0 || self.lock().lost.is_some() {
                break;
            }
        }
    }

    /// Who is on a new line; `None` for a stranger.
    fn hello(&self, stream: TcpStream, secret: &str) -> Option<(usize, TcpStream)> {
        keep_alive(&stream);
        stream.set_read_timeout(Some(HELLO_TIMEOUT)).ok()?;
        let mut first = String::new();
        // Byte by byte: what follows the first line belongs to the thread that listens.
        let mut byte = [0u8; 1];
        while first.len() < 1024 && (&stream).read_exact(&mut byte).is_ok() && byte != *b"\n" {
            first.push(char::from(byte[0]));
        }
        let Ok(Word::Hello { secret: told, rank, world }) = serde_json::from_str(&first) else { return None };
        if told != secret {
            return None;
        }
        stream.set_read_timeout(None).ok()?;
        let taken = self.lock().peers.iter().any(|(other, _)| *other == rank);
        if world != self.world || rank == 0 || rank >= self.world || taken {
            let wrong = if world == self.world {
                format!("two processes say that they are rank {rank} of {world}")
            } else {
                format!("WORLD_SIZE is {} on rank 0 and {world} on rank {rank}", self.world)
            };
            let why = Some(Why { message: wrong.clone(), bad_input: true });
            if let Ok(mut word) = serde_json::to_vec(&Word::End { rank: 0, why }) {
                word.push(b'\n');
                let _ = (&stream).write_all(&word);
            }
            let mut state = self.lock();
            state.lost.get_or_insert(RankError::Differ(wrong));
            drop(state);
            self.changed.notify_all();
            return None;
        }
        Some((rank, stream))
    }

    /// Takes up a line and listens to it.
    fn add_peer(self: &Arc<Self>, rank: usize, stream: TcpStream) -> io::Result<()> {
        let reading = stream.try_clone()?;
        let mut state = self.lock();
        state.peers.push((rank, stream));
        state.listening += 1;
        drop(state);
        let shared = Arc::clone(self);
        spawn("ranks-listen", move || shared.listen(rank, reading))?;
        self.changed.notify_all();
        Ok(())
    }

    /// Everything that `rank` says, until its line ends.
    fn listen(&self, rank: usize, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut farewell = None;
        loop {
            let mut line = Vec::new();
            match reader.by_ref().take(MAX_WORD).read_until(b'\n', &mut line) {
                Ok(1..) if line.ends_with(b"\n") => {}
                _ => break,
            }
            match serde_json::from_slice(&line) {
                Ok(Word::End { rank, why }) => {
                    farewell = Some((rank, why));
                    break;
                }
                Ok(word) => {
                    let mut state = self.lock();
                    // A rank waits for an answer after each of its words.
                    if state.inbox.iter().any(|(from, _)| *from == rank) && rank != 0 {
                        break;
                    }
                    state.inbox.push((rank, word));
                    drop(state);
                    self.changed.notify_all();
                }
                Err(_) => break,
            }
        }
        match farewell {
            Some((rank, None)) => {
                self.lock().done.push(rank);
                self.changed.notify_all();
            }
            Some((rank, Some(why))) => self.lose(rank, why),
            None => {
                let message = "it was killed, or its machine or the network to it is gone".to_owned();
                self.lose(rank, Why { message, bad_input: false });
            }
        }
        // Drains what still comes, so that the other side can close in peace.
        let _ = io::copy(&mut reader, &mut io::sink());
        self.lock().listening -= 1;
        self.changed.notify_all();
    }

    /// A rank has ended early. The others are told, collectives that wait for it are ended, and if this process is not
    /// at its own end soon, it is stopped: nothing that it could still do would count.
    fn lose(&self, rank: usize, why: Why) {
        let mut state = self.lock();
        if state.ending || state.lost.is_some() {
            return;
        }
        let lost = RankError::Lost { rank, why: why.message.clone(), bad_input: why.bad_input };
        let code = if why.bad_input { BAD_INPUT } else { FAILED };
        state.lost = Some(lost.clone());
        let aborter = state.aborter.take();
        drop(state);
        if self.rank == 0 {
            self.say_to_all(&Word::End { rank, why: Some(why) });
        }
        self.changed.notify_all();
        if let Some(aborter) = aborter {
            aborter.abort();
        }
        let ended = self.wait_until(Instant::now() + GRACE, |state| state.ending).ending;
        if !ended {
            let _ = writeln!(io::stderr(), "error: {lost}");
            std::process::exit(code);
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// A port of this machine that the others reach under `host`; only this machine does where that is the loopback.
fn listen(host: &str) -> io::Result<(TcpListener, u16)> {
    let loopback = (host, 0u16).to_socket_addrs()?.next().filter(|address| address.ip().is_loopback());
    let listener = match loopback {
        Some(address) => TcpListener::bind((address.ip(), 0))?,
        None => TcpListener::bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0))
            .or_else(|_| TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)))?,
    };
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// What tells a rank of this run from a stranger on the port; it goes through the store.
fn secret() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's hash keys come from the system's generator.
    (0..2).map(|part: u8| format!("{:016x}", RandomState::new().hash_one(part))).collect()
}

/// So that a machine that is switched off is noticed. Where the system refuses, collectives still have their timeout.
fn keep_alive(stream: &TcpStream) {
    let (idle, interval) = KEEPALIVE;
    let _ =
        SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(interval));
    let _ = stream.set_nodelay(true);
}
