//! The account at the end: every row once, as a success or under the class it failed with.

use std::collections::BTreeMap;
use std::fmt;

use pairmill_shards::outcomes::{Outcomes, by_count};
use pairmill_shards::stats::ShardStats;
use pairmill_shards::status::FailureClass;
use pairmill_shards::table::message;
use pairmill_shards::words::{bytes, duration, grouped, percent};

use crate::table::Oddities;

/// Rows of finished shards by what became of them. `{}` prints the table and what stands out in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// What became of the rows.
    pub outcomes: Outcomes,
    /// Bytes received from the network, as far as the stats say.
    pub fetched_bytes: u64,
    /// Bytes of the images in the shards, as far as the stats say.
    pub image_bytes: u64,
    /// Rows that shared the fetch of another row with their URL.
    pub fetches_saved: u64,
    /// Rows whose image made a decoder panic, by place.
    pub panics: BTreeMap<String, u64>,
    /// Rows whose EXIF was too large to keep.
    pub exif_dropped: u64,
    /// Shards added.
    pub shards: u64,
    /// Flaws of the table that cost no row; of the rows that this run read.
    pub oddities: Oddities,
    /// Unix seconds of the first start and the last end.
    span: Option<(f64, f64)>,
}

impl Account {
    /// Adds a shard.
    pub fn add(&mut self, stats: &ShardStats) {
        self.outcomes.add_stats(stats);
        self.fetched_bytes += stats.fetched_bytes.unwrap_or(0);
        self.image_bytes += stats.image_bytes.unwrap_or(0);
        self.fetches_saved += stats.fetches_saved;
        self.exif_dropped += stats.exif_dropped;
        for (place, rows) in &stats.panics {
            *self.panics.entry(place.clone()).or_insert(0) += rows;
        }
        self.shards += 1;
        let (start, end) = self.span.unwrap_or((stats.start_time, stats.end_time));
        self.span = Some((start.min(stats.start_time), end.max(stats.end_time)));
    }

    /// What a reader should know without studying the table, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Outcomes { rows, successes, failures, .. } = &self.outcomes;
        if !self.outcomes.adds_up() {
            notes.push(format!(
                "{} rows are neither success nor failure: the tool that wrote their shards lost them.",
                grouped(rows.abs_diff(successes + self.outcomes.failed()))
            ));
        }
        let failed = self.outcomes.failed();
        if *rows > 0 && *successes == 0 {
            notes.push(
                "No row succeeded: check the URL column and the network before running again.".to_owned(),
            );
        }
        if let Some(&(class, count)) = by_count(failures).first()
            && failed >= MIN_FAILED
            && count * 2 > failed
        {
            let advice = advice(class).map_or_else(String::new, |advice| format!(" {advice}"));
            notes.push(format!(
                "{} of failures are {class}: {}.{advice}",
                percent(count, failed),
                class.meaning()
            ));
        }
        let transient: u64 =
            failures.iter().filter(|(class, _)| class.is_transient()).map(|(_, count)| count).sum();
        if transient > 0 {
            notes.push(format!(
                "{} failures ({} of rows) may pass on another try: `pairmill-ingest retry --class transient FOLDER`.",
                grouped(transient),
                percent(transient, *rows)
            ));
        }
        if self.fetches_saved > 0 {
            notes.push(format!(
                "{} rows ({} of all) have the URL of an earlier row of their shard, whose fetch was theirs too.",
                grouped(self.fetches_saved),
                percent(self.fetches_saved, *rows)
            ));
        }
        for (place, rows) in &self.panics {
            notes.push(format!(
                "{} rows made a decoder panic at {place}. Please report it with one of their URLs: \
                 their message is \"{}\".",
                grouped(*rows),
                message::DECODER_PANICKED
            ));
        }
        if self.exif_dropped > 0 {
            notes.push(format!(
                "{} rows have EXIF that is larger than any camera's. It was dropped, their images were not.",
                grouped(self.exif_dropped)
            ));
        }
        notes.extend(flaws(self.oddities));
        notes
    }
}

/// What the table itself had wrong with it, one sentence each.
fn flaws(oddities: Oddities) -> impl Iterator<Item = String> {
    let Oddities { ragged_rows, invalid_utf8, multi_line_rows, malformed_rows } = oddities;
    [
        (ragged_rows, "rows have more or fewer fields than the header: they failed as bad_url; fields that hold the delimiter must be quoted."),
        (invalid_utf8, "cells are not UTF-8: what does not decode became U+FFFD."),
        (multi_line_rows, "rows run over several lines inside quotes; if that is wrong, quotes in captions are to blame: give --quoting false."),
        (malformed_rows, "records are no JSON: they failed as bad_url."),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("The table: {} {what}", grouped(count)))
}

/// Failed rows below which one class being most of them says nothing.
const MIN_FAILED: u64 = 20;

/// What to do when most failures are of `class`.
fn advice(class: FailureClass) -> Option<&'static str> {
    match class {
        FailureClass::BadUrl => Some("Is --url-col the right column?"),
        FailureClass::Dns => {
            Some("If these hosts exist, the name server may be overloaded: retry later or use another.")
        }
        FailureClass::Connect | FailureClass::Timeout | FailureClass::TooSlow => {
            Some("The line may be full: try a smaller --thread-count or a longer --timeout.")
        }
        FailureClass::Http429 => Some("Retry later, with fewer requests at a time."),
        FailureClass::PrivateAddress => {
            Some("To fetch from your own network give --allow-private-addresses.")
        }
        FailureClass::HashMismatch => Some("The images have changed since the table was made."),
        FailureClass::TooSmall | FailureClass::TooBig | FailureClass::Aspect => {
            Some("That is your own filter at work.")
        }
        _ => None,
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.outcomes)?;
        write!(f, "{} {}", grouped(self.shards), if self.shards == 1 { "shard" } else { "shards" })?;
        if self.fetched_bytes > 0 {
            write!(f, ", {} received", bytes(self.fetched_bytes as f64))?;
        }
        if self.image_bytes > 0 {
            write!(f, ", {} of images kept", bytes(self.image_bytes as f64))?;
        }
        if let Some((start, end)) = self.span
            && end > start
        {
            write!(f, ", {} from first to last", duration(end - start))?;
        }
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(count: u64, successes: u64, failures: &[(FailureClass, u64)]) -> ShardStats {
        let failed: u64 = failures.iter().map(|(_, count)| count).sum();
        ShardStats {
            count,
            successes,
            failed_to_download: failed,
            start_time: 1_000.0,
            end_time: 1_090.0,
            failure_classes: failures.iter().copied().collect(),
            fetched_bytes: Some(1_100_000_000),
            image_bytes: Some(210_000_000),
            ..ShardStats::default()
        }
    }

    #[test]
    fn the_table_adds_up_and_says_what_stands_out() {
        let mut account = Account::default();
        account.add(&stats(10_000, 7_004, &[(FailureClass::Dns, 2_100), (FailureClass::Http4xx, 896)]));
        account.add(&stats(2_000, 1_950, &[(FailureClass::Dns, 40), (FailureClass::NotAnImage, 10)]));
        assert!(account.outcomes.adds_up());
        assert_eq!(
            account.to_string(),
            "\
rows              12,000    100%
  success          8,954   74.6%
  failed           3,046   25.4%
    dns            2,140   17.8%  host names that do not resolve
    http_4xx         896    7.5%  gone or forbidden (HTTP 4xx)
    not_an_image      10    0.1%  no image in the answer (HTML, say)
2 shards, 2.2 GB received, 420 MB of images kept, 1m 30s from first to last
70.3% of failures are dns: host names that do not resolve. If these hosts exist, the name server may be overloaded: \
retry later or use another.
2,140 failures (17.8% of rows) may pass on another try: `pairmill-ingest retry --class transient FOLDER`."
        );
    }

    #[test]
    fn a_clean_run_needs_no_words() {
        let mut account = Account::default();
        account.add(&stats(3, 3, &[]));
        assert!(account.notes().is_empty());
        assert_eq!(
            account.to_string(),
            "rows       3    100%\n  success  3    100%\n  failed   0      0%\n\
             1 shard, 1.1 GB received, 210 MB of images kept, 1m 30s from first to last"
        );
    }

    #[test]
    fn shards_of_img2dataset_have_no_classes_and_may_lose_rows() {
        let mut account = Account::default();
        let foreign = ShardStats {
            count: 100,
            successes: 60,
            failed_to_download: 30,
            failed_to_resize: 8,
            ..ShardStats::default()
        };
        account.add(&foreign);
        assert_eq!(account.outcomes.unclassified, 38);
        assert!(
            account.to_string().contains("    no class   38   38.0%  from shards of img2dataset\n"),
            "{account}"
        );
        assert_eq!(
            account.notes(),
            ["2 rows are neither success nor failure: the tool that wrote their shards lost them."]
        );
    }

    #[test]
    fn nothing_at_all_is_pointed_out() {
        let mut account = Account::default();
        account.add(&stats(30, 0, &[(FailureClass::BadUrl, 30)]));
        assert_eq!(
            account.notes(),
            [
                "No row succeeded: check the URL column and the network before running again.",
                "100% of failures are bad_url: no URL, or none that can be fetched. Is --url-col the right column?"
            ]
        );
    }
}
