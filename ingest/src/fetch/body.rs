//! Takes a body into memory under four limits: the attempt's deadline, the byte cap, the minimum speed, and the
//! memory that bodies above 1 MiB may hold together.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use pairmill_shards::status::FailureClass;
use pairmill_shards::table::message;
use reqwest::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::attempt::Clock;
use super::classify::{AttemptFailure, broken_body};
use super::counters::add;

/// A body up to this size needs no permit; `concurrency` times this bounds what small bodies hold.
pub(super) const FREE_BYTES: usize = 1 << 20;
/// Looks at the speed within one window.
const LOOKS: usize = 4;

/// Limits on one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    pub max_bytes: u64,
    /// 0 takes any speed.
    pub min_bytes_per_s: u64,
    pub window: Duration,
}

/// Reads the body to its end. A body that outgrows [`FREE_BYTES`] first waits for a permit (not at its own cost:
/// `clock` stands still), which comes back with it.
pub(super) async fn read_body(
    response: &mut Response,
    limits: BodyLimits,
    clock: &mut Clock,
    large_bodies: &Arc<Semaphore>,
    received: &AtomicU64,
) -> Result<(Vec<u8>, Option<OwnedSemaphorePermit>), AttemptFailure> {
    let too_large = || AttemptFailure::lasting(FailureClass::TooLarge, message::TOO_LARGE);
    let expected = response.content_length();
    if expected.is_some_and(|n| n > limits.max_bytes) {
        return Err(too_large());
    }
    // Only a hint: the promise may be false, so nothing large is reserved before bytes come.
    let mut bytes = Vec::with_capacity(expected.map_or(0, |n| (n as usize).min(FREE_BYTES)));
    let mut permit = None;
    let mut speed = SpeedLimit::new(limits);
    let mut alarm = pin!(sleep_until(speed.next_look.min(clock.deadline)));
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = response.chunk() => chunk,
            () = alarm.as_mut() => {
                let now = Instant::now();
                if now >= clock.deadline {
                    return Err(AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_READING));
                }
                if speed.is_below(bytes.len() as u64, now) {
                    return Err(AttemptFailure::passing(FailureClass::TooSlow, message::TOO_SLOW));
                }
                alarm.as_mut().reset(speed.next_look.min(clock.deadline));
                continue;
            }
        };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok((bytes, permit)),
            Err(error) => return Err(broken_body(&error)),
        };
        add(received, chunk.len() as u64);
        let len = bytes.len() + chunk.len();
        if len as u64 > limits.max_bytes {
            return Err(too_large());
        }
        if len > FREE_BYTES && permit.is_none() {
            let asked = Instant::now();
            // The semaphore is never closed; were it, the body would go without a permit.
            permit = large_bodies.clone().acquire_owned().await.ok();
            let now = Instant::now();
            clock.forgive(now - asked);
            speed = SpeedLimit::new(limits);
            alarm.as_mut().reset(speed.next_look.min(clock.deadline));
            bytes.reserve_exact(expected.map_or(2 * FREE_BYTES, |n| n as usize).saturating_sub(bytes.len()));
        } else if Instant::now() >= clock.deadline {
            // A body that is always ready never lets the alarm ring.
            return Err(AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_READING));
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// The minimum speed over a sliding window, looked at [`LOOKS`] times a window.
struct SpeedLimit {
    step: Duration,
    next_look: Instant,
    /// Bytes a full window must bring.
    least: u64,
    /// Totals at the last looks, oldest first once `looks` ≥ [`LOOKS`].
    totals: [u64; LOOKS],
    looks: usize,
}

impl SpeedLimit {
    fn new(limits: BodyLimits) -> Self {
        let step = (limits.window / LOOKS as u32).max(Duration::from_millis(1));
        let least = u128::from(limits.min_bytes_per_s) * (step * LOOKS as u32).as_millis() / 1_000;
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        Self { step, next_look: Instant::now() + step, least, totals: [0; LOOKS], looks: 0 }
    }

    /// Looks: whether the last full window brought less than it must.
    fn is_below(&mut self, total: u64, now: Instant) -> bool {
        if now < self.next_look {
            return false;
        }
        self.next_look = now + self.step;
        self.looks += 1;
        let slot = self.looks % LOOKS;
        // Before the first window is over, `totals` holds the 0 of its beginning for every slot not yet reached.
        let window_began_with = std::mem::replace(&mut self.totals[slot], total);
        self.looks >= LOOKS && total - window_began_with.min(total) < self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds bytes per quarter window of 400 ms at 10 kB/s (4,000 bytes a window) and returns the look that failed.
    fn first_failure(quarters: &[u64]) -> Option<usize> {
        let limits =
            BodyLimits { max_bytes: u64::MAX, min_bytes_per_s: 10_000, window: Duration::from_millis(400) };
        let mut speed = SpeedLimit::new(limits);
        let mut total = 0;
        quarters.iter().position(|bytes| {
            total += bytes;
            let now = speed.next_look;
            speed.is_below(total, now)
        })
    }

    #[test]
    fn speed_is_judged_over_every_full_window_and_not_before() {
        assert_eq!(first_failure(&[0, 0, 0]), None);
        assert_eq!(first_failure(&[0, 0, 0, 0]), Some(3));
        assert_eq!(first_failure(&[0, 0, 0, 4_000, 0, 0, 0, 3_999]), Some(7));
        assert_eq!(first_failure(&[1_000; 20]), None);
        assert_eq!(first_failure(&[4_000, 0, 0, 0, 0]), Some(4));
        assert_eq!(first_failure(&[100_000, 4_000, 0, 0, 0, 4_000]), None);
        assert_eq!(first_failure(&[900, 1_000, 1_000, 1_000]), Some(3));
    }
}
