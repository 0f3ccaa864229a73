//! From a resolved config to everything a run moves: ranks, model, optimiser, feed, schedule; fresh or from a checkpoint.

use std::path::Path;

use pairmill_loader::{Dataset, Loader, LoaderConfig, LoaderState};
use pairmill_tokens::Tokenizer;
use tch::Device;

use super::device;
use super::step::Stepper;
use crate::checkpoint::{self, Checkpoint, CheckpointError, import_weights};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::eval::encode;
use crate::eval::task::ZeroShotTask;
use crate::feed::{Feed, PixelBuffer};
use crate::launch::Launch;
use crate::model::{Architecture, Clip, Recompute};
use crate::optim::{AdamW, Scaler, Schedule};
use crate::ranks::Ranks;
use crate::torch::rng;

/// Settings that may change between a run and its resumption. The schedule is kept in the checkpoint itself.
pub const FREE: [&str; 8] = [
    "runtime",
    "log",
    "checkpoint",
    "eval",
    "init_from",
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
    pub conflict: Option<String>,
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
    let given = serde_json::to_value(config).unwrap_or_default();
    checkpoint.check(&config.model, &given, &FREE)?;
    Ok(Some(checkpoint))
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
    let tasks =
        config.eval.zero_shot.iter().map(|path| ZeroShotTask::read(path)).collect::<Result<_, _>>()?;
    let (resume_step, conflict) = match resumable(config, folder) {
        Ok(found) => (found.map(|checkpoint| checkpoint.state.step), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Outline {
        dataset,
        tasks,
        samples,
        steps_per_epoch,
        schedule: config.schedule(steps_per_epoch),
        resume_step,
        conflict,
    })
}

/// Builds everything. Every rank calls it.
///
/// # Errors
/// When a setting, a file or the device will not do.
pub fn prepare(config: &TrainConfig, folder: &Path, launch: &Launch) -> Result<Setup, TrainError> {
    // Everything that can be wrong with the input comes first, so nothing is started in vain.
    let outline = outline(config, folder, launch)?;
    let architecture = config.architecture()?;
    let checkpoint = resumable(config, folder)?;
    let device = device::choose(config.runtime.device, launch)?;

    config.runtime.flags.apply()?;
    if config.runtime.threads > 0 {
        tch::set_num_threads(i32::try_from(config.runtime.threads).unwrap_or(1));
    }
    let ranks = Ranks::connect(launch, device)?;
    rng::seed(i64::try_from(config.seed).unwrap_or(0));
    let mut model = Clip::new(&architecture, device)?;
    model.set_recompute(if config.recompute { Recompute::Blocks } else { Recompute::Never });
    if checkpoint.is_none()
        && let Some(path) = &config.init_from
    {
        // A run's folder or a checkpoint stands for the weights in it.
        let file = if path.is_dir() { Checkpoint::find(path)?.model() } else { path.clone() };
        checkpoint::check_config(&file, &architecture)?;
        import_weights(&file, model.weights())?;
    }
    if device.is_cuda() {
        model.weights().channels_last()?;
    }
    ranks.share(model.weights())?;
    let optimiser = AdamW::new(model.weights(), config.adamw())?;
    let mut stepper = Stepper::new(model, optimiser, config.precision, device, &ranks)?;
    if let Some(checkpoint) = &checkpoint {
        checkpoint.restore(stepper.model.weights(), &stepper.optimiser)?;
        if let Some(state) = checkpoint.state.scaler {
            stepper.scaler = Some(Scaler::from_state(state, device)?);
        }
    }

    let loader_config = loader_config(config, ranks.rank(), ranks.world(), &architecture)?;
    let tokenizer = Tokenizer::new().map_err(|error| crate::torch::TorchError(error.to_string()))?;
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
    })
}
