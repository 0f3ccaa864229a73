//! Numbers of a run for machines: `--metrics PATH`, at every interval and at the end.
//!
//! A path ending in `.prom` is Prometheus text, rewritten whole and atomically (for node_exporter's textfile
//! collector); any other grows by one JSON object per line. Where img2dataset's stats have a name for a number
//! (`count`, `successes`, `failed_to_download`, `failed_to_resize`, `img_per_sec`) it is used.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pairmill_shards::atomic::write_atomic;
use pairmill_shards::status::{FailureClass, Status};
use serde_json::json;

use crate::config::ConfigError;
use crate::error::IngestError;
use crate::progress::View;

/// Where the numbers go.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    /// `None` for Prometheus text.
    lines: Option<File>,
}

impl MetricsFile {
    /// Prepares `path`. JSON lines are appended, so a resumed run goes on in the same file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, IngestError> {
        let is_prometheus = path.extension().is_some_and(|extension| extension == "prom");
        if !is_free(path, if is_prometheus { "# HELP pairmill_" } else { "{\"time\":" }) {
            return Err(ConfigError::Range {
                setting: "--metrics",
                value: path.display().to_string(),
                rule: "the file is there and holds something else, which would be lost; give the name of a new one",
            }
            .into());
        }
        let lines = if is_prometheus {
            None
        } else {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            Some(opened.map_err(|error| refused(path, &error))?)
        };
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Writes the numbers of `view`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, view: &View) -> Result<(), IngestError> {
        let Some(lines) = &mut self.lines else {
            return Ok(write_atomic(&self.path, prometheus(view).as_bytes())?);
        };
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        // One write, so that a reader never sees half a line.
        lines.write_all(json_line(view, unix_s).as_bytes()).map_err(|error| refused(&self.path, &error))
    }
}

/// Whether nothing is at `path`, or an earlier run's numbers, which begin so. A pipe or device holds nothing.
fn is_free(path: &Path, beginning: &str) -> bool {
    if !path.is_file() {
        return true;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(beginning.len() as u64).read_to_end(&mut head));
    // What cannot be read is refused where it is opened to write.
    read.is_err() || head.is_empty() || head == beginning.as_bytes()
}

fn refused(path: &Path, error: &std::io::Error) -> IngestError {
    IngestError::Io {
        path: path.to_owned(),
        reason: format!(
            "cannot write metrics: {error}; give --metrics a file you may write, or leave it out"
        ),
    }
}

/// A number with what Prometheus wants to know about it.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: f64,
}

fn metrics(view: &View) -> Vec<Metric> {
    let snapshot = &view.snapshot;
    let fetch = &snapshot.fetch;
    let counter = |name, help, value: u64| Metric { name, kind: "counter", help, value: value as f64 };
    let gauge = |name, help, value: f64| Metric { name, kind: "gauge", help, value };
    let mut metrics = vec![
        gauge("elapsed_seconds", "Seconds since the run began.", rounded(snapshot.elapsed_s)),
        counter("rows_skipped_total", "Rows of shards that were finished before.", snapshot.rows_skipped),
        counter("rows_read_total", "Rows read from the table.", snapshot.rows_read),
        counter("rows_fetched_total", "Rows fetched or given up.", fetch.rows),
        counter(
            "images_decoded_total",
            "Bodies that went through decode, resize and encode.",
            snapshot.decoded,
        ),
        counter("count_total", "Rows with an outcome.", snapshot.done()),
        counter("successes_total", "Rows whose image is kept.", snapshot.successes),
        counter(
            "failed_to_download_total",
            "Rows without usable bytes.",
            snapshot.failed_as(Status::FailedToDownload),
        ),
        counter(
            "failed_to_resize_total",
            "Rows whose bytes gave no image.",
            snapshot.failed_as(Status::FailedToResize),
        ),
        counter("shards_total", "Shards put in place.", snapshot.shards),
        gauge("img_per_sec", "Rows finished per second, over half a minute.", rounded(view.done_per_s)),
        counter("bytes_received_total", "Bytes of bodies received.", fetch.bytes),
        counter("requests_total", "HTTP requests made.", fetch.requests),
        counter("retries_total", "Attempts beyond each row's first.", fetch.retries),
        counter("redirects_total", "Redirects followed.", fetch.redirects),
        counter("dns_lookups_total", "Questions to name servers.", fetch.dns_lookups),
        counter("dns_cache_hits_total", "Names answered from the cache.", fetch.dns_hits),
        counter("dns_failures_total", "Lookups without an address.", fetch.dns_failures),
        counter(
            "tls_unsupported_total",
            "Connections to servers whose TLS versions or ciphers are not supported.",
            fetch.tls_unsupported,
        ),
        gauge("requests_in_flight", "Requests in flight.", fetch.in_flight as f64),
        gauge("rows_waiting", "Rows waiting for their host, a slot or a retry.", fetch.parked as f64),
        gauge("hosts_down", "Hosts whose circuit breaker is open.", fetch.hosts_open as f64),
    ];
    if let Some(total) = snapshot.total_rows {
        metrics.insert(1, gauge("rows", "Rows of the input.", total as f64));
    }
    metrics
}

/// Prometheus text exposition format 0.0.4. Every class is there from the start, so that rates work.
fn prometheus(view: &View) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, value } in metrics(view) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP pairmill_ingest_{name} {help}\n# TYPE pairmill_ingest_{name} {kind}\npairmill_ingest_{name} {value}"
        );
    }
    let name = "pairmill_ingest_failures_total";
    let _ = writeln!(text, "# HELP {name} Failed rows by class.\n# TYPE {name} counter");
    for class in FailureClass::ALL {
        let count = view.snapshot.failures.get(class).copied().unwrap_or(0);
        let _ = writeln!(text, "{name}{{class=\"{class}\"}} {count}");
    }
    text
}

fn json_line(view: &View, unix_s: f64) -> String {
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), json!(rounded(unix_s)));
    for Metric { name, value, .. } in metrics(view) {
        let name = name.strip_suffix("_total").unwrap_or(name);
        // Counts as integers: 12, not 12.0.
        let value = if value.fract() == 0.0 { json!(value as u64) } else { json!(value) };
        object.insert(name.to_owned(), value);
    }
    let failures: serde_json::Map<_, _> =
        view.snapshot.failures.iter().map(|(class, count)| (class.to_string(), json!(count))).collect();
    object.insert("failures".to_owned(), failures.into());
    format!("{}\n", serde_json::Value::from(object))
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::FetchSnapshot;
    use crate::progress::{Progress, Snapshot};

    #[test]
    fn f20_a_file_that_holds_something_else_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let text = "url,caption\nhttp://h/1.jpg,a\n";
        for name in ["urls.csv", "urls.prom"] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = MetricsFile::open(&path).unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains("holds something else"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            std::fs::write(&path, "").unwrap();
            // Again and again over one's own.
            for _ in 0..2 {
                MetricsFile::open(&path).unwrap().write(&view()).unwrap();
            }
        }
    }

    fn view() -> View {
        Progress::default().observe(Snapshot {
            elapsed_s: 8.0,
            total_rows: Some(100),
            rows_read: 40,
            fetch: FetchSnapshot { rows: 30, bytes: 12_345, in_flight: 4, ..FetchSnapshot::default() },
            decoded: 22,
            successes: 20,
            failures: [(FailureClass::Dns, 7), (FailureClass::Corrupt, 2)].into(),
            shards: 2,
            ..Snapshot::default()
        })
    }

    #[test]
    fn prometheus_text_is_rewritten_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.prom");
        let mut file = MetricsFile::open(&path).unwrap();
        file.write(&view()).unwrap();
        file.write(&view()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(
            "# HELP pairmill_ingest_elapsed_seconds Seconds since the run began.\n\
             # TYPE pairmill_ingest_elapsed_seconds gauge\n\
             pairmill_ingest_elapsed_seconds 8\n"
        ));
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        for expected in [
            "pairmill_ingest_rows 100",
            "pairmill_ingest_count_total 29",
            "pairmill_ingest_successes_total 20",
            "pairmill_ingest_failed_to_download_total 7",
            "pairmill_ingest_failed_to_resize_total 2",
            "pairmill_ingest_img_per_sec 3.625",
            "pairmill_ingest_bytes_received_total 12345",
            "pairmill_ingest_failures_total{class=\"dns\"} 7",
            "pairmill_ingest_failures_total{class=\"encode\"} 0",
        ] {
            assert_eq!(samples.iter().filter(|sample| **sample == expected).count(), 1, "{expected}\n{text}");
        }
        let names = |marker: &str| text.lines().filter(|line| line.starts_with(marker)).count();
        assert_eq!(names("# HELP"), names("# TYPE"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn json_lines_are_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        for _ in 0..2 {
            MetricsFile::open(&path).unwrap().write(&view()).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert!(line["time"].as_f64().unwrap() > 1.7e9);
        assert_eq!(line["count"], 29);
        assert_eq!(line["img_per_sec"], 3.625);
        assert_eq!(line["failures"], json!({"dns": 7, "corrupt": 2}));
    }

    #[test]
    fn an_unwritable_path_names_the_flag() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone/run.jsonl");
        let error = MetricsFile::open(&path).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{}: cannot write metrics: No such file or directory (os error 2); \
                 give --metrics a file you may write, or leave it out",
                path.display()
            )
        );
    }
}
