//! The account of a dataset folder: every input row once, with its last outcome. What `pairmill-shards stat` prints
//! and what a run says at its end.
//!
//! A row that `retry` took up again has one table row in its first shard and one in each retry shard; `retry_of`
//! names the key it supersedes. The account counts original rows (those without `retry_of`) and last outcomes
//! (those no other row supersedes), which are as many.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field};
use serde::Serialize;

use crate::atomic::FileError;
use crate::folder::{DatasetFolder, ShardFile, ShardFiles, beside, shard_of};
use crate::index::sizes;
use crate::key::ShardId;
use crate::outcomes::Outcomes;
use crate::rewrite::{Notes, RewriteError};
use crate::stats::{ShardStats, StatsError, StatusDict};
use crate::status::Status;
use crate::table::{
    IMAGE_ROW_GROUP_ROWS, RowColumns, SidecarReader, SidecarRow, TableError, column, have_bytes,
    image_column, text_column,
};
use crate::tar::{EndMarker, MappedTar, TarError, has_indexes, shard_stem};

/// Hosts and messages listed.
const NUM_TOP: usize = 10;
/// Distinct hosts held at a time; beyond it those that failed least are dropped.
const MAX_HOSTS: usize = 1_000_000;
/// Values above this are counted as this.
const MAX_VALUE: u32 = 100_000;

/// The account of one folder, or of several together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Account {
    /// Finished shards.
    pub shards: u64,
    /// Shards with files but without stats; not counted below.
    pub unfinished_shards: u64,
    /// Shards that finished runs made, or `sizes.json` lists, and of which nothing is here.
    pub missing_shards: u64,
    /// Finished shards whose images are gone: neither tar, nor files, nor images in the table.
    pub shards_without_images: u64,
    /// Runs of ingest, subset or reshard that are not finished.
    pub unfinished_runs: u64,
    /// Input rows, each once, by what became of them; with `failures_by_status` part of the JSON's top level.
    #[serde(flatten)]
    pub outcomes: Outcomes,
    /// Failed rows by img2dataset's status.
    pub failures_by_status: BTreeMap<Status, u64>,
    /// Rows that a retry took up again, and how many of these succeeded in the end.
    pub retried: u64,
    /// See `retried`.
    pub recovered: u64,
    /// Rows that stats count but no table lists: lost by the tool that wrote the shard (img2dataset drops a row when
    /// it raises). Part of `rows`.
    pub unlisted: u64,
    /// Samples in shards that say nothing of failed rows: bare tars, and Parquet of other tools; not part of `rows`.
    pub samples_without_table: u64,
    /// Rows of such Parquet that have no image, and so are no samples.
    pub rows_without_image: u64,
    /// Bytes on disk by kind of file.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Bytes fetched, where the stats say so.
    pub fetched_bytes: Option<u64>,
    /// Rows that share the fetch of an earlier row of their URL, where the stats say so.
    pub fetches_saved: u64,
    /// Rows whose image made a decoder panic, by place, where the stats say so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub panics: BTreeMap<String, u64>,
    /// Rows whose EXIF was too large to keep, where the stats say so.
    pub exif_dropped: u64,
    /// Seconds from the first shard's start to the last one's end.
    pub wall_s: Option<f64>,
    /// Images per shard.
    pub samples_per_shard: Distribution,
    /// Pixels.
    pub width: Distribution,
    /// Pixels.
    pub height: Distribution,
    /// Pixels, as downloaded.
    pub original_width: Distribution,
    /// Pixels, as downloaded.
    pub original_height: Distribution,
    /// Characters of the captions of successes; null and blank ones count as 0.
    pub caption_chars: Distribution,
    /// Successes whose caption is null or blank.
    pub blank_captions: u64,
    /// Hosts by failed rows, most first.
    pub failing_hosts: Vec<HostCount>,
    /// Messages of failures, most frequent first.
    pub messages: Vec<MessageCount>,
}

/// How a host did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostCount {
    /// Host name, lower-case, without port.
    pub host: String,
    /// Rows that failed.
    pub failures: u64,
    /// Rows in all.
    pub rows: u64,
}

/// How often a message came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageCount {
    /// The message.
    pub message: String,
    /// Rows.
    pub rows: u64,
}

/// Quantiles of whole numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Values.
    pub count: u64,
    /// Smallest.
    pub min: u32,
    /// Half are smaller or equal.
    pub p50: u32,
    /// 90 of 100 are smaller or equal.
    pub p90: u32,
    /// 99 of 100 are smaller or equal.
    pub p99: u32,
    /// Largest (100,000 stands for anything larger).
    pub max: u32,
    /// Arithmetic mean.
    pub mean: f64,
}

/// Counts by value, so that quantiles are exact and memory is bounded.
#[derive(Debug, Default)]
struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    fn add(&mut self, value: impl TryInto<u32>) {
        *self.0.entry(value.try_into().unwrap_or(MAX_VALUE).min(MAX_VALUE)).or_insert(0) += 1;
    }

    fn distribution(&self) -> Distribution {
        let count: u64 = self.0.values().sum();
        let (Some((&min, _)), Some((&max, _))) = (self.0.first_key_value(), self.0.last_key_value()) else {
            return Distribution::default();
        };
        let quantile = |percent: u64| {
            let rank = (count * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let at = self.0.iter().find(|(_, n)| {
                seen += **n;
                seen >= rank
            });
            at.map_or(max, |(value, _)| *value)
        };
        let sum: f64 = self.0.iter().map(|(value, n)| f64::from(*value) * *n as f64).sum();
        let mean = sum / count as f64;
        Distribution { count, min, p50: quantile(50), p90: quantile(90), p99: quantile(99), max, mean }
    }
}

/// Why a folder has no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The folder cannot be listed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A table is unreadable.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A stats file is unreadable.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A tar without a table is unreadable.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// What a rewriting command noted is unreadable.
    #[error(transparent)]
    Note(#[from] RewriteError),
}

/// Adds shards up to an [`Account`].
#[derive(Debug, Default)]
struct Ledger {
    account: Account,
    superseded: HashSet<String>,
    hosts: HashMap<String, (u64, u64)>,
    messages: StatusDict,
    samples_per_shard: Histogram,
    sizes: [Histogram; 4],
    caption_chars: Histogram,
    times: Option<(f64, f64)>,
}

impl Account {
    /// The account of the finished shards of `folder` and, where they have no tables, of its tars.
    ///
    /// # Errors
    /// When a stats file, a table, or a tar without table cannot be read.
    pub fn of(folder: &DatasetFolder) -> Result<Self, AccountError> {
        Self::of_all(std::slice::from_ref(folder))
    }

    /// The account of several folders, or of parts of them ([`DatasetFolder::part`]).
    ///
    /// # Errors
    /// As [`Account::of`].
    pub fn of_all(folders: &[DatasetFolder]) -> Result<Self, AccountError> {
        let mut ledger = Ledger::default();
        for folder in folders {
            // Keys are unique in one dataset only.
            ledger.superseded = superseded_keys(folder)?;
            ledger.add_folder(folder)?;
        }
        Ok(ledger.finish())
    }

    /// Bytes of all files of the shards.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.values().sum()
    }
}

/// Keys that a retry shard supersedes.
///
/// # Errors
/// When a table cannot be read.
pub fn superseded_keys(folder: &DatasetFolder) -> Result<HashSet<String>, TableError> {
    let mut keys = HashSet::new();
    for shard in folder.done() {
        let Some(path) = shard.get(ShardFile::Table) else { continue };
        let reader = SidecarReader::open(path)?;
        if reader.has_column(column::RETRY_OF) {
            for row in reader.rows(RowColumns::Account)? {
                keys.extend(row?.retry_of);
            }
        }
    }
    Ok(keys)
}

/// The host of an http(s) URL, lower-case, without user and port; `None` when there is none.
pub fn host_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // `[::1]:80` keeps its brackets.
    let host = match host.find(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Whether a table is another tool's image shard, as far as its columns say: images, and no word of failed rows.
fn is_foreign(table: &SidecarReader) -> bool {
    !table.is_sidecar() && image_column(table.schema().fields()).is_some()
}

/// Whether the table at `path` was made from a tar that had none. Damage is told by whoever reads it.
fn is_of_members(path: &Path) -> bool {
    SidecarReader::open(path).is_ok_and(|table| table.is_of_members())
}

/// How many finished shards have lost their images. A folder of stats alone never had any (img2dataset's `dummy` output).
fn shards_without_images(folder: &DatasetFolder) -> u64 {
    let packed: HashSet<&str> =
        folder.other_tars.iter().filter_map(|tar| Some(shard_stem(tar.file_name()?.to_str()?))).collect();
    let has_images = |shard: &ShardFiles| {
        [ShardFile::Tar, ShardFile::Files, ShardFile::TfRecord].iter().any(|kind| shard.get(*kind).is_some())
            || packed.contains(shard.name.as_str())
            // One that cannot be read is told by whoever counts its rows.
            || shard.get(ShardFile::Table).is_some_and(|table| {
                SidecarReader::open(table).map_or(true, |table| table.is_of_members() || holds_images(&table))
            })
    };
    let is_dummy = folder.done().all(|shard| shard.files().all(|(kind, _)| kind == ShardFile::Stats));
    if is_dummy { 0 } else { folder.done().filter(|shard| !has_images(shard)).count() as u64 }
}

/// Whether a column behind the key is binary, as images are; before it stand columns of the input.
fn holds_images(table: &SidecarReader) -> bool {
    let binary = |t: &DataType| matches!(t, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let is_image = |field: &Field| match field.data_type() {
        DataType::Struct(fields) => {
            field.name() == column::IMAGE
                && fields.iter().any(|f| f.name() == "bytes" && binary(f.data_type()))
        }
        other => binary(other),
    };
    let fields = table.schema().fields().iter();
    fields.skip_while(|field| field.name() != column::KEY).any(|field| is_image(field))
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}

impl Ledger {
    fn add_folder(&mut self, folder: &DatasetFolder) -> Result<(), AccountError> {
        let mut counted = HashSet::new();
        // A folder of tars alone has no stats; there every numbered tar counts.
        let bare = folder.done().next().is_none();
        for shard in folder.shards.values() {
            let table = shard.get(ShardFile::Table);
            let is_bare_tar = bare && table.is_none() && shard.get(ShardFile::Tar).is_some();
            let is_foreign =
                |path: &Path| SidecarReader::open_any(path).is_ok_and(|table| is_foreign(&table));
            let is_bare_table = table.is_some_and(|path| is_of_members(path) || bare && is_foreign(path));
            if shard.is_done() || is_bare_tar || folder.is_part || is_bare_table {
                self.add_shard(shard)?;
                counted.insert(shard.name.clone());
            } else {
                self.account.unfinished_shards += 1;
            }
        }
        // A tar and the table beside it are one shard: the table knows of failures too, if it is a sidecar.
        let stem =
            |path: &Path| shard_stem(&path.file_name().unwrap_or_default().to_string_lossy()).to_owned();
        let is_sidecar = |path: &Path| {
            SidecarReader::open_any(path).is_ok_and(|table| table.is_sidecar() && !table.is_of_members())
        };
        let tars: HashSet<String> = folder.other_tars.iter().map(|tar| stem(tar)).collect();
        let tables = folder.other_tables.iter();
        let (tables, copies): (Vec<&PathBuf>, Vec<&PathBuf>) =
            tables.partition(|table| !tars.contains(&stem(table)) || is_sidecar(table));
        counted.extend(tables.iter().map(|table| stem(table)));
        let packed_last = |tar: &&PathBuf| !has_indexes(&tar.to_string_lossy());
        let mut other_tars: Vec<&PathBuf> = folder.other_tars.iter().collect();
        other_tars.sort_by_key(packed_last);
        for tar in other_tars {
            // The tar of a shard that is counted by its table may have been compressed since, or lie here plain too.
            let has_table =
                beside(tar, ShardFile::Stats).is_file() && beside(tar, ShardFile::Table).is_file();
            if !has_table && counted.insert(stem(tar)) {
                self.account.shards += 1;
                self.add_tar(tar)?;
            }
            *self.account.bytes.entry("tar").or_insert(0) += file_bytes(tar);
        }
        for table in tables {
            self.account.shards += 1;
            let (_, num_images) = self.add_table(table)?;
            self.samples_per_shard.add(num_images);
            *self.account.bytes.entry("parquet").or_insert(0) += file_bytes(table);
        }
        for table in copies {
            *self.account.bytes.entry("parquet").or_insert(0) += file_bytes(table);
        }
        if !folder.is_part {
            self.account.shards_without_images += shards_without_images(folder);
            self.add_missing(folder)?;
        }
        Ok(())
    }

    /// What should be here by the notes of ingest and by `sizes.json`.
    fn add_missing(&mut self, folder: &DatasetFolder) -> Result<(), AccountError> {
        let notes = Notes::of(folder)?;
        let unmade = notes.conversions.unmade(|name| folder.has(name)).count();
        self.account.missing_shards += unmade as u64;
        let mut runs = folder.runs()?;
        runs.extend(notes.rewrite);
        for run in &runs {
            self.account.unfinished_runs += u64::from(run.shards.is_none());
            self.account.missing_shards += folder.missing(run).1;
        }
        let is_noted = |id: ShardId| {
            runs.iter().any(|run| {
                let end = run.first_shard.saturating_add(run.shards.unwrap_or(0));
                (run.first_shard..end).contains(&id.0)
            })
        };
        // One that cannot be read is `verify`'s to tell.
        let listed = folder.sizes.as_deref().and_then(|path| sizes::read(path).ok()).unwrap_or_default();
        let gone = listed.keys().filter(|name| {
            let other =
                || folder.other_tars.iter().any(|tar| tar.file_name().is_some_and(|n| n == name.as_str()));
            match shard_of(name) {
                Some(id) => !folder.shards.contains_key(&id) && !is_noted(id),
                None => !other(),
            }
        });
        self.account.missing_shards += gone.count() as u64;
        Ok(())
    }

    fn add_shard(&mut self, shard: &ShardFiles) -> Result<(), AccountError> {
        self.account.shards += 1;
        for (kind, path) in shard.files() {
            let name = match kind {
                ShardFile::Stats => "stats",
                ShardFile::Tar => "tar",
                ShardFile::Table => "parquet",
                ShardFile::DaliIndex | ShardFile::EnergonIndex => "index",
                ShardFile::TfRecord => "tfrecord",
                ShardFile::Files => continue,
            };
            *self.account.bytes.entry(name).or_insert(0) += file_bytes(path);
        }
        let stats = shard.get(ShardFile::Stats).map(ShardStats::read).transpose()?;
        if let Some(stats) = &stats {
            self.account.fetched_bytes = match (self.account.fetched_bytes, stats.fetched_bytes) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            };
            self.account.fetches_saved = self.account.fetches_saved.saturating_add(stats.fetches_saved);
            self.account.exif_dropped = self.account.exif_dropped.saturating_add(stats.exif_dropped);
            for (place, rows) in &stats.panics {
                *self.account.panics.entry(place.clone()).or_insert(0) += rows;
            }
            let (start, end) = self.times.unwrap_or((stats.start_time, stats.end_time));
            self.times = Some((start.min(stats.start_time), end.max(stats.end_time)));
        }
        match (shard.get(ShardFile::Table), shard.get(ShardFile::Tar), &stats) {
            (Some(table), _, _) => {
                let (num_rows, num_images) = self.add_table(table)?;
                self.samples_per_shard.add(num_images);
                let unlisted = stats.map_or(0, |s| s.count.saturating_sub(num_rows));
                self.account.unlisted += unlisted;
                self.account.outcomes.rows += unlisted;
            }
            (None, Some(tar), None) => self.add_tar(tar)?,
            // Only the stats are left (img2dataset's `dummy` output, or tables thrown away).
            (None, _, Some(stats)) => self.add_stats(stats),
            (None, None, None) => {}
        }
        Ok(())
    }

    fn add_table(&mut self, path: &Path) -> Result<(u64, u64), TableError> {
        let (mut num_rows, mut num_images) = (0, 0);
        let reader = SidecarReader::open_any(path)?;
        if is_foreign(&reader) {
            let samples = self.add_foreign_table(&reader)?;
            return Ok((samples, samples));
        }
        let reader = SidecarReader::open(path)?;
        let has_caption = reader.has_column(column::CAPTION);
        for row in reader.rows(RowColumns::All)? {
            let row = row?;
            num_rows += 1;
            num_images += u64::from(row.status == Status::Success);
            self.add_row(&row, has_caption);
        }
        Ok((num_rows, num_images))
    }

    fn add_row(&mut self, row: &SidecarRow, has_caption: bool) {
        let account = &mut self.account;
        match row.retry_of {
            None => account.outcomes.rows += 1,
            Some(_) if row.status == Status::Success => account.recovered += 1,
            Some(_) => {}
        }
        if self.superseded.contains(&row.key) {
            // Counted with the row that supersedes it; an original is retried once, however often.
            account.retried += u64::from(row.retry_of.is_none());
            return;
        }
        let failed = row.status != Status::Success;
        if let Some(host) = row.url.as_deref().and_then(host_of) {
            let counts = self.hosts.entry(host).or_insert((0, 0));
            counts.0 += u64::from(failed);
            counts.1 += 1;
            if self.hosts.len() > MAX_HOSTS {
                let mut ranked: Vec<_> = self.hosts.drain().collect();
                ranked.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                ranked.truncate(MAX_HOSTS / 2);
                self.hosts.extend(ranked);
            }
        }
        if failed {
            *account.failures_by_status.entry(row.status).or_insert(0) += 1;
            match row.failure_class {
                Some(class) => *account.outcomes.failures.entry(class).or_insert(0) += 1,
                None => account.outcomes.unclassified += 1,
            }
            self.messages.add(row.error_message.as_deref().unwrap_or("(no message)"), 1);
            return;
        }
        account.outcomes.successes += 1;
        let sizes = [row.width, row.height, row.original_width, row.original_height];
        for (histogram, pixels) in self.sizes.iter_mut().zip(sizes) {
            if let Some(pixels) = pixels {
                histogram.add(pixels.max(0));
            }
        }
        if has_caption {
            let caption = row.caption.as_deref().unwrap_or_default();
            account.blank_captions += u64::from(caption.trim().is_empty());
            self.caption_chars.add(if caption.trim().is_empty() { 0 } else { caption.chars().count() });
        }
    }

    fn add_stats(&mut self, stats: &ShardStats) {
        let account = &mut self.account;
        account.outcomes.add_stats(stats);
        for (status, count) in [
            (Status::FailedToDownload, stats.failed_to_download),
            (Status::FailedToResize, stats.failed_to_resize),
        ] {
            if count > 0 {
                *account.failures_by_status.entry(status).or_insert(0) += count;
            }
        }
        for (message, count) in stats.status_dict.most_common() {
            if message != Status::Success.as_str() {
                self.messages.add(message, count);
            }
        }
        self.samples_per_shard.add(stats.successes);
    }

    fn add_tar(&mut self, path: &Path) -> Result<(), TarError> {
        let tar = MappedTar::open_with(path, EndMarker::Optional)?;
        self.account.samples_without_table += tar.len() as u64;
        self.samples_per_shard.add(tar.len());
        for sample in tar.iter() {
            if let Some(caption) = sample.caption() {
                let caption = String::from_utf8_lossy(caption);
                self.account.blank_captions += u64::from(caption.trim().is_empty());
                self.caption_chars.add(if caption.trim().is_empty() { 0 } else { caption.chars().count() });
            }
        }
        Ok(())
    }

    /// The rows of another tool's image shard that have an image, which takes reading all of them.
    fn add_foreign_table(&mut self, reader: &SidecarReader) -> Result<u64, TableError> {
        let fields = reader.schema().fields();
        let Some(image) = image_column(fields) else { return Ok(0) };
        let image = fields[image].name().as_str();
        let caption = column::CAPTIONS.into_iter().find(|name| reader.has_column(name));
        let names: Vec<&str> = [Some(image), caption].into_iter().flatten().collect();
        let (mut rows, mut samples) = (0, 0);
        for batch in reader.batches_of(Some(&names), IMAGE_ROW_GROUP_ROWS)? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            let here = batch.column_by_name(image).and_then(have_bytes).unwrap_or_default();
            samples += here.iter().filter(|has| **has).count() as u64;
            // A caption that is a list has no length here.
            let captions = caption.and_then(|name| text_column(reader.path(), &batch, name).ok().flatten());
            let captions = captions.iter().flat_map(|captions| captions.iter().zip(&here));
            for (caption, _) in captions.filter(|(_, has)| **has) {
                let caption = caption.unwrap_or_default().trim();
                self.account.blank_captions += u64::from(caption.is_empty());
                self.caption_chars.add(caption.chars().count());
            }
        }
        self.account.samples_without_table += samples;
        self.account.rows_without_image += rows - samples;
        Ok(samples)
    }

    fn finish(mut self) -> Account {
        let account = &mut self.account;
        account.samples_per_shard = self.samples_per_shard.distribution();
        let [width, height, original_width, original_height] = &self.sizes;
        account.width = width.distribution();
        account.height = height.distribution();
        account.original_width = original_width.distribution();
        account.original_height = original_height.distribution();
        account.caption_chars = self.caption_chars.distribution();
        account.wall_s = self.times.map(|(start, end)| end - start);
        let mut hosts: Vec<HostCount> = self
            .hosts
            .into_iter()
            .filter(|(_, (failures, _))| *failures > 0)
            .map(|(host, (failures, rows))| HostCount { host, failures, rows })
            .collect();
        hosts.sort_unstable_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.host.cmp(&b.host)));
        hosts.truncate(NUM_TOP);
        account.failing_hosts = hosts;
        let messages = self.messages.most_common().into_iter().take(NUM_TOP);
        account.messages = messages.map(|(m, rows)| MessageCount { message: m.to_owned(), rows }).collect();
        self.account
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::FailureClass;

    #[test]
    fn hosts_are_cut_out_of_urls() {
        for (url, host) in [
            ("https://User:pw@WWW.Example.com:8080/a?b#c", Some("www.example.com")),
            ("http://example.com", Some("example.com")),
            ("http://[::1]:80/x", Some("[::1]")),
            ("http://h?x=http://other/", Some("h")),
            ("example.com/a.jpg", None),
            ("http:///a", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|n: i32| histogram.add(n));
        histogram.add(10_000_000u64);
        let d = histogram.distribution();
        assert_eq!((d.count, d.min, d.p50, d.p90, d.p99, d.max), (101, 1, 51, 91, 100, MAX_VALUE));
        assert_eq!(Histogram::default().distribution(), Distribution::default());
    }

    #[test]
    fn img2datasets_folder_adds_up() {
        for output in ["webdataset", "parquet"] {
            let dir =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/img2dataset-1.47").join(output);
            let account = Account::of(&DatasetFolder::scan(&dir).unwrap()).unwrap();
            let outcomes = &account.outcomes;
            assert_eq!((account.shards, outcomes.rows, outcomes.successes, outcomes.failed()), (2, 14, 7, 7));
            assert_eq!(outcomes.failures[&FailureClass::Http4xx], 2);
            assert_eq!(account.failures_by_status[&Status::FailedToDownload], 4);
            assert_eq!((account.blank_captions, account.width.count), (2, 7));
            assert_eq!(account.failing_hosts[0].failures, 7);
        }
    }
}
