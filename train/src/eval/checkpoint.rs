//! A kept model on its own: which checkpoint, which tasks, on which device, and what they say.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use pairmill_loader::DatasetConfig;
use pairmill_pixels::Normalisation;
use pairmill_tokens::{Tokenizer, Truncation};

use super::task::ZeroShotTask;
use super::{EvalSetup, Metric, retrieval, zero_shot};
use crate::checkpoint::{Checkpoint, import_weights};
use crate::config::DeviceName;
use crate::error::TrainError;
use crate::launch::Launch;
use crate::model::{Architecture, Clip};
use crate::ranks::Ranks;
use crate::torch::TorchError;
use crate::trainer::device;

/// What to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// A run's folder or one of its checkpoints.
    pub checkpoint: &'a Path,
    /// Task files.
    pub zero_shot: &'a [PathBuf],
    /// Held-out shards with captions.
    pub validation: Option<&'a str>,
    /// Samples per forward pass and rank.
    pub batch_size: usize,
    /// Where to compute.
    pub device: DeviceName,
}

/// What an evaluation found.
#[derive(Debug)]
pub struct Evaluation {
    /// The numbers.
    pub metrics: Vec<Metric>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
}

/// Loads and evaluates; every rank gets the same numbers.
///
/// # Errors
/// When the checkpoint, a task or shards cannot be used.
pub fn evaluate(request: &Request<'_>, launch: &Launch) -> Result<Evaluation, TrainError> {
    let smaller = || format!("a --batch-size below {}", request.batch_size);
    load_and_evaluate(request, launch)
        .map_err(|error| error.with_memory_advice(|| "the checkpoint stays".to_string(), smaller))
}

fn load_and_evaluate(request: &Request<'_>, launch: &Launch) -> Result<Evaluation, TrainError> {
    let tasks: Vec<_> =
        request.zero_shot.iter().map(|path| ZeroShotTask::read(path)).collect::<Result<_, _>>()?;
    let found = Checkpoint::find(request.checkpoint)?;
    let architecture = Architecture::find(&found.state.architecture)?;
    let device = device::choose(request.device, launch)?;
    let ranks = Ranks::connect(launch, device)?;
    let model = Clip::new(&architecture, device)?;
    import_weights(&found.model(), model.weights())?;
    let tokenizer = Tokenizer::new().map_err(|error| TorchError(error.to_string()))?;
    // The run's own choices, where it made some: how captions are cut and which members are read.
    let setting = |key: &str| found.state.config.pointer(key).cloned();
    let truncation: Truncation =
        setting("/data/truncation").and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let samples: DatasetConfig =
        setting("/data/samples").and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let statistics: Normalisation =
        setting("/data/normalise").and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let notes = RefCell::default();
    let setup = EvalSetup {
        ranks: &ranks,
        device,
        tokenizer: &tokenizer,
        truncation,
        batch_size: request.batch_size.max(1),
        image_size: u32::try_from(architecture.image_size()).unwrap_or(0),
        statistics,
        context_length: usize::try_from(architecture.text.context_length).unwrap_or(0),
        threads: 0,
        notes: &notes,
    };
    let mut metrics = Vec::new();
    if let Some(shards) = request.validation {
        metrics.extend(retrieval::evaluate(&model, &setup, shards, &samples)?);
    }
    for task in &tasks {
        metrics.extend(zero_shot::evaluate(&model, &setup, task)?);
    }
    Ok(Evaluation { metrics, notes: notes.into_inner() })
}
