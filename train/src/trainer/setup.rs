//! From a resolved config to everything a run moves: ranks, model, optimiser, feed, schedule; fresh or from a checkpoint.

use std::path::Path;

use pairmill_loader::{Dataset, Loader, LoaderConfig, LoaderState};
use pairmill_tokens::Tokenizer;
use tch::Device;

use super::bad_batch::Guard;
use super::step::Stepper;
use super::{agreement, device};
use crate::checkpoint::folder::architecture_differences;
use crate::checkpoint::{self, Checkpoint, CheckpointError, NotFinite, import_weights, named};
use crate::config::{ConfigError, TrainConfig};
use crate::error::TrainError;
use crate::eval::encode;
use crate::eval::task::ZeroShotTask;
use crate::feed::{Feed, PixelBuffer};
use crate::launch::Launch;
use crate::model::{Architecture, Clip, Recompute};
use crate::optim::{AdamW, Scaler, Schedule};
use crate::ranks::{Facts, Meeting, Ranks};
use crate::torch::rng;
use crate::weights::Weights;

/// Settings that may change between a run and its resumption. The schedule is kept in the checkpoint itself.
/// `duration` is free to grow ([`extension`]).
pub const FREE: [&str; 10] = [
    "runtime",
    "log",
    "checkpoint",
    "eval",
    "init_from",
    "duration",
    "skip_bad_batches",
    "data.max_skipped",
    "data.samples.remote",
    "data.samples.scratch",
];

/// A run that is ready to step.
#[derive(Debug)]
pub struct Setup {
    /// The processes.
    pub ranks: Ranks,
    /// Where this one computes.
    pub device: Device,
    /// Model, optimiser, loss.
    pub stepper: Stepper,
    /// Batches.
    pub feed: Feed,
    /// Learning rates.
    pub schedule: Schedule,
    /// Whole batches of an epoch.
    pub steps_per_epoch: u64,
    /// Steps already made.
    pub done: u64,
    /// Captions to ids.
    pub tokenizer: Tokenizer,
    /// What is measured on the way.
    pub tasks: Vec<ZeroShotTask>,
    /// The checkpoint it goes on from.
    pub resumed: Option<Checkpoint>,
    /// What is said at the start and stays in every checkpoint.
    pub notes: Vec<String>,
}

/// What a run would be, without touching libtorch: for `--dry-run`.
#[derive(Debug)]
pub struct Outline {
    /// The data, found and counted.
    pub dataset: Dataset,
    /// What would be measured on the way.
    pub tasks: Vec<ZeroShotTask>,
    /// Samples of one pass.
    pub samples: u64,
    /// Whole batches of an epoch.
    pub steps_per_epoch: u64,
    /// Learning rates.
    pub schedule: Schedule,
    /// Step of the checkpoint it would go on from.
    pub resume_step: Option<u64>,
    /// Settings that keep it from going on there.
    pub conflict: Option<TrainError>,
    /// What the longer schedule of a run that goes on changes.
    pub extension: Option<String>,
}

/// The checkpoint in `folder` that a run goes on from; `None` in a fresh folder.
///
/// # Errors
/// When the folder holds another run's checkpoints, or damaged ones.
pub fn resumable(config: &TrainConfig, folder: &Path) -> Result<Option<Checkpoint>, TrainError> {
    let checkpoint = match Checkpoint::find(folder) {
        Ok(checkpoint) => checkpoint,
        Err(CheckpointError::None { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    checkpoint.check(&config.model, &config.architecture()?, &config.to_json()?, &FREE)?;
    Ok(Some(checkpoint))
}

/// What changes for a run that goes on from `checkpoint` by another `schedule`: a longer one is taken up, and said; `None`
/// where it is the same.
///
/// # Errors
/// When it is shorter: the steps that were made by the longer one cannot be unmade.
pub fn extension(
    config: &TrainConfig,
    checkpoint: &Checkpoint,
    schedule: &Schedule,
) -> Result<Option<String>, TrainError> {
    let (before, now) = (checkpoint.state.schedule, *schedule);
    if now.total_steps < before.total_steps {
        return Err(ConfigError::Value {
            key: "duration",
            value: config.duration.to_string(),
            rule: format!(
                "that is {} steps, and {} is of a run of {}; give {} or more, or start a new run with --init-from",
                now.total_steps,
                checkpoint.path.display(),
                before.total_steps,
                before.total_steps
            ),
        }
        .into());
    }
    let step = checkpoint.state.step;
    Ok((now != before).then(|| {
        format!(
            "the run grows from {} to {} steps: from step {} on, learning rates follow the longer schedule ({:.2e} \
             instead of {:.2e})",
            before.total_steps,
            now.total_steps,
            step + 1,
            now.lr(step),
            before.lr(step),
        )
    }))
}

/// What a run should say whose weights come from `path`.
fn start_from(
    path: &Path,
    architecture: &Architecture,
    weights: &Weights,
) -> Result<Vec<String>, TrainError> {
    let mut notes = Vec::new();
    // A run's folder or a checkpoint stands for the weights in it.
    let file = if path.is_dir() {
        let found = Checkpoint::find(path)?;
        if let Some(carried) = &found.state.model {
            let differences: Vec<String> = architecture_differences(carried, architecture)
                .iter()
                .filter(|difference| difference.path != "model.name")
                .map(ToString::to_string)
                .collect();
            if !differences.is_empty() {
                notes.push(format!(
                    "{}: another model than this run's: {}",
                    path.display(),
                    differences.join(", ")
                ));
            }
        }
        found.model()
    } else {
        path.to_path_buf()
    };
    checkpoint::check_config(&file, architecture)?;
    if let Some(resized) = import_weights(&file, weights)? {
        notes.push(format!("{}: {resized}", file.display()));
    }
    match NotFinite::among(&named(weights))? {
        Some(found) => Err(CheckpointError::NotFinite { path: file, found }.into()),
        None => Ok(notes),
    }
}

fn loader_config(
    config: &TrainConfig,
    rank: usize,
    world: usize,
    architecture: &Architecture,
) -> Result<LoaderConfig, TrainError> {
    let side = u32::try_from(architecture.image_size()).unwrap_or(0);
    Ok(LoaderConfig {
        batch_size: config.share(world)?,
        rank,
        world,
        seed: config.seed,
        threads: config.runtime.loader_threads,
        prefetch: config.runtime.prefetch.max(3),
        order: config.data.order,
        window_shards: config.data.window_shards,
        epoch_samples: config.data.epoch_samples,
        image: config.transform(side),
        context_length: usize::try_from(architecture.text.context_length).unwrap_or(0),
        ..LoaderConfig::default()
    })
}

/// Looks at data and folder without starting anything.
///
/// # Errors
/// When shards are missing or damaged or settings do not fit.
pub fn outline(config: &TrainConfig, folder: &Path, launch: &Launch) -> Result<Outline, TrainError> {
    let architecture = config.architecture()?;
    let loader = loader_config(config, launch.rank, launch.world, &architecture)?;
    let dataset =
        Dataset::open(&config.data.sources, &config.data.samples).map_err(crate::feed::FeedError::from)?;
    let samples = config.data.epoch_samples.unwrap_or_else(|| dataset.num_samples());
    let steps_per_epoch = samples / loader.global_batch();
    if steps_per_epoch == 0 {
        return Err(crate::feed::FeedError::NoBatch { samples, batch: config.batch_size as u64 }.into());
    }
    let tasks: Vec<_> =
        config.eval.zero_shot.iter().map(|path| ZeroShotTask::read(path)).collect::<Result<_, _>>()?;
    config.check_best(&tasks)?;
    let schedule = config.schedule(steps_per_epoch);
    let resumed = resumable(config, folder).and_then(|found| {
        let Some(checkpoint) = found else { return Ok((None, None)) };
        Ok((Some(checkpoint.state.step), extension(config, &checkpoint, &schedule)?))
    });
    let (resume_step, extension, conflict) = match resumed {
        Ok((step, extension)) => (step, extension, None),
        Err(error) => (None, None, Some(error)),
    };
    Ok(Outline { dataset, tasks, samples, steps_per_epoch, schedule, resume_step, conflict, extension })
}

/// Builds everything. Every rank of the meeting calls it.
///
/// # Errors
/// When a setting, a file or the device will not do, or the ranks are not about to do the same.
pub fn prepare(
    config: &TrainConfig,
    folder: &Path,
    launch: &Launch,
    meeting: &Meeting,
) -> Result<Setup, TrainError> {
    // Everything that can be wrong with the input comes first, so nothing is started in vain.
    let outline = outline(config, folder, launch)?;
    let architecture = config.architecture()?;
    let device = device::choose(config.runtime.device, launch)?;
    let tokenizer = Tokenizer::new().map_err(|error| crate::torch::TorchError(error.to_string()))?;
    let mut checkpoint = None;
    meeting.agree(|offer| -> Result<Facts, TrainError> {
        checkpoint = match offer {
            // Rank 0 decides, and its settings are held against the checkpoint's.
            None => resumable(config, folder)?,
            Some(offer) => agreement::followed(offer, folder)?,
        };
        if meeting.world() == 1 {
            return Ok(Facts::new());
        }
        let facts = agreement::common(device, &architecture, &tokenizer)?;
        let facts = agreement::with_checkpoint(facts, checkpoint.as_ref())?;
        let facts = agreement::with_settings(facts, config, &outline.tasks)?;
        agreement::with_shards(facts, "the shards to train on", &outline.dataset)
    })?;
    let mut notes = Vec::new();
    if let Some(checkpoint) = &checkpoint {
        notes.extend(checkpoint.warning());
        notes.extend(extension(config, checkpoint, &outline.schedule)?);
    }

    config.runtime.flags.apply()?;
    if config.runtime.threads > 0 {
        tch::set_num_threads(i32::try_from(config.runtime.threads).unwrap_or(1));
    }
    let ranks = Ranks::connect(meeting, device)?;
    rng::seed(config.seed);
    let mut model = Clip::new(&architecture, device)?;
    model.set_recompute(if config.recompute { Recompute::Blocks } else { Recompute::Never });
    if checkpoint.is_none()
        && let Some(path) = &config.init_from
    {
        notes.extend(start_from(path, &architecture, model.weights())?);
    }
    if device.is_cuda() {
        model.weights().channels_last()?;
    }
    let optimiser = AdamW::new(model.weights(), config.adamw(&architecture))?;
    let mut stepper = Stepper::new(model, optimiser, config.precision, device, &ranks)?;
    if config.skip_bad_batches > 0 {
        stepper.guard = Some(Guard::new(stepper.model.weights())?);
    }
    if let Some(checkpoint) = &checkpoint {
        checkpoint.restore(stepper.model.weights(), &stepper.optimiser)?;
        if let Some(state) = checkpoint.state.scaler {
            stepper.scaler = Some(Scaler::from_state(state, device)?);
        }
    }
    // Whatever each rank read or drew, the run is that of rank 0.
    ranks.share(stepper.model.weights().all().iter().map(|weight| &weight.tensor))?;
    ranks.share(stepper.optimiser.state().iter().map(|(_, tensor)| tensor))?;

    let loader_config = loader_config(config, ranks.rank(), ranks.world(), &architecture)?;
    let buffers = PixelBuffer::pool(loader_config.prefetch, loader_config.image_bytes(), device)?;
    let encode = encode(&tokenizer, config.data.truncation);
    let started = match &checkpoint {
        Some(checkpoint) => {
            let state: LoaderState =
                serde_json::from_value(checkpoint.state.loader.clone()).map_err(|error| {
                    CheckpointError::Damaged {
                        path: checkpoint.path.clone(),
                        what: format!("the loader's position: {error}"),
                    }
                })?;
            Loader::resume(outline.dataset, &loader_config, encode, buffers, &state)
        }
        None => Loader::start(outline.dataset, &loader_config, encode, buffers),
    };
    let loader = started.map_err(crate::feed::FeedError::from)?;
    let feed = Feed::new(loader, &loader_config, device)?.normalised(config.data.normalise)?;
    Ok(Setup {
        ranks,
        device,
        stepper,
        feed,
        schedule: outline.schedule,
        steps_per_epoch: outline.steps_per_epoch,
        done: checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.step),
        tokenizer,
        tasks: outline.tasks,
        resumed: checkpoint,
        notes,
    })
}
