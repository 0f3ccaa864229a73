//! Room for sockets. Each connection, in use or kept for reuse, is an open file, and the usual soft limit of 1,024
//! leaves little beside 256 rows in flight. The limit is raised as far as the system lets it, and what it then allows
//! is shared out: some for the shards being made, the rest for rows in flight and for unused connections.

use std::time::Duration;

use super::memory::waiting_places;

/// Soft limit asked for, where the hard limit allows.
#[cfg(unix)]
const WANTED: u64 = 65_536;
/// From this many open files on, unused connections may be kept for long.
const PLENTY: u64 = 8_192;
const LONG_IDLE: Duration = Duration::from_secs(20);
const SHORT_IDLE: Duration = Duration::from_secs(3);
/// For what opens a file now and then: tables, metrics, folders that are synced.
const SPARE: u64 = 12;
/// Fewest files for shards; with less, no run can be made.
const LEAST_FOR_SHARDS: u64 = 12;

/// How many files this process may still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    limit: u64,
    in_use: u64,
}

/// What the open files are shared out to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// For shards being made.
    pub shard_files: u64,
    /// For the fetch stage.
    pub sockets: Sockets,
}

/// What the fetch stage may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sockets {
    /// Rows in flight.
    pub concurrency: usize,
    /// Unused connections.
    pub idle: usize,
    /// How long unused connections are kept.
    pub(super) idle_timeout: Duration,
}

impl OpenFiles {
    /// Raises the process's soft limit towards its hard limit, and looks at what is open.
    pub fn raise() -> Self {
        Self { limit: limit(), in_use: in_use() }
    }

    /// Shares them out where shards want `shard_files` and the fetch stage `concurrency` rows in flight.
    pub fn share(self, shard_files: u64, concurrency: usize) -> Shares {
        let free = self.limit.saturating_sub(self.in_use).saturating_sub(SPARE);
        let shard_files = shard_files.min((free / 3).max(LEAST_FOR_SHARDS));
        let sockets = usize::try_from(free.saturating_sub(shard_files)).unwrap_or(usize::MAX);
        // A row in flight may have two sockets: IPv4 and IPv6, for the lookup or to connect.
        let concurrency = concurrency.min(sockets / 2).max(1);
        let in_flight = concurrency.saturating_add(waiting_places(concurrency));
        let idle_timeout = if self.limit >= PLENTY { LONG_IDLE } else { SHORT_IDLE };
        let idle = sockets.saturating_sub(in_flight) / 2;
        Shares { shard_files, sockets: Sockets { concurrency, idle, idle_timeout } }
    }
}

#[cfg(unix)]
fn limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // `None` is no limit.
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.unwrap_or(u64::MAX);
    let wanted = WANTED.min(maximum.unwrap_or(u64::MAX));
    if soft >= wanted || setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_err() {
        return soft;
    }
    wanted
}

#[cfg(not(unix))]
fn limit() -> u64 {
    u64::MAX
}

/// Files open now; a guess where the system does not tell.
fn in_use() -> u64 {
    const GUESS: u64 = 16;
    ["/proc/self/fd", "/dev/fd"]
        .iter()
        .find_map(|folder| std::fs::read_dir(folder).ok())
        .map_or(GUESS, |files| files.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f14_what_is_shared_out_stays_within_the_limit() {
        for limit in [24, 64, 100, 256, 512, 1_024, 65_536, u64::MAX] {
            for wanted in [16, 21, 9_000] {
                let Shares { shard_files, sockets } = OpenFiles { limit, in_use: 10 }.share(wanted, 256);
                let in_flight = sockets.concurrency + waiting_places(sockets.concurrency);
                let all = SPARE + 10 + shard_files + (in_flight + sockets.idle) as u64;
                assert!(all <= limit.max(40), "{limit}: {all}");
                assert!(sockets.concurrency >= 1 && shard_files >= LEAST_FOR_SHARDS, "{limit}");
            }
        }
        let plenty = OpenFiles { limit: 1_024, in_use: 10 }.share(21, 256);
        assert_eq!((plenty.shard_files, plenty.sockets.concurrency), (21, 256));
    }
}
