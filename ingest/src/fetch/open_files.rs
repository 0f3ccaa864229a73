//! Room for sockets. Each connection, in use or kept for reuse, is an open file, and the usual soft limit of 1,024
//! leaves little beside 256 rows in flight.

use std::time::Duration;

/// Soft limit asked for, where the hard limit allows.
#[cfg(unix)]
const WANTED: u64 = 65_536;
/// From this many open files on, unused connections may be kept for long.
const PLENTY: u64 = 8_192;
const LONG_IDLE: Duration = Duration::from_secs(20);
const SHORT_IDLE: Duration = Duration::from_secs(3);

/// Raises the process's soft limit on open files towards its hard limit, and returns how long unused connections
/// may be kept under the limit that then holds.
pub(super) fn raise_limit() -> Duration {
    if limit() >= PLENTY { LONG_IDLE } else { SHORT_IDLE }
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
