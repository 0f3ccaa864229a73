//! A kept model on its own: which checkpoint, which tasks, on which device, and what they say.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use pairmill_loader::DatasetConfig;
use pairmill_pixels::Normalisation;
use pairmill_tokens::{Tokenizer, Truncation};
use serde::de::DeserializeOwned;

use super::task::ZeroShotTask;
use super::{EvalSetup, Metric, retrieval, zero_shot};
use crate::checkpoint::folder::{MODEL, STATE};
use crate::checkpoint::{
    Checkpoint, CheckpointError, NotFinite, check_config, import_weights, named, statistics_of,
};
use crate::config::DeviceName;
use crate::error::TrainError;
use crate::launch::Launch;
use crate::model::{Architecture, Clip};
use crate::optim::Precision;
use crate::ranks::{Meeting, Ranks, together};
use crate::torch::TorchError;
use crate::torch::flags::Flags;
use crate::trainer::{agreement, device};

/// What to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// A run's folder, one of its checkpoints, or a file of weights.
    pub checkpoint: &'a Path,
    /// Architecture of plain weights, or another than the checkpoint's own.
    pub model: Option<&'a str>,
    /// Task files.
    pub zero_shot: &'a [PathBuf],
    /// Held-out shards with captions.
    pub validation: Option<&'a str>,
    /// Samples per forward pass and rank.
    pub batch_size: usize,
    /// Where to compute.
    pub device: DeviceName,
    /// Type of the arithmetic; that of the training without.
    pub precision: Option<Precision>,
}

/// What an evaluation found.
#[derive(Debug)]
pub struct Evaluation {
    /// The numbers.
    pub metrics: Vec<Metric>,
    /// What was evaluated, and what a reader of the numbers should know.
    pub notes: Vec<String>,
}

/// The weights that a user means, and what is known of them.
struct Subject {
    weights: PathBuf,
    architecture: Architecture,
    /// The run's own settings, where they are known.
    config: Option<serde_json::Value>,
    notes: Vec<String>,
}

impl Subject {
    fn find(request: &Request<'_>) -> Result<Self, TrainError> {
        let path = request.checkpoint;
        // The file within a checkpoint stands for the checkpoint.
        let folder = path.parent().filter(|parent| path.ends_with(MODEL) && parent.join(STATE).is_file());
        if let (true, None) = (path.is_file(), folder) {
            let Some(model) = request.model else { return Err(TrainError::NoModel(path.to_path_buf())) };
            let architecture = Architecture::find(model)?;
            let notes = vec![format!("{}: weights of {}", path.display(), architecture.name)];
            return Ok(Self { weights: path.to_path_buf(), architecture, config: None, notes });
        }
        let found = Checkpoint::find(folder.unwrap_or(path))?;
        let mut notes = vec![format!("{}: step {}", found.path.display(), found.state.step)];
        notes.extend(found.state.notes.iter().cloned());
        let architecture = match request.model {
            Some(model) => Architecture::find(model)?,
            None => {
                notes.extend(found.warning().map(|warning| format!("warning: {warning}")));
                found.architecture()?
            }
        };
        Ok(Self { weights: found.model(), architecture, config: Some(found.state.config), notes })
    }

    /// A setting of the run; its default where the run has none.
    fn setting<T: DeserializeOwned + Default>(&self, pointer: &str) -> Result<T, TrainError> {
        let Some(value) = self.config.as_ref().and_then(|config| config.pointer(pointer)) else {
            return Ok(T::default());
        };
        let unreadable = |error| CheckpointError::Damaged {
            path: self.weights.with_file_name(STATE),
            what: format!(
                "the setting {pointer} cannot be read: {error}; take a newer version of this program"
            ),
        };
        Ok(serde_json::from_value(value.clone()).map_err(unreadable)?)
    }
}

/// Loads and evaluates; every rank gets the same numbers.
///
/// # Errors
/// When the checkpoint, a task or shards cannot be used.
pub fn evaluate(request: &Request<'_>, launch: &Launch) -> Result<Evaluation, TrainError> {
    let smaller = || format!("a --batch-size below {}", request.batch_size);
    together(launch, |meeting| load_and_evaluate(request, launch, meeting))
        .map_err(|error| error.with_memory_advice(|| "the checkpoint stays".to_string(), smaller))
}

fn load_and_evaluate(
    request: &Request<'_>,
    launch: &Launch,
    meeting: &Meeting,
) -> Result<Evaluation, TrainError> {
    let tasks: Vec<_> =
        request.zero_shot.iter().map(|path| ZeroShotTask::read(path)).collect::<Result<_, _>>()?;
    let subject = Subject::find(request)?;
    let device = device::choose(request.device, launch)?;
    let tokenizer = Tokenizer::new().map_err(|error| TorchError(error.to_string()))?;
    // The run's own choices, where it made some: how captions are cut, which members are read, in which precision.
    let truncation: Truncation = subject.setting("/data/truncation")?;
    let samples: DatasetConfig = subject.setting("/data/samples")?;
    let statistics: Normalisation = match subject.config {
        Some(_) => subject.setting("/data/normalise")?,
        None => statistics_of(&subject.weights)?.unwrap_or_default(),
    };
    let reasons = RefCell::default();
    let precision = match (request.precision, subject.setting("/eval/precision")?) {
        (Some(asked), _) => asked,
        (None, Some(of_run)) => of_run,
        (None, None) => subject.setting("/precision")?,
    };
    let flags: Flags = subject.setting("/runtime/flags")?;
    if meeting.world() > 1 {
        meeting.agree(|_| {
            let facts = agreement::common(device, &subject.architecture, &tokenizer)?;
            let facts = agreement::with_weights(facts, &subject.weights)?;
            let facts = agreement::with_tasks(facts, &tasks)?;
            agreement::with_request(facts, request, precision, flags)
        })?;
    }
    flags.apply()?;
    let ranks = Ranks::connect(meeting, device)?;
    let model = Clip::new(&subject.architecture, device)?;
    check_config(&subject.weights, &subject.architecture)?;
    let resized = import_weights(&subject.weights, model.weights())?;
    ranks.share(model.weights().all().iter().map(|weight| &weight.tensor))?;
    let setup = EvalSetup {
        ranks: &ranks,
        device,
        tokenizer: &tokenizer,
        truncation,
        batch_size: request.batch_size.max(1),
        image_size: u32::try_from(subject.architecture.image_size()).unwrap_or(0),
        statistics,
        context_length: usize::try_from(subject.architecture.text.context_length).unwrap_or(0),
        threads: 0,
        precision,
        notes: &reasons,
    };
    let mut metrics = Vec::new();
    if let Some(shards) = request.validation {
        metrics.extend(retrieval::evaluate(&model, &setup, shards, &samples)?);
    }
    for task in &tasks {
        metrics.extend(zero_shot::evaluate(&model, &setup, task)?);
    }
    ranks.finish()?;
    let mut notes = subject.notes;
    notes.extend(reasons.into_inner());
    notes.extend(resized.map(|resized| resized.to_string()));
    if let Some(found) = NotFinite::among(&named(model.weights()))? {
        notes.push(format!("warning: {found}; the run that made them has diverged"));
    }
    Ok(Evaluation { metrics, notes })
}
