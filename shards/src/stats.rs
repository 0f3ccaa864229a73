//! `NNNNN_stats.json`: the account of one shard, and, being written last, the mark that the shard is done
//! (FORMAT.md §6).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::atomic::{FileAction, FileError};
use crate::json::{Json, dumps_indented, parse_python_json};
use crate::status::{Failure, FailureClass, Status};
use crate::table::message;

/// A stats file may not be larger: 100,000 messages of some 600 bytes.
pub const MAX_STATS_BYTES: u64 = 64 << 20;
/// At this many distinct messages only the most frequent half is kept, as in img2dataset.
pub const MAX_STATUS_MESSAGES: usize = 100_000;
/// Distinct places of panics that are listed; later ones count under [`OTHER_PLACES`].
const MAX_PANIC_PLACES: usize = 100;
/// The key of panics beyond [`MAX_PANIC_PLACES`].
const OTHER_PLACES: &str = "other places";

/// How often each message came, `success` among them; bounded at [`MAX_STATUS_MESSAGES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusDict {
    counts: HashMap<String, u64>,
}

impl StatusDict {
    /// Counts `message` `times` more times; one longer than any of ours is cut.
    pub fn add(&mut self, message: &str, times: u64) {
        let message = &*message::bounded(message);
        if let Some(count) = self.counts.get_mut(message) {
            *count = count.saturating_add(times);
            return;
        }
        if self.counts.len() >= MAX_STATUS_MESSAGES {
            let mut kept = self.most_common();
            kept.truncate(MAX_STATUS_MESSAGES / 2);
            self.counts = kept.into_iter().map(|(m, n)| (m.to_owned(), n)).collect();
        }
        self.counts.insert(message.to_owned(), times);
    }

    /// How often `message` came.
    pub fn get(&self, message: &str) -> u64 {
        self.counts.get(message).copied().unwrap_or(0)
    }

    /// Distinct messages.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Messages and counts, most frequent first, then by message.
    pub fn most_common(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<(&str, u64)> = self.counts.iter().map(|(m, n)| (m.as_str(), *n)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all
    }
}

/// Quantiles of the time one successful or failed fetch took, redirects and retries included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FetchMs {
    /// Half of the fetches were faster.
    pub p50: f64,
    /// Nine of ten were faster.
    pub p90: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
}

impl FetchMs {
    /// Nearest-rank quantiles of `samples_ms`, which is sorted in place. `None` when empty.
    pub fn of(samples_ms: &mut [f64]) -> Option<Self> {
        samples_ms.sort_unstable_by(f64::total_cmp);
        let last = samples_ms.len().checked_sub(1)?;
        // ⌈q·n⌉-th value, in integers.
        let at = |percent: usize| {
            samples_ms[(samples_ms.len() * percent).div_ceil(100).saturating_sub(1).min(last)]
        };
        Some(Self { p50: at(50), p90: at(90), p99: at(99) })
    }
}

/// The account of a shard, or of several added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShardStats {
    /// Input rows.
    pub count: u64,
    /// Rows whose image is in the shard.
    pub successes: u64,
    /// Rows without usable bytes.
    pub failed_to_download: u64,
    /// Rows whose bytes gave no image.
    pub failed_to_resize: u64,
    /// Unix seconds.
    pub start_time: f64,
    /// Unix seconds.
    pub end_time: f64,
    /// Counts by message.
    pub status_dict: StatusDict,
    /// Counts by class (Pairmill). Empty in img2dataset's files.
    pub failure_classes: BTreeMap<FailureClass, u64>,
    /// Fetch times (Pairmill). `None` in img2dataset's files and in sums.
    pub fetch_ms: Option<FetchMs>,
    /// Bytes received from the network (Pairmill).
    pub fetched_bytes: Option<u64>,
    /// Bytes of the encoded images in the shard (Pairmill).
    pub image_bytes: Option<u64>,
    /// Rows that took what was fetched for an earlier row of the same URL (Pairmill).
    pub fetches_saved: u64,
    /// Rows whose image made a decoder panic, by crate, file and line (Pairmill). They failed as `corrupt`, or lost
    /// only their EXIF.
    pub panics: BTreeMap<String, u64>,
    /// Rows whose EXIF is larger than any camera's and was dropped (Pairmill). Their images are not affected.
    pub exif_dropped: u64,
}

/// Why a stats file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Larger than any stats file.
    #[error("{}: {num_bytes} bytes, a stats file has at most {MAX_STATS_BYTES}; delete it to have the shard made again", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        num_bytes: u64,
    },
    /// Not JSON, or cut short.
    #[error("{}: not JSON: {reason}; delete it to have the shard made again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// serde_json's message, with line and column.
        reason: String,
    },
    /// A key is missing or of the wrong type.
    #[error("{}: `{key}` must be {expected}; delete the file to have the shard made again", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The numbers contradict each other.
    #[error("{}: successes and failures add up to {sum}, more than the count of {count}; delete the file to have the shard made again", path.display())]
    Sum {
        /// The file.
        path: PathBuf,
        /// Successes and both failures.
        sum: u64,
        /// `count`.
        count: u64,
    },
}

impl ShardStats {
    /// Counts one row: `None` for a success.
    pub fn record(&mut self, failure: Option<&Failure>) {
        self.count += 1;
        let Some(failure) = failure else {
            self.successes += 1;
            self.status_dict.add(Status::Success.as_str(), 1);
            return;
        };
        match failure.class.status() {
            Status::FailedToResize => self.failed_to_resize += 1,
            _ => self.failed_to_download += 1,
        }
        self.status_dict.add(&failure.message, 1);
        *self.failure_classes.entry(failure.class).or_insert(0) += 1;
    }

    /// Counts rows that made a decoder panic at `place`.
    pub fn record_panic(&mut self, place: &str, rows: u64) {
        let is_full = self.panics.len() >= MAX_PANIC_PLACES && !self.panics.contains_key(place);
        let place = if is_full { OTHER_PLACES } else { place };
        let count = self.panics.entry(place.to_owned()).or_insert(0);
        *count = count.saturating_add(rows);
    }

    /// Wall seconds.
    pub fn duration(&self) -> f64 {
        self.end_time - self.start_time
    }

    /// Adds another shard's account: counts add up, times span both, quantiles are dropped (they cannot be added).
    pub fn merge(&mut self, other: &Self) {
        if self.count == 0 && self.status_dict.is_empty() {
            *self = other.clone();
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.successes = self.successes.saturating_add(other.successes);
        self.failed_to_download = self.failed_to_download.saturating_add(other.failed_to_download);
        self.failed_to_resize = self.failed_to_resize.saturating_add(other.failed_to_resize);
        self.start_time = self.start_time.min(other.start_time);
        self.end_time = self.end_time.max(other.end_time);
        // Most frequent first, so that the bound drops the same messages whatever the hasher.
        for (message, count) in other.status_dict.most_common() {
            self.status_dict.add(message, count);
        }
        for (class, count) in &other.failure_classes {
            let total = self.failure_classes.entry(*class).or_insert(0);
            *total = total.saturating_add(*count);
        }
        self.fetch_ms = None;
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.fetched_bytes = add(self.fetched_bytes, other.fetched_bytes);
        self.image_bytes = add(self.image_bytes, other.image_bytes);
        self.fetches_saved = self.fetches_saved.saturating_add(other.fetches_saved);
        for (place, rows) in &other.panics {
            self.record_panic(place, *rows);
        }
        self.exif_dropped = self.exif_dropped.saturating_add(other.exif_dropped);
    }

    /// The file's text: `json.dumps(indent=4)`, img2dataset's keys in its order, then ours.
    ///
    /// `end_time` is written at least a microsecond after `start_time`: img2dataset's logger divides by their
    /// difference.
    pub fn to_json(&self) -> String {
        let end_time = self.end_time.max(self.start_time + 1e-6);
        let int = |n: u64| Json::Int(n.into());
        let mut fields = vec![
            ("count", int(self.count)),
            ("successes", int(self.successes)),
            ("failed_to_download", int(self.failed_to_download)),
            ("failed_to_resize", int(self.failed_to_resize)),
            ("duration", Json::Float(end_time - self.start_time)),
            ("start_time", Json::Float(self.start_time)),
            ("end_time", Json::Float(end_time)),
            (
                "status_dict",
                Json::Object(
                    self.status_dict.most_common().into_iter().map(|(m, n)| (m.to_owned(), int(n))).collect(),
                ),
            ),
            (
                "failure_classes",
                Json::Object(
                    self.failure_classes.iter().map(|(c, n)| (c.as_str().to_owned(), int(*n))).collect(),
                ),
            ),
        ];
        if let Some(ms) = self.fetch_ms {
            let round = |x: f64| Json::Float((x * 1000.0).round() / 1000.0);
            let quantiles = [("p50", ms.p50), ("p90", ms.p90), ("p99", ms.p99)];
            fields.push((
                "fetch_ms",
                Json::Object(quantiles.into_iter().map(|(name, x)| (name.to_owned(), round(x))).collect()),
            ));
        }
        fields.extend(self.fetched_bytes.map(|n| ("fetched_bytes", int(n))));
        fields.extend(self.image_bytes.map(|n| ("image_bytes", int(n))));
        if self.fetches_saved > 0 {
            fields.push(("fetches_saved", int(self.fetches_saved)));
        }
        if !self.panics.is_empty() {
            let places = self.panics.iter().map(|(place, n)| (place.clone(), int(*n)));
            fields.push(("panics", Json::Object(places.collect())));
        }
        if self.exif_dropped > 0 {
            fields.push(("exif_dropped", int(self.exif_dropped)));
        }
        dumps_indented(&Json::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
    }

    /// Reads the file at `path`, ours or img2dataset's.
    ///
    /// # Errors
    /// When it cannot be read or breaks the format; the text says what to do.
    pub fn read(path: &Path) -> Result<Self, StatsError> {
        let failed = |source| FileError::new(path, FileAction::Read, source);
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_STATS_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(path, &bytes)
    }

    /// Parses the bytes of a stats file; `path` is for messages. Unknown keys are passed over.
    ///
    /// # Errors
    /// When the bytes break the format.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StatsError> {
        let path = || path.to_owned();
        if bytes.len() as u64 > MAX_STATS_BYTES {
            return Err(StatsError::TooLarge { path: path(), num_bytes: bytes.len() as u64 });
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| StatsError::Json { path: path(), reason: e.to_string() })?;
        let value =
            parse_python_json(text).map_err(|e| StatsError::Json { path: path(), reason: e.to_string() })?;
        let field = |key: &str, expected| StatsError::Field { path: path(), key: key.to_owned(), expected };
        let object = value.as_object().ok_or_else(|| field("(the whole file)", "an object"))?;
        let int = |key: &str| {
            object.get(key).and_then(Value::as_u64).ok_or_else(|| field(key, "a whole number of 0 or more"))
        };
        let float = |key: &str| {
            object.get(key).and_then(Value::as_f64).ok_or_else(|| field(key, "a number of seconds"))
        };
        let counts = |key: &str, value: &Value| -> Result<Vec<(String, u64)>, StatsError> {
            let expected = "an object of whole numbers";
            let map = value.as_object().ok_or_else(|| field(key, expected))?;
            map.iter()
                .map(|(k, v)| v.as_u64().map(|n| (k.clone(), n)).ok_or_else(|| field(key, expected)))
                .collect()
        };
        let mut stats = Self {
            count: int("count")?,
            successes: int("successes")?,
            failed_to_download: int("failed_to_download")?,
            failed_to_resize: int("failed_to_resize")?,
            start_time: float("start_time")?,
            end_time: float("end_time")?,
            ..Self::default()
        };
        float("duration")?;
        let sum =
            stats.successes.saturating_add(stats.failed_to_download).saturating_add(stats.failed_to_resize);
        if sum > stats.count {
            return Err(StatsError::Sum { path: path(), sum, count: stats.count });
        }
        let status_dict = object.get("status_dict").unwrap_or(&Value::Null);
        for (message, count) in counts("status_dict", status_dict)? {
            stats.status_dict.add(&message, count);
        }
        if let Some(classes) = object.get("failure_classes") {
            for (word, count) in counts("failure_classes", classes)? {
                let class =
                    word.parse().map_err(|_| field("failure_classes", "counts by known failure class"))?;
                stats.failure_classes.insert(class, count);
            }
        }
        if let Some(quantiles) = object.get("fetch_ms") {
            let get = |name: &str| {
                let number = quantiles.get(name).and_then(Value::as_f64);
                number.ok_or_else(|| field("fetch_ms", "an object with numbers p50, p90 and p99"))
            };
            stats.fetch_ms = Some(FetchMs { p50: get("p50")?, p90: get("p90")?, p99: get("p99")? });
        }
        for (key, slot) in
            [("fetched_bytes", &mut stats.fetched_bytes), ("image_bytes", &mut stats.image_bytes)]
        {
            if object.contains_key(key) {
                *slot = Some(int(key)?);
            }
        }
        if object.contains_key("fetches_saved") {
            stats.fetches_saved = int("fetches_saved")?;
        }
        if let Some(places) = object.get("panics") {
            for (place, rows) in counts("panics", places)? {
                stats.record_panic(&place, rows);
            }
        }
        if object.contains_key("exif_dropped") {
            stats.exif_dropped = int("exif_dropped")?;
        }
        Ok(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ShardStats {
        let mut stats =
            ShardStats { start_time: 1_700_000_000.25, end_time: 1_700_000_003.5, ..ShardStats::default() };
        stats.record(None);
        stats.record(None);
        stats.record(Some(&Failure::new(FailureClass::Http4xx, message::http_error(404))));
        stats.record(Some(&Failure::new(FailureClass::TooSmall, message::IMAGE_TOO_SMALL)));
        stats.fetch_ms = FetchMs::of(&mut [30.0, 10.0, 20.0, 40.0]);
        stats.fetched_bytes = Some(123);
        stats.image_bytes = Some(99);
        stats.fetches_saved = 2;
        stats.record_panic("tiff-0.11.3/src/decoder/mod.rs:7", 1);
        stats.exif_dropped = 1;
        stats
    }

    #[test]
    fn the_text_is_img2datasets_with_our_keys_behind() {
        let expected = r#"{
    "count": 4,
    "successes": 2,
    "failed_to_download": 1,
    "failed_to_resize": 1,
    "duration": 3.25,
    "start_time": 1700000000.25,
    "end_time": 1700000003.5,
    "status_dict": {
        "success": 2,
        "HTTP Error 404: Not Found": 1,
        "image too small": 1
    },
    "failure_classes": {
        "http_4xx": 1,
        "too_small": 1
    },
    "fetch_ms": {
        "p50": 20.0,
        "p90": 40.0,
        "p99": 40.0
    },
    "fetched_bytes": 123,
    "image_bytes": 99,
    "fetches_saved": 2,
    "panics": {
        "tiff-0.11.3/src/decoder/mod.rs:7": 1
    },
    "exif_dropped": 1
}"#;
        assert_eq!(sample().to_json(), expected);
        assert_eq!(ShardStats::parse(Path::new("x"), expected.as_bytes()).unwrap(), sample());
    }

    #[test]
    fn img2datasets_own_file_reads() {
        let text = "{\n    \"count\": 3,\n    \"successes\": 1,\n    \"failed_to_download\": 1,\n    \"failed_to_resize\": 0,\n    \"duration\": 1.5,\n    \"start_time\": 1.0,\n    \"end_time\": 2.5,\n    \"status_dict\": {\n        \"success\": 1,\n        \"<urlopen error timed out>\": 1\n    }\n}";
        let stats = ShardStats::parse(Path::new("x"), text.as_bytes()).unwrap();
        assert_eq!((stats.count, stats.status_dict.get("<urlopen error timed out>")), (3, 1));
        assert!(stats.failure_classes.is_empty());
    }

    #[test]
    fn damaged_files_say_which_key() {
        let good = sample().to_json();
        for (from, to, says) in [
            ("\"count\": 4", "\"count\": -4", "`count`"),
            ("\"count\": 4", "\"count\": 3", "more than the count of 3"),
            ("\"count\": 4,", "", "`count`"),
            ("\"success\": 2", "\"success\": \"2\"", "`status_dict`"),
            ("http_4xx", "http_9xx", "`failure_classes`"),
            ("\"p90\"", "\"p91\"", "`fetch_ms`"),
            ("1700000000.25", "null", "`start_time`"),
            ("}", "", "not JSON"),
        ] {
            let error = ShardStats::parse(Path::new("00007_stats.json"), good.replace(from, to).as_bytes())
                .unwrap_err();
            let text = error.to_string();
            assert!(text.contains(says) && text.contains("00007_stats.json"), "{text}");
        }
    }

    #[test]
    fn accounts_add_up() {
        let mut sum = ShardStats::default();
        sum.merge(&sample());
        sum.merge(&ShardStats { start_time: 1.0, ..sample() });
        assert_eq!((sum.count, sum.successes, sum.start_time), (8, 4, 1.0));
        assert_eq!(sum.failure_classes[&FailureClass::TooSmall], 2);
        assert_eq!((sum.fetched_bytes, sum.fetches_saved), (Some(246), 4));
        assert_eq!(sum.fetch_ms, None);
        assert_eq!((sum.panics.values().sum::<u64>(), sum.exif_dropped), (2, 2));
    }

    #[test]
    fn f01_places_of_panics_are_bounded_and_none_is_lost() {
        let mut stats = ShardStats::default();
        for line in 0..250 {
            stats.record_panic(&format!("codec/src/lib.rs:{line}"), 2);
        }
        assert_eq!(stats.panics.len(), MAX_PANIC_PLACES + 1);
        assert_eq!((stats.panics.values().sum::<u64>(), stats.panics[OTHER_PLACES]), (500, 300));
    }

    #[test]
    fn messages_are_bounded_and_frequent_ones_stay() {
        let mut dict = StatusDict::default();
        dict.add("often", 5);
        for i in 0..=MAX_STATUS_MESSAGES {
            dict.add(&format!("once {i}"), 1);
        }
        assert!(dict.len() <= MAX_STATUS_MESSAGES);
        assert_eq!(dict.get("often"), 5);
    }

    #[test]
    fn f03_no_number_of_long_messages_makes_stats_that_are_refused() {
        // Characters that JSON escapes to three times their length.
        let mut stats = ShardStats { end_time: 1.0, ..ShardStats::default() };
        for i in 0..MAX_STATUS_MESSAGES {
            let message = format!("{i}{}", "é".repeat(10_000));
            stats.record(Some(&Failure::new(FailureClass::Redirect, message)));
        }
        let text = stats.to_json();
        assert!(text.len() as u64 <= MAX_STATS_BYTES, "{} bytes", text.len());
        let back = ShardStats::parse(Path::new("x"), text.as_bytes()).unwrap();
        assert_eq!(back.status_dict, stats.status_dict);
    }

    #[test]
    fn an_instant_shard_still_has_a_duration() {
        let stats = ShardStats { start_time: 5.0, end_time: 5.0, ..ShardStats::default() };
        let back = ShardStats::parse(Path::new("x"), stats.to_json().as_bytes()).unwrap();
        assert!(back.duration() > 0.0);
    }
}
