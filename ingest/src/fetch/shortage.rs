//! When the machine has no handle, port or buffer left for a connection. That is no fault of the row's: it waits until
//! others give theirs back, at no cost to it. When nothing at all gets through for long, the run ends and says why,
//! since rows that wait for ever help nobody.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::FetchError;
use super::classify::{find, find_os_error};
use super::resolver::ResolveError;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Longer than closed connections keep their ports (a minute on Linux).
const ENDS_RUN_AFTER: Duration = Duration::from_secs(180);

/// What the hops have met.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    /// Since when nothing has got through, and what was lacking.
    state: Mutex<Option<(Instant, String)>>,
    /// Told when it has lasted too long.
    pub lasts: Notify,
}

/// Whether an error of the operating system says that it has run out of something.
#[cfg(unix)]
pub(super) fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error
        .raw_os_error()
        .map(Errno::from_raw_os_error)
        .is_some_and(|code| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&code))
}

#[cfg(not(unix))]
pub(super) fn is_shortage(_error: &io::Error) -> bool {
    false
}

/// Whether the system gives no socket now.
pub(super) fn no_socket_left() -> bool {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).is_err_and(|error| is_shortage(&error))
}

impl Shortage {
    /// Whether a request failed for want of something of this machine's. Ports run out only after tens of thousands of
    /// connections to one host, so where a host has never answered, "no address to connect from" is about the host's.
    pub fn is_cause_of(error: &(dyn Error + 'static), host_has_answered: bool) -> bool {
        if let Some(ResolveError::Shortage) = find::<ResolveError>(error) {
            return true;
        }
        find_os_error(error).is_some_and(|io| {
            is_shortage(io) || (host_has_answered && io.kind() == io::ErrorKind::AddrNotAvailable)
        })
    }

    /// The waits of one hop.
    pub fn pauses(&self) -> Pauses<'_> {
        Pauses { shortage: self, next: FIRST_PAUSE }
    }

    /// A request got through.
    pub fn is_over(&self) {
        self.lock().take();
    }

    /// What is lacking, and for how long.
    pub fn describe(&self) -> FetchError {
        let (since, what) = self.lock().clone().unwrap_or_else(|| (Instant::now(), String::new()));
        FetchError::Shortage { seconds: since.elapsed().as_secs(), what }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Shortage::pauses`].
pub(super) struct Pauses<'a> {
    shortage: &'a Shortage,
    next: Duration,
}

impl Pauses<'_> {
    /// Waits a little longer than last time. When the run is to end, it does not return.
    pub async fn wait(&mut self, error: &(dyn Error + Send + Sync + 'static)) {
        let since = {
            let what = || {
                find_os_error(error)
                    .map_or_else(|| "no socket for a name lookup".to_owned(), ToString::to_string)
            };
            self.shortage.lock().get_or_insert_with(|| (Instant::now(), what())).0
        };
        if since.elapsed() > ENDS_RUN_AFTER {
            self.shortage.lasts.notify_one();
            return std::future::pending().await;
        }
        sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn f14_what_the_machine_lacks_is_told_from_what_the_host_does() {
        // EMFILE, ENFILE, ENOBUFS, ENOMEM; then ECONNREFUSED, EHOSTUNREACH, EADDRNOTAVAIL, which a host may be to blame for.
        for (code, expected) in
            [(24, true), (23, true), (105, true), (12, true), (111, false), (113, false), (99, false)]
        {
            assert_eq!(is_shortage(&io::Error::from_raw_os_error(code)), expected, "{code}");
        }
        assert!(!no_socket_left());
    }
}
