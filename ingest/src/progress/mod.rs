//! What a run tells while it goes and when it is over: counters that the stages feed, lines that show them, and the
//! account of every row at the end.
//!
//! ```text
//! stages → Counters → Snapshot → Progress (rates, time left) → View → render (text) → Display (terminal or log)
//!                              ↘ metrics (Prometheus text, JSON lines)
//! ```
//!
//! Everything up to the text is pure, so that tests compare whole screens.

mod account;
mod counters;
mod display;
mod render;

use std::collections::VecDeque;

pub use account::Account;
pub use counters::{Counters, Snapshot};
pub use display::{Display, Target};
pub use render::{live_lines, log_line};

/// Seconds over which rates are taken: long enough to be calm, short enough to show a stall.
const WINDOW_S: f64 = 30.0;

/// Turns successive snapshots into rates.
#[derive(Debug, Default)]
pub struct Progress {
    history: VecDeque<Point>,
}

/// The counters whose growth is shown, at one moment.
#[derive(Debug, Clone, Copy)]
struct Point {
    elapsed_s: f64,
    read: u64,
    fetched: u64,
    bytes: u64,
    decoded: u64,
    done: u64,
}

/// A snapshot with what follows from those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The counters.
    pub snapshot: Snapshot,
    /// Rows read per second.
    pub read_per_s: f64,
    /// Rows fetched or given up per second.
    pub fetched_per_s: f64,
    /// Body bytes received per second.
    pub bytes_per_s: f64,
    /// Images decoded per second.
    pub decoded_per_s: f64,
    /// Rows finished per second.
    pub done_per_s: f64,
    /// Seconds left, when the number of rows is known and rows are being finished.
    pub eta_s: Option<f64>,
}

impl Progress {
    /// Takes in a snapshot, which must not be older than the last.
    pub fn observe(&mut self, snapshot: Snapshot) -> View {
        let now = Point {
            elapsed_s: snapshot.elapsed_s,
            read: snapshot.rows_read,
            fetched: snapshot.fetch.rows,
            bytes: snapshot.fetch.bytes,
            decoded: snapshot.decoded,
            done: snapshot.done(),
        };
        self.history.push_back(now);
        // Keep one point at or beyond the window's edge to measure against.
        while self.history.get(1).is_some_and(|second| second.elapsed_s <= now.elapsed_s - WINDOW_S) {
            self.history.pop_front();
        }
        let start = Point { elapsed_s: 0.0, read: 0, fetched: 0, bytes: 0, decoded: 0, done: 0 };
        let base = match self.history.front() {
            Some(first) if self.history.len() > 1 => *first,
            _ => start,
        };
        let seconds = now.elapsed_s - base.elapsed_s;
        let rate =
            |new: u64, old: u64| if seconds > 0.0 { (new - old.min(new)) as f64 / seconds } else { 0.0 };
        let done_per_s = rate(now.done, base.done);
        let left = snapshot.total_rows.map(|total| total.saturating_sub(snapshot.rows_skipped + now.done));
        let eta_s = left.filter(|_| done_per_s > 0.0).map(|left| left as f64 / done_per_s);
        View {
            read_per_s: rate(now.read, base.read),
            fetched_per_s: rate(now.fetched, base.fetched),
            bytes_per_s: rate(now.bytes, base.bytes),
            decoded_per_s: rate(now.decoded, base.decoded),
            done_per_s,
            eta_s,
            snapshot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(elapsed_s: f64, successes: u64) -> Snapshot {
        Snapshot { elapsed_s, successes, total_rows: Some(1_000), rows_skipped: 100, ..Snapshot::default() }
    }

    #[test]
    fn rates_follow_the_last_half_minute() {
        let mut progress = Progress::default();
        assert_eq!(progress.observe(at(0.0, 0)).done_per_s, 0.0);
        assert_eq!(progress.observe(at(10.0, 100)).done_per_s, 10.0);
        assert_eq!(progress.observe(at(20.0, 200)).eta_s, Some(70.0));
        for second in 21..60 {
            progress.observe(at(f64::from(second), 200));
        }
        let stalled = progress.observe(at(60.0, 200));
        assert_eq!((stalled.done_per_s, stalled.eta_s), (0.0, None));
        // A burst after the stall counts from the window's edge, not from the start.
        assert_eq!(progress.observe(at(61.0, 260)).done_per_s, 2.0);
    }

    #[test]
    fn the_first_view_counts_from_the_start() {
        assert_eq!(Progress::default().observe(at(2.0, 50)).done_per_s, 25.0);
    }
}
