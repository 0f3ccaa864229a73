//! Takes a body into memory under four limits: the attempt's deadline, the byte cap, the minimum speed, and the
//! [`memory`](super::memory) that larger bodies may hold together.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use pairmill_shards::status::FailureClass;
use pairmill_shards::table::message;
use reqwest::Response;
use tokio::time::{Instant, sleep_until};

use super::attempt::Clock;
use super::classify::{AttemptFailure, broken_body};
use super::counters::add;
use super::memory::{BodyMemory, FREE_BYTES, Held};

/// Looks at the speed within one window.
const LOOKS: usize = 4;
/// Least bytes a body grows by at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Limits on one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    pub max_bytes: u64,
    /// 0 takes any speed.
    pub min_bytes_per_s: u64,
    pub window: Duration,
    /// For memory.
    pub longest_wait: Duration,
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum NoBody {
    Failed(AttemptFailure),
    /// There was no memory for it. Worth asking for again when so many bytes are to be had.
    PutOff(u64),
}

impl From<AttemptFailure> for NoBody {
    fn from(failure: AttemptFailure) -> Self {
        Self::Failed(failure)
    }
}

/// Reads the body to its end. A body that outgrows [`FREE_BYTES`] asks `memory` for each further piece, and comes back
/// with what it holds of it. While it waits for a piece, `clock` and the window of the minimum speed stand still: the
/// wait is not at its cost, and gains it nothing.
pub(super) async fn read_body(
    response: &mut Response,
    limits: BodyLimits,
    clock: &mut Clock,
    memory: &Arc<BodyMemory>,
    received: &AtomicU64,
) -> Result<(Vec<u8>, Held), NoBody> {
    let too_large = || AttemptFailure::lasting(FailureClass::TooLarge, message::TOO_LARGE);
    let expected = response.content_length();
    if expected.is_some_and(|n| n > limits.max_bytes) {
        return Err(too_large().into());
    }
    let expected_len = expected.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    // Only a hint: the promise may be false, so nothing large is reserved before bytes come.
    let mut bytes = Vec::with_capacity(expected_len.map_or(0, |n| n.min(FREE_BYTES)));
    let mut held = Held::nothing(memory);
    let mut room = FREE_BYTES;
    // Kept to the end: a body that has waited goes on without a slot.
    let mut place = None;
    let mut speed = SpeedLimit::new(limits, clock.started());
    let mut alarm = pin!(sleep_until(speed.next_look.min(clock.deadline)));
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = response.chunk() => chunk,
            () = alarm.as_mut() => {
                let now = Instant::now();
                if now >= clock.deadline {
                    return Err(AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_READING).into());
                }
                if speed.is_below(bytes.len() as u64, now) {
                    return Err(AttemptFailure::passing(FailureClass::TooSlow, message::TOO_SLOW).into());
                }
                alarm.as_mut().reset(speed.next_look.min(clock.deadline));
                continue;
            }
        };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok((bytes, held)),
            Err(error) => return Err(broken_body(&error).into()),
        };
        add(received, chunk.len() as u64);
        let len = bytes.len() + chunk.len();
        if len as u64 > limits.max_bytes {
            return Err(too_large().into());
        }
        if Instant::now() >= clock.deadline {
            // A body that is always ready never lets the alarm ring.
            return Err(AttemptFailure::passing(FailureClass::Timeout, message::TIMED_OUT_READING).into());
        }
        if len > room {
            let grown = grown_room(len, expected_len);
            let more = (grown - room) as u64;
            if !held.try_grow(more) {
                let asked = Instant::now();
                if place.is_none() {
                    place = held.give_slot();
                }
                if place.is_none() || !held.wait_to_grow(more, limits.longest_wait).await {
                    // What it is known to need, or twice what it has.
                    let needs = expected_len.unwrap_or(2 * len).saturating_sub(FREE_BYTES);
                    return Err(NoBody::PutOff(needs as u64));
                }
                let waited = asked.elapsed();
                clock.forgive(waited);
                speed.forgive(waited);
                alarm.as_mut().reset(speed.next_look.min(clock.deadline));
            }
            room = grown;
            bytes.reserve_exact(room - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
}

/// Room for a body of `len` bytes or a quarter more, but not beyond what was promised.
fn grown_room(len: usize, expected: Option<usize>) -> usize {
    let generous = len + PIECE_BYTES.max(len / 4);
    match expected {
        Some(all) if all >= len => generous.min(all),
        _ => generous,
    }
}

/// The minimum speed over a sliding window, looked at [`LOOKS`] times a window. The first window begins with the
/// request: time that a server took to answer is not given once more for the body.
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
    fn new(limits: BodyLimits, started: Instant) -> Self {
        let step = (limits.window / LOOKS as u32).max(Duration::from_millis(1));
        let least = u128::from(limits.min_bytes_per_s) * (step * LOOKS as u32).as_millis() / 1_000;
        let least = u64::try_from(least).unwrap_or(u64::MAX);
        let now = Instant::now();
        let past = now.duration_since(started).as_nanos() / step.as_nanos();
        let looks = usize::try_from(past).unwrap_or(usize::MAX).min(LOOKS - 1);
        Self { step, next_look: now + step, least, totals: [0; LOOKS], looks }
    }

    /// Leaves out time in which nothing could come.
    fn forgive(&mut self, wait: Duration) {
        self.next_look += wait;
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
        first_failure_after(Duration::ZERO, quarters)
    }

    /// The same for a server that took `silent` to answer.
    fn first_failure_after(silent: Duration, quarters: &[u64]) -> Option<usize> {
        let limits = BodyLimits {
            max_bytes: u64::MAX,
            min_bytes_per_s: 10_000,
            window: Duration::from_millis(400),
            longest_wait: Duration::ZERO,
        };
        let mut speed = SpeedLimit::new(limits, Instant::now() - silent);
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

    #[test]
    fn f06_time_before_the_answer_counts_for_the_minimum_speed() {
        let silent = Duration::from_millis(250);
        assert_eq!(first_failure_after(silent, &[0, 0]), Some(1));
        assert_eq!(first_failure_after(Duration::from_secs(60), &[3_999]), Some(0));
        assert_eq!(first_failure_after(Duration::from_secs(60), &[4_000, 0, 0]), None);
    }

    #[test]
    fn f06_room_grows_by_pieces_and_never_beyond_the_promise() {
        assert_eq!(grown_room(600_000, None), 600_000 + PIECE_BYTES);
        assert_eq!(grown_room(8_000_000, None), 10_000_000);
        assert_eq!(grown_room(8_000_000, Some(8_000_001)), 8_000_001);
        assert_eq!(grown_room(600_000, Some(60_000_000)), 600_000 + PIECE_BYTES);
        assert_eq!(grown_room(600_000, Some(10)), 600_000 + PIECE_BYTES, "a false promise");
    }
}
