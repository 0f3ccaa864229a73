//! A [`View`] as text: four lines for a terminal, one for a log.

use pairmill_shards::outcomes::by_count;
use pairmill_shards::words::{bytes, duration, grouped, percent, rate};

use super::View;

/// Failure classes shown by name.
const NUM_NAMED: usize = 3;

/// One line per stage.
pub fn live_lines(view: &View) -> [String; 4] {
    let snapshot = &view.snapshot;
    let (fetch, done) = (&snapshot.fetch, snapshot.done());
    let line = |stage: &str, count: u64, per_s: f64, rest: String| {
        format!("{stage:<6} {:>13} {:>10}  {rest}", grouped(count), rate(per_s)).trim_end().to_owned()
    };
    [
        line("read", snapshot.rows_read, view.read_per_s, reading(view)),
        line("fetch", fetch.rows, view.fetched_per_s, fetching(view)),
        line("decode", snapshot.decoded, view.decoded_per_s, String::new()),
        line("write", done, view.done_per_s, writing(view)),
    ]
}

/// All stages in one line, for logs.
pub fn log_line(view: &View) -> String {
    let snapshot = &view.snapshot;
    format!(
        "{} | read {}, {} | fetch {}, {}, {} | decode {}, {} | write {}, {}, {}",
        duration(snapshot.elapsed_s),
        grouped(snapshot.rows_read),
        reading(view),
        grouped(snapshot.fetch.rows),
        rate(view.fetched_per_s),
        fetching(view),
        grouped(snapshot.decoded),
        rate(view.decoded_per_s),
        grouped(snapshot.done()),
        rate(view.done_per_s),
        writing(view),
    )
}

fn reading(view: &View) -> String {
    let snapshot = &view.snapshot;
    let mut parts = Vec::new();
    match snapshot.total_rows {
        Some(total) => {
            let done = snapshot.rows_skipped + snapshot.done();
            parts.push(format!("{} of {} rows done", percent(done, total), grouped(total)));
            if done < total {
                parts.push(format!("{} left", view.eta_s.map_or_else(|| "?".to_owned(), duration)));
            }
        }
        None => parts.push(format!("{} so far", duration(snapshot.elapsed_s))),
    }
    if snapshot.rows_skipped > 0 {
        parts.push(format!("{} done before", grouped(snapshot.rows_skipped)));
    }
    parts.join(", ")
}

fn fetching(view: &View) -> String {
    let fetch = &view.snapshot.fetch;
    let mut parts = vec![
        format!("{}/s", bytes(view.bytes_per_s)),
        format!("{} in all", bytes(fetch.bytes as f64)),
        format!("{} in flight", grouped(fetch.in_flight)),
    ];
    for (count, what) in
        [(fetch.parked, "waiting"), (fetch.retries, "retries"), (fetch.hosts_open, "hosts down")]
    {
        if count > 0 {
            parts.push(format!("{} {what}", grouped(count)));
        }
    }
    parts.join(", ")
}

fn writing(view: &View) -> String {
    let snapshot = &view.snapshot;
    let mut text = format!(
        "{} ok, {} {}",
        percent(snapshot.successes, snapshot.done()),
        grouped(snapshot.shards),
        if snapshot.shards == 1 { "shard" } else { "shards" }
    );
    let failures = by_count(&snapshot.failures);
    if failures.is_empty() {
        return text;
    }
    let (named, rest) = failures.split_at(failures.len().min(NUM_NAMED));
    let mut parts: Vec<String> =
        named.iter().map(|(class, count)| format!("{class} {}", grouped(*count))).collect();
    if !rest.is_empty() {
        parts.push(format!("others {}", grouped(rest.iter().map(|(_, count)| count).sum())));
    }
    text += &format!("; failed: {}", parts.join(", "));
    text
}

#[cfg(test)]
mod tests {
    use pairmill_shards::status::FailureClass;

    use super::*;
    use crate::fetch::FetchSnapshot;
    use crate::progress::{Progress, Snapshot};

    fn busy() -> View {
        let snapshot = Snapshot {
            elapsed_s: 72.0,
            total_rows: Some(1_000_000),
            rows_skipped: 20_000,
            rows_read: 90_000,
            fetch: FetchSnapshot {
                rows: 72_000,
                bytes: 7_920_000_000,
                in_flight: 256,
                parked: 1_744,
                retries: 12,
                hosts_open: 3,
                ..FetchSnapshot::default()
            },
            decoded: 60_000,
            successes: 58_000,
            failures: [
                (FailureClass::Dns, 5_000),
                (FailureClass::Http4xx, 6_500),
                (FailureClass::Timeout, 400),
                (FailureClass::Corrupt, 60),
                (FailureClass::TooSmall, 40),
            ]
            .into(),
            shards: 6,
        };
        Progress::default().observe(snapshot)
    }

    #[test]
    fn a_busy_run() {
        let expected = [
            "read          90,000    1,250/s  9.0% of 1,000,000 rows done, 15m 36s left, 20,000 done before",
            "fetch         72,000    1,000/s  110 MB/s, 7.9 GB in all, 256 in flight, 1,744 waiting, 12 retries, 3 hosts down",
            "decode        60,000      833/s",
            "write         70,000      972/s  82.9% ok, 6 shards; failed: http_4xx 6,500, dns 5,000, timeout 400, others 100",
        ];
        assert_eq!(live_lines(&busy()), expected);
        assert_eq!(
            log_line(&busy()),
            "1m 12s | read 90,000, 9.0% of 1,000,000 rows done, 15m 36s left, 20,000 done before | \
             fetch 72,000, 1,000/s, 110 MB/s, 7.9 GB in all, 256 in flight, 1,744 waiting, 12 retries, 3 hosts down | \
             decode 60,000, 833/s | \
             write 70,000, 972/s, 82.9% ok, 6 shards; failed: http_4xx 6,500, dns 5,000, timeout 400, others 100"
        );
    }

    #[test]
    fn the_first_moment_and_an_unknown_number_of_rows() {
        let start = Progress::default().observe(Snapshot::default());
        let expected = [
            "read               0        0/s  0s so far",
            "fetch              0        0/s  0 B/s, 0 B in all, 0 in flight",
            "decode             0        0/s",
            "write              0        0/s  0% ok, 0 shards",
        ];
        assert_eq!(live_lines(&start), expected);
        let known = Progress::default().observe(Snapshot { total_rows: Some(10), ..Snapshot::default() });
        assert_eq!(live_lines(&known)[0], "read               0        0/s  0% of 10 rows done, ? left");
    }

    #[test]
    fn a_finished_run_has_nothing_left() {
        let snapshot = Snapshot {
            elapsed_s: 4.0,
            total_rows: Some(10),
            rows_read: 10,
            successes: 10,
            shards: 1,
            ..Snapshot::default()
        };
        let lines = live_lines(&Progress::default().observe(snapshot));
        assert_eq!(lines[0], "read              10      2.5/s  100% of 10 rows done");
        assert_eq!(lines[3], "write             10      2.5/s  100% ok, 1 shard");
    }
}
