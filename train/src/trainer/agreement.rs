//! What the ranks of a run compare before they begin: whatever decides what a step computes, and in which order the
//! collectives come. Rank 0 decides which checkpoint the run goes on from.

use std::fs;
use std::path::Path;

use pairmill_loader::Dataset;
use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_tokens::Tokenizer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tch::Device;

use crate::checkpoint::folder::{CHECKPOINTS, STATE};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::{ConfigError, TrainConfig};
use crate::error::TrainError;
use crate::eval::checkpoint::Request;
use crate::eval::task::ZeroShotTask;
use crate::model::Architecture;
use crate::optim::Precision;
use crate::ranks::{Facts, content};
use crate::torch::flags::Flags;

/// The fact that names the checkpoint of rank 0.
pub const CHECKPOINT: &str = "the checkpoint";

/// Settings that may differ from rank to rank: paths, whose content is compared instead, and what only decides how fast a
/// rank is. Weights to start from are those of rank 0.
const LOCAL: [&str; 10] = [
    "/model",
    "/init_from",
    "/data/samples/remote",
    "/data/samples/scratch",
    "/eval/validation",
    "/eval/zero_shot",
    "/runtime/device",
    "/runtime/threads",
    "/runtime/loader_threads",
    "/runtime/prefetch",
];

/// What every program compares, whatever it does with the other ranks.
///
/// # Errors
/// When a fact has no JSON form.
pub fn common(
    device: Device,
    architecture: &Architecture,
    tokenizer: &Tokenizer,
) -> Result<Facts, TrainError> {
    let kind = if device.is_cuda() { "a GPU" } else { "the CPU" };
    Facts::new()
        .with("the program", "", &content::program())
        .and_then(|facts| facts.with("the device", "", &json!({ "kind": kind })))
        .and_then(|facts| facts.with("the architecture", architecture.name.clone(), architecture))
        .and_then(|facts| facts.with("the vocabulary", "", &content::vocabulary(tokenizer)))
        .map_err(no_json)
}

/// The settings of a run and what is measured on its way, added to `facts`.
///
/// # Errors
/// When a fact has no JSON form.
pub fn with_settings(
    facts: Facts,
    config: &TrainConfig,
    tasks: &[ZeroShotTask],
) -> Result<Facts, TrainError> {
    let facts = facts.with("the settings", "", &settings(config)?).map_err(no_json)?;
    with_tasks(facts, tasks)
}

/// The settings of a run that must be the same on every rank.
fn settings(config: &TrainConfig) -> Result<Value, TrainError> {
    let mut value = serde_json::to_value(config).map_err(no_json)?;
    for pointer in LOCAL {
        let (table, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(Value::Object(table)) = value.pointer_mut(table) {
            table.remove(key);
        }
    }
    // Whether there is a held-out set; which one, the ranks compare when they open it.
    if let Some(Value::Object(eval)) = value.pointer_mut("/eval") {
        eval.insert("validation".to_owned(), config.eval.validation.is_some().into());
    }
    let sources = value.pointer_mut("/data/sources").and_then(Value::as_array_mut);
    for source in sources.into_iter().flatten().filter_map(Value::as_object_mut) {
        source.remove("shards");
    }
    Ok(value)
}

/// What zero-shot tasks are, without where they lie, added to `facts`.
///
/// # Errors
/// When a fact has no JSON form.
pub fn with_tasks(facts: Facts, tasks: &[ZeroShotTask]) -> Result<Facts, TrainError> {
    let table = |task: &ZeroShotTask| json!({ "name": task.name, "classes": task.classes, "templates": task.templates });
    facts.with("the zero-shot tasks", "", &tasks.iter().map(table).collect::<Value>()).map_err(no_json)
}

/// A file of weights, or the checkpoint it belongs to, added to `facts`.
///
/// # Errors
/// When it cannot be read.
pub fn with_weights(facts: Facts, path: &Path) -> Result<Facts, TrainError> {
    let state = path.with_file_name(STATE);
    let state = if state.is_file() { Some(content::file(&state)?) } else { None };
    facts.with("the weights", "", &json!({ "file": content::file(path)?, "state": state })).map_err(no_json)
}

/// What is asked of a kept model, added to `facts`.
///
/// # Errors
/// When a fact has no JSON form.
pub fn with_request(
    facts: Facts,
    request: &Request<'_>,
    precision: Precision,
    flags: Flags,
) -> Result<Facts, TrainError> {
    let asked = json!({
        "batch_size": request.batch_size,
        "precision": precision,
        "flags": flags,
        "validation": request.validation.is_some(),
    });
    facts.with("what is evaluated", "", &asked).map_err(no_json)
}

/// The shards of a dataset, added to `facts`.
///
/// # Errors
/// When a shard cannot be read.
pub fn with_shards(facts: Facts, name: &str, dataset: &Dataset) -> Result<Facts, TrainError> {
    let (summary, value) = content::shards(dataset)?;
    facts.with(name, summary, &value).map_err(no_json)
}

/// A checkpoint as ranks compare it, added to `facts`.
///
/// # Errors
/// When its state cannot be read.
pub fn with_checkpoint(facts: Facts, checkpoint: Option<&Checkpoint>) -> Result<Facts, TrainError> {
    let Some(checkpoint) = checkpoint else {
        return facts.with(CHECKPOINT, "no checkpoint", &Value::Null).map_err(no_json);
    };
    let name = checkpoint.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = checkpoint.path.join(STATE);
    let state = fs::read(&file).map_err(|error| FileError::new(&file, FileAction::Read, error))?;
    let step = checkpoint.state.step;
    let value = json!({ "step": step, "name": name, "state": content::short(Sha256::digest(state)) });
    facts.with(CHECKPOINT, format!("step {step} ({name})"), &value).map_err(no_json)
}

/// The checkpoint that this rank goes on from where rank 0 goes on from the one of `offer`; where this rank has none of
/// that name, whatever it has instead, for the message.
///
/// # Errors
/// When the folder holds a damaged one.
pub fn followed(offer: &Facts, folder: &Path) -> Result<Option<Checkpoint>, TrainError> {
    let named = offer.get(CHECKPOINT).and_then(|value| value.get("name")).and_then(Value::as_str);
    // A plain name: what comes over the line must not lead out of the folder.
    if let Some(name) = named.filter(|name| Path::new(name).components().count() == 1 && *name != "..")
        && let Ok(checkpoint) = Checkpoint::open(&folder.join(CHECKPOINTS).join(name))
    {
        return Ok(Some(checkpoint));
    }
    match Checkpoint::find(folder) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(CheckpointError::None { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn no_json(error: serde_json::Error) -> TrainError {
    ConfigError::Format { place: "what the ranks compare".into(), message: error.to_string() }.into()
}
