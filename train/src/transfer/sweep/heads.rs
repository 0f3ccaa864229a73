//! Zero-shot heads, made once for a source and a task and kept beside the results: eighty prompts for hundreds of classes
//! through a text tower take longer than many a few-shot run.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{AtomicFile, FileAction, FileError};
use pairmill_shards::results::Protocol;
use pairmill_tokens::Tokenizer;
use tch::no_grad;

use super::plan::{Plan, Point};
use crate::checkpoint::tensors::{self, TensorFile};
use crate::error::TrainError;
use crate::eval::zero_shot::zero_shot_head;
use crate::model::Clip;
use crate::torch::TorchError;
use crate::transfer::classifier::Head;
use crate::transfer::config::hex16;
use crate::transfer::protocol::Rules;

const WEIGHT: &str = "head.weight";
const BIAS: &str = "head.bias";

/// Heads of a sweep.
#[derive(Debug)]
pub struct Heads {
    folder: PathBuf,
    tokenizer: Tokenizer,
}

impl Heads {
    /// Kept in `folder`.
    ///
    /// # Errors
    /// When the tokenizer's table is damaged.
    pub fn new(folder: &Path) -> Result<Self, TrainError> {
        let tokenizer = Tokenizer::new().map_err(|error| TorchError(error.to_string()))?;
        Ok(Self { folder: folder.to_path_buf(), tokenizer })
    }

    /// The head of a run, from the folder or from `model`, the run's source.
    ///
    /// # Errors
    /// When memory runs out or the folder cannot be written.
    pub fn get(&self, plan: &Plan, point: &Point, model: &Clip) -> Result<Head, TrainError> {
        let source = &plan.sources[point.source];
        let prompts = &plan.tasks[point.task].prompts;
        let protocol: Protocol = point.config.protocol;
        // Fresh weights are another model for every seed.
        let seed = if source.is_scratch() { point.config.seed.to_string() } else { String::new() };
        let parts = [
            source.fingerprint.as_str(),
            &seed,
            protocol.as_str(),
            &point.config.templates.join("\n"),
            &prompts.join("\n"),
        ];
        let path = self.folder.join(format!("{}.safetensors", hex16(parts.join("\0").as_bytes())));
        let device = model.weights().device();
        if path.is_file() {
            let mut file = TensorFile::open(&path)?;
            let mut read = |name| -> Result<_, TrainError> { Ok(file.read(name)?.f_to_device(device)?) };
            return Ok(Head { weight: read(WEIGHT)?, bias: read(BIAS)? });
        }
        let truncation = Rules::of(protocol).truncation;
        let head = no_grad(|| -> Result<Head, TrainError> {
            let directions =
                zero_shot_head(model, &self.tokenizer, truncation, prompts, &point.config.templates)?;
            Ok(Head::zero_shot(&directions, model.logit_scale())?)
        })?;
        let created = |error| FileError::new(&self.folder, FileAction::Create, error);
        fs::create_dir_all(&self.folder).map_err(created)?;
        let mut file = AtomicFile::create(&path)?;
        let named =
            [(WEIGHT.to_owned(), head.weight.shallow_clone()), (BIAS.to_owned(), head.bias.shallow_clone())];
        tensors::write(&named, BufWriter::new(&mut file), &path)?;
        file.commit()?;
        Ok(head)
    }
}
