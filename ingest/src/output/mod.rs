//! The output folder between runs: whose shards it holds, which are finished, and who may write to it now. A bucket's
//! prefix is one too, by way of a staging folder (`place`).
//!
//! Pairmill keeps its own files in `_pairmill/`, because img2dataset takes every top-level `*.json` for a shard's
//! stats. Each run over the folder is a *segment* of consecutive shard ids: the first run, one per `extend`, one per
//! `retry`. `_pairmill/runs/<first shard>.toml` holds the segment's resolved config and inputs; beside it
//! `<first shard>.done` says that all its shards are written.

mod overlap;
mod place;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use pairmill_shards::atomic::{remove_stale_temps, write_atomic};
use pairmill_shards::folder::{DatasetFolder, PAIRMILL_FOLDER, RUNS_FOLDER, is_dataset_file, shard_of};
use pairmill_shards::key::{KeyLayout, ShardId};
use pairmill_shards::status::FailureClass;
use pairmill_shards::storage::{Bucket, Location, StorageConfig};
use serde::{Deserialize, Serialize};

pub use self::overlap::refuse_overlap;
use self::place::Place;
pub(crate) use self::place::{name_of, reach, staging_error, staging_root};
use crate::config::{Config, ConfigError, IncrementalMode};
use crate::error::IngestError;
use crate::identity::{self, Agreement, Input, InputStamp};
use crate::small_file::{LIST_BYTES, read_text};

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
    /// Other files that decide which rows there are and what they say: lists of words, labels, captions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<InputStamp>,
}

/// A folder this process may write to, until dropped.
#[derive(Debug)]
pub struct OutputFolder {
    place: Place,
    layout: KeyLayout,
    segment: Segment,
    done: BTreeSet<ShardId>,
    whole_run: bool,
    was_finished: bool,
    on_trust: Option<String>,
}

impl OutputFolder {
    /// Makes the folder ready for `config` over `input`: created if missing, checked against what it holds, emptied
    /// under `overwrite`, locked against a second run (unless only some shards are asked for).
    ///
    /// # Errors
    /// When the folder holds another run's config or shards of a newer format, is being written by another process, or
    /// cannot be written.
    pub fn open(config: &Config, input: &Input) -> Result<Self, IngestError> {
        let place = Place::open(config)?;
        let shown = place.shown().to_owned();
        if config.output.incremental_mode == IncrementalMode::Overwrite && config.runtime.shards.is_none() {
            place.clear()?;
        }
        let folder = place.dataset()?;
        place.check_versions(&folder)?;
        let segments = segments(place.path())?;
        let new_segment = |first_shard| Segment {
            first_shard,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            retry_of_classes: Vec::new(),
            config: config.noted(),
            inputs: input.files.clone(),
            lists: input.lists.clone(),
        };
        let next_id = folder.max_done().map_or(0, |id| id.0 + 1);
        let segment = match config.output.incremental_mode {
            IncrementalMode::Extend => match segments.last() {
                // An extend that was cut short is continued, not begun again behind itself.
                Some((last, false)) if last.first_shard > 0 && last.matches(config, input)? => last.clone(),
                Some((last, false)) => {
                    return Err(IngestError::Unfinished { folder: shown, first_shard: last.first_shard });
                }
                _ => new_segment(next_id),
            },
            IncrementalMode::Incremental | IncrementalMode::Overwrite => {
                let mut own = segments.iter().map(|(s, _)| s).filter(|s| s.retry_of_classes.is_empty());
                match own.next() {
                    // img2dataset's folders have no config of ours: they are continued on trust, as it would.
                    None => new_segment(0),
                    Some(first) => {
                        let mut refusal = first.refusal(&shown, config, input)?;
                        let mut found = first;
                        for later in own {
                            if refusal.is_none() {
                                break;
                            }
                            refusal = later.refusal(&shown, config, input)?;
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
        let done: BTreeSet<ShardId> = folder.done().map(|shard| shard.id).collect();
        let known = segments.iter().find(|(known, _)| known.first_shard == segment.first_shard);
        let on_trust = match known {
            Some((known, _)) => known.untold(input).map(|file| {
                format!(
                    "{}: an earlier version began it and noted only name and size of its input, so nothing shows \
                     whether {file} holds the same rows in the same order; going on as if it did",
                    shown.display()
                )
            }),
            None if segment.first_shard == 0 && !done.is_empty() => Some(format!(
                "{}: nothing there notes what its finished shards were made of (img2dataset makes no note); going on \
                 as if it was this input",
                shown.display()
            )),
            None => None,
        };
        let mut folder = Self::begin(place, config, segment, done, config.runtime.shards)?;
        if known.is_some() && on_trust.is_some() && !folder.was_finished {
            // What is made from here on is of this content, and of no other.
            folder.segment.inputs.clone_from(&input.files);
            folder.segment.lists.clone_from(&input.lists);
            folder.note_segment()?;
        }
        folder.on_trust = on_trust;
        Ok(folder)
    }

    /// Makes a finished folder ready for a retry with `config`, the rows of which `choose` picks from what is there.
    /// `None` where it picks nothing.
    ///
    /// # Errors
    /// When a run in the folder is unfinished, or the folder cannot be written.
    pub fn open_retry<T>(
        config: &Config,
        classes: &[FailureClass],
        choose: impl FnOnce(&Path) -> Result<Option<T>, IngestError>,
    ) -> Result<Option<(Self, T)>, IngestError> {
        let place = Place::open(config)?;
        place.fetch_tables()?;
        let Some(chosen) = choose(place.path())? else { return Ok(None) };
        let folder = place.dataset()?;
        let segments = segments(place.path())?;
        let segment = match segments.last() {
            Some((last, false)) if !last.retry_of_classes.is_empty() && last.retry_of_classes == classes => {
                last.clone()
            }
            Some((last, false)) => {
                return Err(IngestError::Unfinished {
                    folder: place.shown().to_owned(),
                    first_shard: last.first_shard,
                });
            }
            _ => Segment {
                first_shard: folder.max_done().map_or(0, |id| id.0 + 1),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                retry_of_classes: classes.to_vec(),
                config: config.noted(),
                inputs: Vec::new(),
                lists: Vec::new(),
            },
        };
        let done = folder.done().map(|shard| shard.id).collect();
        Ok(Some((Self::begin(place, config, segment, done, None)?, chosen)))
    }

    /// Looks at a bucket's notes, stats and tables in a staging folder, and writes nothing there.
    ///
    /// # Errors
    /// When another process of this machine writes there, the store refuses, or `look` does.
    pub fn look_at<T>(
        config: &Config,
        look: impl FnOnce(&Path) -> Result<T, IngestError>,
    ) -> Result<T, IngestError> {
        let place = Place::look_at(config)?;
        place.fetch_tables()?;
        look(place.path())
    }

    fn begin(
        place: Place,
        config: &Config,
        segment: Segment,
        done: BTreeSet<ShardId>,
        shards: Option<(u64, u64)>,
    ) -> Result<Self, IngestError> {
        let layout = config.output.layout().map_err(ConfigError::from)?;
        let whole_run = shards.is_none();
        // A process that is given some shards only must not take the temporaries of its neighbours.
        let (from, to) = shards.unwrap_or((0, u64::MAX));
        remove_stale_temps(place.path(), |name| match shard_of(name) {
            Some(id) => (from..to).contains(&id.0),
            None => is_dataset_file(name),
        })?;
        let notes = place.path().join(PAIRMILL_FOLDER);
        for folder in [notes.join(RUNS_FOLDER), notes] {
            remove_stale_temps(&folder, |_| true)?;
        }
        let mut folder =
            Self { place, layout, segment, done, whole_run, was_finished: false, on_trust: None };
        folder.was_finished = folder.path().join(folder.segment_file("done")).exists();
        if !folder.path().join(folder.segment_file("toml")).exists() {
            folder.note_segment()?;
        }
        Ok(folder)
    }

    fn note_segment(&self) -> Result<(), IngestError> {
        let name = self.segment_file("toml");
        let text = toml::to_string(&self.segment).map_err(|e| IngestError::Internal(e.to_string()))?;
        let head = "# Written by pairmill-ingest; the [config] part can be given back as --config.\n";
        write_atomic(self.path().join(&name), format!("{head}{text}").as_bytes())?;
        self.publish(&name)
    }

    /// The folder that is worked in: the output itself, or the staging folder of a bucket.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Whether finished shards have to be put up.
    pub fn is_staged(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// Puts a file of [`path`](Self::path) where the user wants it; nothing to be done for a local folder.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn publish(&self, name: &str) -> Result<(), IngestError> {
        self.place.publish(name)
    }

    /// The same for the files of a shard, stats last.
    ///
    /// # Errors
    /// When the store refuses; the shard is not finished then.
    pub fn publish_shard(&self, shard: ShardId) -> Result<(), IngestError> {
        self.place.publish_shard(&self.layout.shard_name(shard))
    }

    /// What the output holds now. The stats of its finished shards can be read, wherever it lies; for a run of some
    /// shards, those of its own.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn dataset(&self) -> Result<DatasetFolder, IngestError> {
        self.place.dataset()
    }

    /// The run being made or continued.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Whether the whole run had been finished when the folder was opened.
    pub fn was_finished(&self) -> bool {
        self.was_finished
    }

    /// What the user should know where an input cannot be told from another one.
    pub fn on_trust(&self) -> Option<&str> {
        self.on_trust.as_deref()
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
        let name = self.segment_file("done");
        write_atomic(self.path().join(&name), format!("shards = {shards}\n").as_bytes())?;
        self.publish(&name)
    }

    fn segment_file(&self, extension: &str) -> String {
        format!("{PAIRMILL_FOLDER}/runs/{:05}.{extension}", self.segment.first_shard)
    }
}

impl Segment {
    fn matches(&self, config: &Config, input: &Input) -> Result<bool, IngestError> {
        Ok(self.refusal(Path::new(""), config, input)?.is_none())
    }

    /// Why `config` over `input` would not continue this segment; `None` when it would.
    fn refusal(
        &self,
        folder: &Path,
        config: &Config,
        input: &Input,
    ) -> Result<Option<IngestError>, IngestError> {
        let mut differences =
            config.differences(&self.config).map_err(|e| IngestError::Internal(e.to_string()))?;
        let different = [self.agreement_of_files(input), self.agreement_of_lists(input)];
        let different = different.into_iter().find_map(|agreement| match agreement {
            Agreement::Different { what } => Some(what),
            _ => None,
        });
        let folder = folder.to_owned();
        Ok(match (differences.is_empty(), different) {
            (true, None) => None,
            (true, Some(what)) => Some(IngestError::OtherInput { folder, what }),
            (false, what) => {
                differences.extend(what.map(|what| format!("input: {what}")));
                Some(IngestError::OtherRun { folder, differences: differences.join("; ") })
            }
        })
    }

    /// The file that cannot be told from another one, if there is one.
    fn untold(&self, input: &Input) -> Option<String> {
        [self.agreement_of_files(input), self.agreement_of_lists(input)].into_iter().find_map(|agreement| {
            match agreement {
                Agreement::Untold { file } => Some(file),
                _ => None,
            }
        })
    }

    fn agreement_of_files(&self, input: &Input) -> Agreement {
        identity::compare(&self.inputs, &input.files)
    }

    fn agreement_of_lists(&self, input: &Input) -> Agreement {
        match input.lists.first() {
            // Earlier versions noted none. The settings, which name the lists, are the same.
            Some(list) if self.lists.is_empty() => Agreement::Untold { file: list.name.clone() },
            _ => identity::compare(&self.lists, &input.lists),
        }
    }
}

/// The segments of a folder or bucket in order of their shards, each with whether it is finished.
///
/// # Errors
/// When a segment file cannot be read.
pub fn segments_at(folder: &Path) -> Result<Vec<(Segment, bool)>, IngestError> {
    let Some(Location::Bucket(url)) = folder.to_str().map(Location::parse).transpose()? else {
        return segments(folder);
    };
    let bucket = Bucket::connect(&url, &StorageConfig::default())?;
    let runs = bucket.at(url.join(PAIRMILL_FOLDER).join("runs"));
    let names: Vec<String> = runs.list()?.into_iter().map(|object| object.name).collect();
    let copy = tempfile::tempdir().map_err(|e| staging_error(&std::env::temp_dir(), e))?;
    let within = copy.path().join(PAIRMILL_FOLDER).join("runs");
    fs::create_dir_all(&within).map_err(|e| staging_error(&within, e))?;
    runs.fetch_small(&names, &within)?;
    segments(copy.path())
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
        let text = read_text(&path, LIST_BYTES).map_err(|e| IngestError::folder(&path, e))?;
        let segment: Segment = toml::from_str(&text).map_err(|e| IngestError::Segment {
            file: path.clone(),
            message: e.message().replace('\n', " "),
        })?;
        found.push((segment, path.with_extension("done").exists()));
    }
    found.sort_by_key(|(segment, _)| segment.first_shard);
    Ok(found)
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

    fn stamp(bytes: u64) -> Input {
        Input::of_sizes(vec![InputStamp::of_size(Path::new("t.csv"), bytes)])
    }

    #[test]
    fn the_same_run_goes_on_and_another_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        drop(OutputFolder::open(&config, &stamp(5)).unwrap());
        drop(OutputFolder::open(&config, &stamp(5)).unwrap());
        let other_table = OutputFolder::open(&config, &stamp(6)).unwrap_err();
        assert!(other_table.to_string().contains("t.csv had 5 bytes and has 6"), "{other_table}");
        assert!(other_table.is_bad_input());
        config.pixels.image_size = 99;
        let other_size = OutputFolder::open(&config, &stamp(5)).unwrap_err();
        assert!(other_size.to_string().contains("pixels.image_size: 256 there, 99 here"), "{other_size}");
        config.output.incremental_mode = IncrementalMode::Overwrite;
        OutputFolder::open(&config, &stamp(5)).unwrap();
    }

    #[test]
    fn two_runs_do_not_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let _first = OutputFolder::open(&config, &stamp(5)).unwrap();
        assert!(matches!(OutputFolder::open(&config, &stamp(5)), Err(IngestError::Locked { .. })));
        let mut part = config;
        part.runtime.shards = Some((0, 1));
        OutputFolder::open(&part, &stamp(5)).unwrap();
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
        OutputFolder::open(&config, &stamp(1)).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["2024 plan.pdf", "_pairmill", "notes.txt"]);
    }
}
