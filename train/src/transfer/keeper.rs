//! A run on disk while it is not finished: after a pass its weights, its optimiser and its best epoch go into one file,
//! and a small file beside it says which. A killed run goes on behind the last pass that was kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pairmill_shards::atomic::{FileAction, FileError, write_atomic};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::member::{Best, EpochLine, Member};
use crate::checkpoint::{restore, tensors};
use crate::error::TrainError;
use crate::eval::scores::Scores;

/// Says what is kept.
const PROGRESS: &str = "progress.json";
/// Keeping a run may take this share of its time, wherever a pass is shorter than that.
const WRITING_SHARE: u32 = 10;

/// Where a run stands, apart from tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    file: String,
    history: Vec<EpochLine>,
    best: Option<(u64, Scores)>,
    start: Option<Scores>,
    device_s: f64,
}

/// The folder of a run, and when to write there.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    every: Duration,
    last: Instant,
    took: Duration,
}

impl Keeper {
    /// Of a run in `folder`, which is made when there is something to keep. A pass that ends sooner than `every` behind
    /// the last one that was kept, or behind the start, is not kept; of none every pass is.
    pub fn new(folder: &Path, every: Duration) -> Self {
        Self { folder: folder.to_path_buf(), every, last: Instant::now(), took: Duration::ZERO }
    }

    /// Passes that are kept in `folder`, 0 of none.
    pub fn kept_epochs(folder: &Path) -> u64 {
        read(folder).map_or(0, |progress| progress.history.len() as u64)
    }

    /// Keeps `member` as it stands, unless that was done a moment ago.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(member: &mut Member) -> Result<(), TrainError> {
        let keeper = &member.keeper;
        let pause = if keeper.every.is_zero() { Duration::ZERO } else { keeper.took * WRITING_SHARE };
        if keeper.last.elapsed() < keeper.every.max(pause) {
            return Ok(());
        }
        let begun = Instant::now();
        let folder = keeper.folder.clone();
        fs::create_dir_all(&folder).map_err(|error| FileError::new(&folder, FileAction::Create, error))?;
        let epoch = member.history.len();
        let name = format!("epoch-{epoch:05}.safetensors");
        let path = folder.join(&name);
        tensors::save(&tensors_of(member), &path)?;
        let progress = Progress {
            file: name,
            history: member.history.clone(),
            best: member.best.as_ref().map(|best| (best.epoch, best.scores.clone())),
            start: member.start.clone(),
            device_s: member.device_s,
        };
        let before = read(&folder).map(|progress| progress.file);
        let text = serde_json::to_vec(&progress)
            .map_err(|error| TrainError::Transfer(format!("{}: {error}", folder.display())))?;
        write_atomic(folder.join(PROGRESS), &text)?;
        if let Some(before) = before.filter(|before| *before != progress.file) {
            // A leftover takes room and does no harm.
            let _ = fs::remove_file(folder.join(before));
        }
        member.keeper.took = begun.elapsed();
        member.keeper.last = Instant::now();
        Ok(())
    }

    /// Takes up what is kept of `member`'s run, if anything is.
    ///
    /// # Errors
    /// When it is damaged or another run's.
    pub fn resume(member: &mut Member) -> Result<(), TrainError> {
        let folder = member.keeper.folder.clone();
        let Some(progress) = read(&folder) else { return Ok(()) };
        if let Some((epoch, scores)) = progress.best {
            let weights = member.classifier().snapshot()?;
            member.best = Some(Best { epoch, scores, weights });
        }
        restore(&folder.join(&progress.file), &tensors_of(member))?;
        member.start = progress.start;
        member.history = progress.history;
        member.device_s = progress.device_s;
        Ok(())
    }

    /// Removes what was kept of an unfinished run: its result is written.
    pub fn clear(folder: &Path) {
        let Some(progress) = read(folder) else { return };
        // Leftovers take room and do no harm.
        let _ = fs::remove_file(folder.join(PROGRESS));
        let _ = fs::remove_file(folder.join(progress.file));
    }
}

fn read(folder: &Path) -> Option<Progress> {
    serde_json::from_slice(&fs::read(folder.join(PROGRESS)).ok()?).ok()
}

/// Everything of a run that has to be kept, by name, sharing memory.
fn tensors_of(member: &Member) -> Vec<(String, Tensor)> {
    let weights = member.classifier().weights().all();
    let named = |prefix: &str, tensors: &[Tensor]| -> Vec<(String, Tensor)> {
        let pairs = weights.iter().zip(tensors);
        pairs.map(|(weight, tensor)| (format!("{prefix}.{}", weight.name), tensor.shallow_clone())).collect()
    };
    let now: Vec<Tensor> = weights.iter().map(|weight| weight.tensor.shallow_clone()).collect();
    let mut all = named("model", &now);
    all.extend(member.tuner.optimiser.state().into_iter().map(|(name, t)| (format!("optim.{name}"), t)));
    if let Some(best) = &member.best {
        all.extend(named("best", &best.weights));
    }
    if let Some(before) = &member.before {
        all.extend(named("before", before));
    }
    all
}
