//! Watches the requests to stores. The client tries each again by itself, in silence; here somebody hears what is waited
//! for, and a host that has never answered is given up soon: its address is more likely mistyped than its store away.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use tokio::time::timeout;

/// How long a host that has never answered is asked for.
pub(super) const FIRST_CONTACT: Duration = Duration::from_secs(5);
/// Most waits are over sooner, and nobody needs to hear of them.
const FIRST_WORD: Duration = Duration::from_secs(2);
const NEXT_WORD: Duration = Duration::from_secs(30);
/// A request without an answer is told of after this long. Slow ones are not rare, so it is more than for failures.
const SILENCE: Duration = Duration::from_secs(5);
/// Hosts remembered; beyond that, all are as good as known.
const MAX_HOSTS: usize = 10_000;

static LISTENER: OnceLock<fn(&str)> = OnceLock::new();
static HOSTS: OnceLock<Mutex<HashMap<String, Host>>> = OnceLock::new();

/// Names who hears, once a wait is longer than two seconds and every half minute after that, what is waited for. The first
/// caller's choice stays.
pub fn on_waits(listener: fn(&str)) {
    let _ = LISTENER.set(listener);
}

/// What is known of a host.
#[derive(Debug, Default)]
struct Host {
    /// It has answered, whatever.
    is_known: bool,
    answered: Option<Instant>,
    /// When the failures began that nothing good has followed yet.
    failing_since: Option<Instant>,
    told: Option<Instant>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    Answered,
    /// It has said nothing for so long, and may still answer.
    Silent(Duration),
    /// It answered that it fails or throttles.
    Refused(String),
    /// There was no connection.
    NotConnected(String),
    /// Anything else went wrong on the way.
    Failed(String),
}

/// Notes an attempt; says whether a host that has never been there is to be given up.
pub(super) fn note(host: &str, attempt: &Attempt, patience: Duration) -> bool {
    let hosts = HOSTS.get_or_init(Mutex::default);
    let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
    if hosts.len() >= MAX_HOSTS && !hosts.contains_key(host) {
        return false;
    }
    let (given_up, line) =
        hosts.entry(host.to_owned()).or_default().note(host, attempt, patience, Instant::now());
    drop(hosts);
    if let (Some(line), Some(listener)) = (line, LISTENER.get()) {
        listener(&line);
    }
    given_up
}

impl Host {
    fn note(
        &mut self,
        name: &str,
        attempt: &Attempt,
        patience: Duration,
        now: Instant,
    ) -> (bool, Option<String>) {
        let (what, begun) = match attempt {
            Attempt::Answered => {
                let begun = self.failing_since.take().filter(|_| self.told.take().is_some());
                let line = begun.map(|begun| {
                    format!("{name} answers again, after {} s", now.duration_since(begun).as_secs())
                });
                *self = Self { is_known: true, answered: Some(now), ..Self::default() };
                return (false, line);
            }
            Attempt::Refused(what) => {
                self.is_known = true;
                (what.as_str(), now)
            }
            Attempt::Silent(waited) => {
                let begun = now.checked_sub(*waited).unwrap_or(now);
                // It answers others meanwhile.
                if self.answered.is_some_and(|answered| answered > begun) {
                    return (false, None);
                }
                ("no answer yet", begun)
            }
            Attempt::NotConnected(what) | Attempt::Failed(what) => (what.as_str(), now),
        };
        let waited = now.duration_since(*self.failing_since.get_or_insert(begun));
        let is_nobody = !self.is_known && matches!(attempt, Attempt::NotConnected(_));
        let patience = if is_nobody { patience.min(FIRST_CONTACT) } else { patience };
        if is_nobody && waited >= patience {
            return (true, None);
        }
        let is_due = match self.told {
            None => waited >= FIRST_WORD,
            Some(told) => now.duration_since(told) >= NEXT_WORD,
        };
        let line = is_due.then(|| {
            self.told = Some(now);
            let (waited, patience) = (waited.as_secs(), patience.as_secs());
            format!(
                "waiting for {name} ({what}): {waited} s so far, each request is tried again for {patience} s"
            )
        });
        (false, line)
    }
}

/// A host that has never answered.
#[derive(Debug)]
pub(super) struct NeverThere {
    pub host: String,
    pub problem: String,
}

impl fmt::Display for NeverThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.problem)
    }
}

impl Error for NeverThere {}

/// The client of the store, watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub client: reqwest::Client,
    pub patience: Duration,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Watched {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let host = request.uri().authority().map_or_else(String::new, |authority| {
            // A user's name and password are nobody's.
            let whole = authority.as_str();
            whole.rsplit_once('@').map_or(whole, |(_, host)| host).to_owned()
        });
        // What is sent may take its time.
        let only_asks = request.body().content_length() == 0;
        Box::pin(async move {
            let mut call = HttpService::call(&self.client, request);
            let begun = Instant::now();
            let answer = loop {
                match timeout(SILENCE, &mut call).await {
                    Ok(answer) => break answer,
                    Err(_) if only_asks => {
                        note(&host, &Attempt::Silent(begun.elapsed()), self.patience);
                    }
                    Err(_) => {}
                }
            };
            let attempt = match &answer {
                Ok(answer) if answer.status().is_server_error() || answer.status().as_u16() == 429 => {
                    Attempt::Refused(answer.status().to_string())
                }
                Ok(_) => Attempt::Answered,
                Err(error) if error.kind() == HttpErrorKind::Connect => {
                    Attempt::NotConnected(root_cause(error))
                }
                Err(error) => Attempt::Failed(root_cause(error)),
            };
            match (note(&host, &attempt, self.patience), attempt) {
                (true, Attempt::NotConnected(problem)) => {
                    // Of a kind that the client does not try again.
                    Err(HttpError::new(HttpErrorKind::Unknown, NeverThere { host, problem }))
                }
                _ => answer,
            }
        })
    }
}

/// The innermost reason, in one line.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(180);

    fn refused() -> Attempt {
        Attempt::NotConnected("Connection refused".to_owned())
    }

    #[test]
    fn f09_a_host_that_never_answered_is_given_up_soon() {
        let (mut host, begin) = (Host::default(), Instant::now());
        let mut at = |seconds| host.note("h:1", &refused(), PATIENCE, begin + Duration::from_secs(seconds));
        assert_eq!(at(0), (false, None));
        let (given_up, line) = at(3);
        assert!(!given_up);
        assert_eq!(
            line.unwrap(),
            "waiting for h:1 (Connection refused): 3 s so far, each request is tried again for 5 s"
        );
        assert_eq!(at(4), (false, None));
        assert_eq!(at(5), (true, None));
    }

    #[test]
    fn f09_a_host_that_was_there_is_waited_for_and_that_is_said_now_and_then() {
        let (mut host, begin) = (Host::default(), Instant::now());
        let mut at = |attempt: Attempt, seconds| {
            let (given_up, line) = host.note("h:1", &attempt, PATIENCE, begin + Duration::from_secs(seconds));
            assert!(!given_up, "{seconds}");
            line
        };
        assert_eq!(at(Attempt::Answered, 0), None);
        let told: Vec<(u64, String)> =
            (10..170).filter_map(|second| Some((second, at(refused(), second)?))).collect();
        let seconds: Vec<u64> = told.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [12, 42, 72, 102, 132, 162]);
        assert!(told[1].1.ends_with("32 s so far, each request is tried again for 180 s"), "{}", told[1].1);
        assert_eq!(at(Attempt::Answered, 170).unwrap(), "h:1 answers again, after 160 s");
        // A store that answers that it fails is there.
        assert_eq!(at(Attempt::Refused("503 Service Unavailable".to_owned()), 171), None);
        assert!(at(Attempt::Refused("503 Service Unavailable".to_owned()), 175).unwrap().contains("503"));
        // So is one that takes its time.
        let silent = || Attempt::Silent(Duration::from_secs(5));
        assert_eq!(at(Attempt::Answered, 175).unwrap(), "h:1 answers again, after 4 s");
        assert_eq!(at(silent(), 179), None, "another request was answered meanwhile");
        let told = at(silent(), 180).unwrap();
        assert_eq!(
            told,
            "waiting for h:1 (no answer yet): 5 s so far, each request is tried again for 180 s"
        );
        assert_eq!(at(Attempt::Answered, 181).unwrap(), "h:1 answers again, after 6 s");
        // A wait that nobody heard of ends without a word.
        assert_eq!((at(refused(), 182), at(Attempt::Answered, 183)), (None, None));
    }
}
