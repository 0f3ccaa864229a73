//! The output folder between runs: whose shards it holds, which are finished, and who may write to it now.
//!
//! Pairmill keeps its own files in `_pairmill/`, because img2dataset takes every top-level `*.json` for a shard's
//! stats. Each run over the folder is a *segment* of consecutive shard ids: the first run, one per `extend`, one per
//! `retry`. `_pairmill/runs/<first shard>.toml` holds the segment's resolved config and inputs; beside it
//! `<first shard>.done` says that all its shards are written.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{remove_stale_temps, write_atomic};
use pairmill_shards::folder::{DatasetFolder, PAIRMILL_FOLDER, SIZES_FILE, shard_of};
use pairmill_shards::key::ShardId;
use pairmill_shards::status::FailureClass;
use serde::{Deserialize, Serialize};

use crate::card::{CARD_FILE, CARD_TEXT_FILE};
use crate::config::{Config, IncrementalMode};
use crate::error::IngestError;

/// One run over a folder, as written to `_pairmill/runs/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Id of the segment's first shard.
    pub first_shard: u64,
    /// Version of the tool that began it.
    pub version: String,
    /// Set for `retry`: the classes whose rows were fetched again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_of_classes: Vec<FailureClass>,
    /// The resolved config.
    pub config: Config,
    /// The input files, in order.
    #[serde(default)]
    pub inputs: Vec<InputStamp>,
}

/// What identifies an input file: resuming needs the same table (FORMAT.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStamp {
    /// File name without its folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A folder this process may write to, until dropped.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    segment: Segment,
    done: BTreeSet<ShardId>,
    whole_run: bool,
    _lock: Option<File>,
}

impl OutputFolder {
    /// Makes the folder ready for `config` over `inputs`: created if missing, checked against what it holds, emptied
    /// under `overwrite`, locked against a second run (unless only some shards are asked for).
    ///
    /// # Errors
    /// When the folder holds another run's config, is being written by another process, or cannot be written.
    pub fn open(config: &Config, inputs: Vec<InputStamp>) -> Result<Self, IngestError> {
        let path = config.output.output_folder.clone();
        let runs = path.join(PAIRMILL_FOLDER).join("runs");
        fs::create_dir_all(&runs).map_err(|e| IngestError::folder(&path, e))?;
        let whole_run = config.runtime.shards.is_none();
        let lock = if whole_run { Some(lock(&path)?) } else { None };
        if config.output.incremental_mode == IncrementalMode::Overwrite && whole_run {
            clear(&path)?;
            fs::create_dir_all(&runs).map_err(|e| IngestError::folder(&path, e))?;
        }
        let folder = DatasetFolder::scan(&path)?;
        let segments = segments(&path)?;
        let new_segment = |first_shard| Segment {
            first_shard,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            retry_of_classes: Vec::new(),
            config: config.clone(),
            inputs: inputs.clone(),
        };
        let next_id = folder.max_done().map_or(0, |id| id.0 + 1);
        let segment = match config.output.incremental_mode {
            IncrementalMode::Extend => match segments.last() {
                // An extend that was cut short is continued, not begun again behind itself.
                Some((last, false)) if last.first_shard > 0 && last.matches(config, &inputs)? => last.clone(),
                Some((last, false)) => {
                    return Err(IngestError::Unfinished { folder: path, first_shard: last.first_shard });
                }
                _ => new_segment(next_id),
            },
            IncrementalMode::Incremental | IncrementalMode::Overwrite => {
                let mut own = segments.iter().map(|(s, _)| s).filter(|s| s.retry_of_classes.is_empty());
                match own.next() {
                    // img2dataset's folders have no config of ours: they are continued on trust, as it would.
                    None => new_segment(0),
                    Some(first) => {
                        let mut refusal = first.refusal(&path, config, &inputs)?;
                        let mut found = first;
                        for later in own {
                            if refusal.is_none() {
                                break;
                            }
                            refusal = later.refusal(&path, config, &inputs)?;
                            found = later;
                        }
                        match refusal {
                            Some(error) => return Err(error),
                            None => found.clone(),
                        }
                    }
                }
            }
        };
        Self::begin(path, segment, folder.done().map(|shard| shard.id).collect(), config.runtime.shards, lock)
    }

    /// Makes a finished folder ready for a retry of `classes` with `config`.
    ///
    /// # Errors
    /// When a run in the folder is unfinished, or the folder cannot be written.
    pub fn open_retry(path: &Path, config: &Config, classes: &[FailureClass]) -> Result<Self, IngestError> {
        let lock = lock(path)?;
        let folder = DatasetFolder::scan(path)?;
        let segments = segments(path)?;
        let segment = match segments.last() {
            Some((last, false)) if !last.retry_of_classes.is_empty() && last.retry_of_classes == classes => {
                last.clone()
            }
            Some((last, false)) => {
                return Err(IngestError::Unfinished {
                    folder: path.to_owned(),
                    first_shard: last.first_shard,
                });
            }
            _ => Segment {
                first_shard: folder.max_done().map_or(0, |id| id.0 + 1),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                retry_of_classes: classes.to_vec(),
                config: config.clone(),
                inputs: Vec::new(),
            },
        };
        Self::begin(path.to_owned(), segment, folder.done().map(|shard| shard.id).collect(), None, Some(lock))
    }

    fn begin(
        path: PathBuf,
        segment: Segment,
        done: BTreeSet<ShardId>,
        shards: Option<(u64, u64)>,
        lock: Option<File>,
    ) -> Result<Self, IngestError> {
        let whole_run = shards.is_none();
        // A process that is given some shards only must not take the temporaries of its neighbours.
        let (from, to) = shards.unwrap_or((0, u64::MAX));
        remove_stale_temps(&path, |name| {
            name == SIZES_FILE || shard_of(name).is_some_and(|id| (from..to).contains(&id.0))
        })?;
        let folder = Self { path, segment, done, whole_run, _lock: lock };
        let file = folder.segment_file("toml");
        if !file.exists() {
            let text = toml::to_string(&folder.segment).map_err(|e| IngestError::Internal(e.to_string()))?;
            let head = "# Written by pairmill-ingest; the [config] part can be given back as --config.\n";
            write_atomic(file, format!("{head}{text}").as_bytes())?;
        }
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run being made or continued.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Whether `shard` is already finished.
    pub fn is_done(&self, shard: ShardId) -> bool {
        self.done.contains(&shard)
    }

    /// Says that every shard of this segment is written.
    ///
    /// # Errors
    /// When the marker cannot be written.
    pub fn finish(&self, shards: u64) -> Result<(), IngestError> {
        if !self.whole_run {
            return Ok(());
        }
        Ok(write_atomic(self.segment_file("done"), format!("shards = {shards}\n").as_bytes())?)
    }

    fn segment_file(&self, extension: &str) -> PathBuf {
        let name = format!("{:05}.{extension}", self.segment.first_shard);
        self.path.join(PAIRMILL_FOLDER).join("runs").join(name)
    }
}

impl Segment {
    fn matches(&self, config: &Config, inputs: &[InputStamp]) -> Result<bool, IngestError> {
        Ok(self.refusal(Path::new(""), config, inputs)?.is_none())
    }

    /// Why `config` over `inputs` would not continue this segment; `None` when it would.
    fn refusal(
        &self,
        folder: &Path,
        config: &Config,
        inputs: &[InputStamp],
    ) -> Result<Option<IngestError>, IngestError> {
        let mut differences =
            config.differences(&self.config).map_err(|e| IngestError::Internal(e.to_string()))?;
        if self.inputs != inputs {
            differences.push(format!("input: {} there, {} here", describe(&self.inputs), describe(inputs)));
        }
        Ok((!differences.is_empty()).then(|| IngestError::OtherRun {
            folder: folder.to_owned(),
            differences: differences.join("; "),
        }))
    }
}

fn describe(inputs: &[InputStamp]) -> String {
    match inputs {
        [only] => format!("{} ({} bytes)", only.name, only.bytes),
        many => format!("{} files ({} bytes)", many.len(), many.iter().map(|i| i.bytes).sum::<u64>()),
    }
}

/// The segments of a folder in order of their shards, each with whether it is finished.
///
/// # Errors
/// When a segment file cannot be read.
pub fn segments(folder: &Path) -> Result<Vec<(Segment, bool)>, IngestError> {
    let runs = folder.join(PAIRMILL_FOLDER).join("runs");
    let entries = match fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(IngestError::folder(&runs, e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| IngestError::folder(&runs, e))?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden || path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| IngestError::folder(&path, e))?;
        let segment: Segment = toml::from_str(&text).map_err(|e| IngestError::Segment {
            file: path.clone(),
            message: e.message().replace('\n', " "),
        })?;
        found.push((segment, path.with_extension("done").exists()));
    }
    found.sort_by_key(|(segment, _)| segment.first_shard);
    Ok(found)
}

fn lock(path: &Path) -> Result<File, IngestError> {
    let own = path.join(PAIRMILL_FOLDER);
    fs::create_dir_all(&own).map_err(|e| IngestError::folder(path, e))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(own.join("lock"))
        .map_err(|e| IngestError::folder(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IngestError::Locked { folder: path.to_owned() }),
        // Some network file systems have no locks: better an unguarded run than none.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Removes what Pairmill or img2dataset wrote: everything whose name begins with a shard number, and our own notes.
/// Anything else in the folder is the user's and stays.
fn clear(path: &Path) -> Result<(), IngestError> {
    let error = |at: &Path, e| IngestError::folder(at, e);
    for entry in fs::read_dir(path).map_err(|e| error(path, e))? {
        let entry = entry.map_err(|e| error(path, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let at = entry.path();
        let is_dir = entry.file_type().map_err(|e| error(&at, e))?.is_dir();
        let stem_len = name.bytes().take_while(u8::is_ascii_digit).count();
        let tail = &name[stem_len..];
        let ours = name == SIZES_FILE
            || name == CARD_TEXT_FILE
            || (is_dir && name == "_tmp")
            || stem_len > 0
                && match tail {
                    "" => is_dir,
                    ".tar" | ".parquet" | ".idx" | ".tar.idx" | "_stats.json" | ".tfrecord" => !is_dir,
                    _ => false,
                };
        if ours {
            if is_dir { fs::remove_dir_all(&at) } else { fs::remove_file(&at) }.map_err(|e| error(&at, e))?;
        }
    }
    let card = path.join(PAIRMILL_FOLDER).join(CARD_FILE);
    match fs::remove_file(&card) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(&card, e)),
        _ => {}
    }
    let runs = path.join(PAIRMILL_FOLDER).join("runs");
    match fs::remove_dir_all(&runs) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(error(&runs, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        let mut config = Config::default();
        config.input.url_list = "t.csv".to_owned();
        config.output.output_folder = folder.to_owned();
        config
    }

    fn stamp(bytes: u64) -> Vec<InputStamp> {
        vec![InputStamp { name: "t.csv".to_owned(), bytes }]
    }

    #[test]
    fn the_same_run_goes_on_and_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        drop(OutputFolder::open(&config, stamp(5)).unwrap());
        drop(OutputFolder::open(&config, stamp(5)).unwrap());
        let other_table = OutputFolder::open(&config, stamp(6)).unwrap_err();
        assert!(other_table.to_string().contains("t.csv (5 bytes) there"), "{other_table}");
        assert!(other_table.is_bad_input());
        config.pixels.image_size = 99;
        let other_size = OutputFolder::open(&config, stamp(5)).unwrap_err();
        assert!(other_size.to_string().contains("pixels.image_size: 256 there, 99 here"), "{other_size}");
        config.output.incremental_mode = IncrementalMode::Overwrite;
        OutputFolder::open(&config, stamp(5)).unwrap();
    }

    #[test]
    fn two_runs_do_not_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let _first = OutputFolder::open(&config, stamp(5)).unwrap();
        assert!(matches!(OutputFolder::open(&config, stamp(5)), Err(IngestError::Locked { .. })));
        let mut part = config;
        part.runtime.shards = Some((0, 1));
        OutputFolder::open(&part, stamp(5)).unwrap();
    }

    #[test]
    fn overwrite_leaves_foreign_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["00000.tar", "00000_stats.json", "00000.parquet", "notes.txt", "2024 plan.pdf"] {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        fs::create_dir(dir.path().join("00001")).unwrap();
        let mut config = config(dir.path());
        config.output.incremental_mode = IncrementalMode::Overwrite;
        OutputFolder::open(&config, stamp(1)).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["2024 plan.pdf", "_pairmill", "notes.txt"]);
    }
}
