//! The `checkpoints` folder of a run. A checkpoint is made in a hidden folder, synced and renamed; `latest` names it only
//! then, and only after that are older ones deleted. A kill at any point leaves every checkpoint that could be resumed
//! from before.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Device, Tensor};

use super::state::{self, Difference, State, differences};
use super::tensors::{self, TensorFile};
use super::{CheckpointError, NotFinite, import, restore};
use crate::model::Architecture;
use crate::optim::AdamW;
use crate::torch::rng;
use crate::weights::Weights;

/// Model weights, in open_clip's names.
pub const MODEL: &str = "model.safetensors";
/// Moments and step counts of the optimiser.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// libtorch's generators.
pub const RNG: &str = "rng.safetensors";
/// Names in it.
const CPU: &str = "cpu";
const CUDA: &str = "cuda";
/// Everything else; written last.
pub const STATE: &str = "state.json";
/// A text file beside the checkpoints with the name of the newest.
pub const LATEST: &str = "latest";
/// The folder within a run's folder.
pub const CHECKPOINTS: &str = "checkpoints";

/// What a checkpoint's folder is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Within an epoch: `step-00001234`.
    Step(u64),
    /// At the end of one, counted from 1 as open_clip does: `epoch_16`.
    Epoch(u64),
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let number =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        text.strip_prefix("step-")
            .and_then(number)
            .map(Self::Step)
            .or_else(|| text.strip_prefix("epoch_").and_then(number).map(Self::Epoch))
            // Only names that come out the same, so that a folder is never listed under another's name.
            .filter(|name| name.to_string() == text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step-{step:08}"),
            Self::Epoch(epoch) => write!(f, "epoch_{epoch}"),
        }
    }
}

/// Which end of a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Accuracy, recall.
    Highest,
    /// Loss.
    Lowest,
}

/// The checkpoint that is kept for a metric's sake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Name in [`State::metrics`].
    pub metric: String,
    /// Which end is good.
    pub direction: Direction,
}

/// Which checkpoints are kept when a new one is in place. A setting that is not given has its default, whatever else is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// The newest so many (at least 1), or `"all"`, which is `None` here.
    #[serde(with = "last")]
    pub last: Option<usize>,
    /// Also the best one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// Newest checkpoints that stay where the user says nothing.
const DEFAULT_LAST: usize = 2;

impl Default for Keep {
    fn default() -> Self {
        Self { last: Some(DEFAULT_LAST), best: None }
    }
}

/// [`Keep::last`] as users write it.
mod last {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    const ALL: &str = "all";

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "a number of checkpoints, or \"all\"")]
    enum Last {
        Newest(usize),
        Word(Word),
    }

    #[derive(Serialize, Deserialize)]
    enum Word {
        #[serde(rename = "all")]
        All,
    }

    pub(super) fn serialize<S: Serializer>(last: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
        match last {
            Some(newest) => newest.serialize(to),
            None => to.serialize_str(ALL),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
        Ok(match Last::deserialize(from)? {
            Last::Newest(newest) => Some(newest),
            Last::Word(Word::All) => None,
        })
    }
}

/// Points of a save at which a process may die; tests stop it at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Begun,
    ModelWritten,
    OptimizerWritten,
    StateWritten,
    SetAside,
    Renamed,
    Pointed,
}

/// The checkpoints of a run.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: Keep,
}

impl Checkpoints {
    /// The checkpoints in `folder`, which is made if need be. Cleans up after a killed process, so only the one process
    /// that writes them may call it.
    ///
    /// # Errors
    /// When the folder cannot be made, listed or cleaned.
    pub fn open(folder: &Path, keep: Keep) -> Result<Self, CheckpointError> {
        fs::create_dir_all(folder).map_err(|error| FileError::new(folder, FileAction::Create, error))?;
        let this = Self { folder: folder.to_path_buf(), keep };
        this.clean_up()?;
        Ok(this)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a checkpoint, then deletes those that are no longer kept. Returns where it is.
    ///
    /// A checkpoint of the same name is replaced. Weights and moments that are not finite are never written.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`], or when the disk refuses or libtorch does. What is there then can be resumed from, as after a kill.
    pub fn save(
        &self,
        name: Name,
        weights: &Weights,
        optimizer: &AdamW,
        state: &State,
    ) -> Result<PathBuf, CheckpointError> {
        let result = self.save_until(name, weights, optimizer, state, &mut |_| Ok(()));
        if result.is_err() {
            // The first error is the one to tell.
            let _ = self.clean_up();
        }
        result
    }

    fn save_until(
        &self,
        name: Name,
        weights: &Weights,
        optimizer: &AdamW,
        state: &State,
        at: &mut dyn FnMut(Point) -> Result<(), CheckpointError>,
    ) -> Result<PathBuf, CheckpointError> {
        let temp = self.hidden(name, "tmp");
        let path = self.folder.join(name.to_string());
        for tensors in [import::named(weights), optimizer.state()] {
            if let Some(found) = NotFinite::among(&tensors)? {
                return Err(CheckpointError::NotFinite { path, found });
            }
        }
        // A process of the same number may have died here.
        remove_folder(&temp)?;
        fs::create_dir(&temp).map_err(|error| FileError::new(&path, FileAction::Create, error))?;
        at(Point::Begun)?;
        let normalise = import::normalise_text(state.statistics(), &path)?;
        write_synced(&temp.join(MODEL), &import::named(weights), normalise.as_deref())?;
        at(Point::ModelWritten)?;
        write_synced(&temp.join(OPTIMIZER), &optimizer.state(), None)?;
        at(Point::OptimizerWritten)?;
        write_synced(&temp.join(RNG), &generators(weights.device())?, None)?;
        write_atomic(temp.join(STATE), &json(state, &path)?)?;
        sync(&temp)?;
        at(Point::StateWritten)?;

        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(|error| FileError::new(&path, FileAction::Rename, error))
        };
        if path.exists() {
            let old = self.hidden(name, "old");
            remove_folder(&old)?;
            rename(&path, &old)?;
        }
        at(Point::SetAside)?;
        rename(&temp, &path)?;
        sync(&self.folder)?;
        at(Point::Renamed)?;
        write_atomic(self.folder.join(LATEST), format!("{name}\n").as_bytes())?;
        at(Point::Pointed)?;

        remove_folder(&self.hidden(name, "old"))?;
        self.prune(&path)?;
        Ok(path)
    }

    /// Adds results of an evaluation to the checkpoint at `path`, for keep-best.
    ///
    /// # Errors
    /// When its state cannot be read or replaced.
    pub fn add_metrics(
        &self,
        path: &Path,
        metrics: impl IntoIterator<Item = (String, f64)>,
    ) -> Result<(), CheckpointError> {
        let mut checkpoint = Checkpoint::open(path)?;
        checkpoint.state.metrics.extend(metrics);
        Ok(write_atomic(path.join(STATE), &json(&checkpoint.state, path)?)?)
    }

    /// All whole checkpoints, oldest first. Folders whose state cannot be read are left out.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<Checkpoint>, CheckpointError> {
        list(&self.folder)
    }

    /// The checkpoint with the best value of `best`; the later one of equals.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn best(&self, best: &Best) -> Result<Option<Checkpoint>, CheckpointError> {
        let value = |checkpoint: &Checkpoint| {
            let value =
                checkpoint.state.metrics.get(&best.metric).copied().filter(|value| !value.is_nan())?;
            Some(if best.direction == Direction::Highest { value } else { -value })
        };
        let mut found: Option<(f64, Checkpoint)> = None;
        for checkpoint in self.list()? {
            if let Some(value) = value(&checkpoint)
                && found.as_ref().is_none_or(|(top, _)| value >= *top)
            {
                found = Some((value, checkpoint));
            }
        }
        Ok(found.map(|(_, checkpoint)| checkpoint))
    }

    fn prune(&self, newest: &Path) -> Result<(), CheckpointError> {
        let Some(last) = self.keep.last else { return Ok(()) };
        let all = self.list()?;
        let best = match &self.keep.best {
            Some(best) => self.best(best)?.map(|checkpoint| checkpoint.path),
            None => None,
        };
        for checkpoint in all.iter().take(all.len().saturating_sub(last.max(1))) {
            if checkpoint.path == newest || Some(&checkpoint.path) == best.as_ref() {
                continue;
            }
            // First out of sight, so that a half-deleted folder has no checkpoint's name.
            let Some(name) = checkpoint.path.file_name().and_then(|name| name.to_str()).and_then(Name::parse)
            else {
                continue;
            };
            let gone = self.hidden(name, "gone");
            remove_folder(&gone)?;
            fs::rename(&checkpoint.path, &gone)
                .map_err(|error| FileError::new(&checkpoint.path, FileAction::Remove, error))?;
            remove_folder(&gone)?;
        }
        Ok(())
    }

    /// `.step-00001234.4711.tmp`
    fn hidden(&self, name: Name, what: &str) -> PathBuf {
        self.folder.join(format!(".{name}.{}.{what}", std::process::id()))
    }

    /// Puts back what was set aside for a checkpoint that never came, and removes everything unfinished.
    fn clean_up(&self) -> Result<(), CheckpointError> {
        let unlistable = |error| FileError::new(&self.folder, FileAction::List, error);
        for entry in fs::read_dir(&self.folder).map_err(unlistable)? {
            let hidden = entry.map_err(unlistable)?.path();
            let file_name = hidden.file_name().and_then(|name| name.to_str());
            let Some((name, what)) = file_name.and_then(hidden_name) else { continue };
            let path = self.folder.join(name.to_string());
            if what == "old" && !path.exists() {
                fs::rename(&hidden, &path)
                    .map_err(|error| FileError::new(&path, FileAction::Rename, error))?;
            } else {
                remove_folder(&hidden)?;
            }
        }
        Ok(())
    }
}

/// Name and purpose of a hidden folder of ours.
fn hidden_name(file_name: &str) -> Option<(Name, &str)> {
    let (rest, what) = file_name.strip_prefix('.')?.rsplit_once('.')?;
    let (name, pid) = rest.rsplit_once('.')?;
    let ours = ["tmp", "old", "gone"].contains(&what) && pid.bytes().all(|b| b.is_ascii_digit());
    ours.then(|| Name::parse(name)).flatten().map(|name| (name, what))
}

fn list(folder: &Path) -> Result<Vec<Checkpoint>, CheckpointError> {
    whole_and_broken(folder).map(|(whole, _)| whole)
}

/// A checkpoint that cannot be opened, and why.
type Broken = (PathBuf, CheckpointError);

/// The checkpoints of a folder that can be opened, oldest first, and those that cannot.
fn whole_and_broken(folder: &Path) -> Result<(Vec<Checkpoint>, Vec<Broken>), CheckpointError> {
    let unlistable = |error| FileError::new(folder, FileAction::List, error);
    let (mut whole, mut broken) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(unlistable)? {
        let entry = entry.map_err(unlistable)?;
        if entry.file_name().to_str().and_then(Name::parse).is_none() {
            continue;
        }
        match Checkpoint::open(&entry.path()) {
            Ok(checkpoint) => whole.push(checkpoint),
            Err(error) => broken.push((entry.path(), error)),
        }
    }
    whole.sort_by(|a, b| (a.state.step, &a.path).cmp(&(b.state.step, &b.path)));
    Ok((whole, broken))
}

fn json(state: &State, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let mut text = serde_json::to_vec_pretty(state)
        .map_err(|error| CheckpointError::damaged(path, format!("the state cannot be written: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

fn write_synced(
    path: &Path,
    named: &[(String, Tensor)],
    normalise: Option<&str>,
) -> Result<(), CheckpointError> {
    let file = File::create(path).map_err(|error| FileError::new(path, FileAction::Create, error))?;
    tensors::write_about(named, normalise, BufWriter::with_capacity(1 << 20, &file), path)?;
    file.sync_all().map_err(|error| FileError::new(path, FileAction::Sync, error).into())
}

fn sync(folder: &Path) -> Result<(), CheckpointError> {
    match File::open(folder).and_then(|file| file.sync_all()) {
        // Some network file systems cannot sync a folder.
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(FileError::new(folder, FileAction::Sync, error).into())
        }
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new(path, FileAction::Remove, error).into())
        }
        _ => Ok(()),
    }
}

/// A whole checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Its `state.json`.
    pub state: State,
}

impl Checkpoint {
    /// The checkpoint whose folder is `path`.
    ///
    /// # Errors
    /// When there is none, or its state is damaged or of a later version.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = path.join(STATE);
        let text = fs::read(&file).map_err(|error| CheckpointError::read(&file, error))?;
        let unreadable = |error| CheckpointError::damaged(&file, format!("no checkpoint state: {error}"));
        // The version first: a later one may lack fields that this one requires.
        let value: Value = serde_json::from_slice(&text).map_err(unreadable)?;
        match value.get("format").and_then(Value::as_u64) {
            Some(found) if found > state::FORMAT.into() => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                return Err(CheckpointError::NewerFormat { path: file, found, known: state::FORMAT });
            }
            _ => {}
        }
        let state = serde_json::from_value(value).map_err(unreadable)?;
        Ok(Self { path: path.to_path_buf(), state })
    }

    /// The checkpoint a user means by `path`: one checkpoint, or the newest in a `checkpoints` folder or a run's folder.
    ///
    /// # Errors
    /// When there is none, or when the newest cannot be read: an older one never stands in for it.
    pub fn find(path: &Path) -> Result<Self, CheckpointError> {
        if path.join(STATE).is_file() {
            return Self::open(path);
        }
        for folder in [path.to_path_buf(), path.join(CHECKPOINTS)] {
            let latest = fs::read_to_string(folder.join(LATEST)).ok();
            let latest = latest.as_deref().map(str::trim).and_then(Name::parse);
            let latest = latest.map(|name| folder.join(name.to_string())).filter(|path| path.is_dir());
            let error = match latest.as_deref().map(Self::open) {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => Some(error),
                None => None,
            };
            let Ok((mut whole, mut broken)) = whole_and_broken(&folder) else { continue };
            if let (Some(path), Some(error)) = (latest, error) {
                return Err(newest(path, error, whole));
            }
            // No `latest`, or a stale one: a copied folder, or a kill between rename and pointer of the first save. How
            // new a checkpoint is stands in its state, so any that cannot be read may be the newest.
            match (broken.pop(), whole.pop()) {
                (Some((path, error)), last) => {
                    return Err(newest(path, error, last.into_iter().collect()));
                }
                (None, Some(found)) => return Ok(found),
                (None, None) => {}
            }
        }
        Err(CheckpointError::None { path: path.to_path_buf() })
    }

    /// The model it holds: as it was described when the run began, or, of format 1, as its name stands now.
    ///
    /// # Errors
    /// When there is no such model, or what is carried is none.
    pub fn architecture(&self) -> Result<Architecture, CheckpointError> {
        let failed = |error| CheckpointError::Architecture { path: self.path.clone(), error };
        match &self.state.model {
            Some(carried) => carried.validate().map(|()| carried.clone()),
            None => Architecture::find(&self.state.architecture),
        }
        .map_err(failed)
    }

    /// What to tell a user whose checkpoint names a file instead of carrying what was in it.
    pub fn warning(&self) -> Option<String> {
        let is_named_only = self.state.model.is_none() && self.state.architecture.ends_with(".toml");
        is_named_only.then(|| {
            format!(
                "{} does not carry its architecture; that of {} is taken as it is now",
                self.path.display(),
                self.state.architecture
            )
        })
    }

    /// Its weights.
    pub fn model(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// Whether a run of the model `name`, which is `architecture`, and of `config` can go on from here. `free` names
    /// settings that may have changed. A model's file may have moved; what it says may not have changed.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(
        &self,
        name: &str,
        architecture: &Architecture,
        config: &Value,
        free: &[&str],
    ) -> Result<(), CheckpointError> {
        let is_same_name = self.state.architecture == name;
        let mut free = free.to_vec();
        match &self.state.model {
            Some(carried) if carried == architecture => free.push("model"),
            Some(carried) if is_same_name => {
                let differences = architecture_differences(carried, architecture);
                return Err(CheckpointError::OtherConfig { path: self.path.clone(), differences });
            }
            None if is_same_name => {}
            _ => {
                return Err(CheckpointError::OtherModel {
                    path: self.path.clone(),
                    found: self.state.architecture.clone(),
                    wanted: name.to_owned(),
                });
            }
        }
        let differences = differences(&self.state.config, config, &free);
        if !differences.is_empty() {
            return Err(CheckpointError::OtherConfig { path: self.path.clone(), differences });
        }
        Ok(())
    }

    /// Loads weights, optimiser and generators, in place. The rest of the state is the caller's to take up.
    ///
    /// # Errors
    /// When a file is missing, cut short or another model's.
    pub fn restore(&self, weights: &Weights, optimizer: &AdamW) -> Result<(), CheckpointError> {
        restore(&self.path.join(MODEL), &import::named(weights))?;
        restore(&self.path.join(OPTIMIZER), &optimizer.state())?;
        let mut file = TensorFile::open(&self.path.join(RNG))?;
        rng::set_state(Device::Cpu, &file.read(CPU)?)?;
        // A run may go on on another kind of device: the seed has set its generator then.
        if weights.device().is_cuda() && file.entries().iter().any(|entry| entry.name == CUDA) {
            rng::set_state(weights.device(), &file.read(CUDA)?)?;
        }
        Ok(())
    }

    /// Loads the weights alone, as an evaluation or a run that starts from them wants.
    ///
    /// # Errors
    /// When the file is missing, cut short or another model's.
    pub fn restore_weights(&self, weights: &Weights) -> Result<(), CheckpointError> {
        restore(&self.path.join(MODEL), &import::named(weights))
    }
}

fn newest(path: PathBuf, error: CheckpointError, mut whole: Vec<Checkpoint>) -> CheckpointError {
    let older = whole.pop().map(|checkpoint| checkpoint.path);
    CheckpointError::Newest { path, error: error.into(), older }
}

/// Numbers of two models that differ, by path within the model's file.
pub fn architecture_differences(saved: &Architecture, given: &Architecture) -> Vec<Difference> {
    let value = |architecture: &Architecture| serde_json::json!({ "model": architecture });
    differences(&value(saved), &value(given), &[])
}

/// States of the generators a run on `device` draws from, by name.
fn generators(device: Device) -> Result<Vec<(String, Tensor)>, CheckpointError> {
    let mut states = vec![(CPU.to_owned(), rng::state(Device::Cpu)?)];
    if device.is_cuda() {
        states.push((CUDA.to_owned(), rng::state(device)?));
    }
    Ok(states)
}

#[cfg(test)]
mod tests;
