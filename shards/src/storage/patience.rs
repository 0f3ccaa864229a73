//! How long an operation is tried again. The client tries single requests again by itself; what it leaves (answers that
//! break off, requests that it must not repeat because it cannot know what they did) is tried again here, as long as
//! [`retry_s`](super::StorageConfig::retry_s) says: an outage is a matter of time, not of a number of attempts.

use std::time::{Duration, Instant};

use super::StorageConfig;
use super::error::StorageError;
use super::stop::Stop;

/// Pause after the first failure; it grows up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How late a stop is seen at most.
const STOP_SEEN_WITHIN: Duration = Duration::from_millis(50);

/// The patience with one operation.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    failures: usize,
    most_failures: Option<usize>,
    least_attempts: usize,
    pause: Duration,
    stop: Option<Stop>,
}

impl Patience {
    /// From now on.
    pub fn new(config: &StorageConfig) -> Self {
        Self {
            until: Instant::now() + Duration::from_secs(config.retry_s),
            failures: 0,
            most_failures: config.retries,
            least_attempts: 1,
            pause: FIRST_PAUSE,
            stop: None,
        }
    }

    /// It ends when `stop` is set.
    pub fn stopped_by(self, stop: Option<Stop>) -> Self {
        Self { stop, ..self }
    }

    /// For a transfer that may take longer than the patience by itself: so many attempts in any case if it breaks off.
    /// A store that does not answer at all is given no more time for that.
    pub fn with_least_attempts(self, least_attempts: usize) -> Self {
        Self { least_attempts, ..self }
    }

    /// Whether to try again after `error`. Waits before it says yes.
    pub fn bears(&mut self, error: &StorageError) -> bool {
        self.failures += 1;
        let passes = matches!(error, StorageError::Unreachable { .. } | StorageError::Broken { .. });
        let breaks_off = matches!(error, StorageError::Broken { .. });
        let is_early = (breaks_off && self.failures < self.least_attempts)
            || (Instant::now() < self.until && self.most_failures.is_none_or(|most| self.failures <= most));
        if passes && is_early {
            self.wait();
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        passes && is_early && !self.is_stopped()
    }
    fn wait(&self) {
        let until = Instant::now() + self.pause;
        while !self.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(if self.stop.is_some() { left.min(STOP_SEEN_WITHIN) } else { left });
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(Stop::is_set)
    }
}
