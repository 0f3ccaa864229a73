//! Zero-shot heads, made once for a source and a task and kept beside the results: eighty prompts for hundreds of classes
//! through a text tower take longer than many a few-shot run. A head is kept under a hash of everything it is made of:
//! weights, architecture, protocol, templates, class names.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{FileAction, FileError};
use pairmill_shards::results::Protocol;
use pairmill_tokens::Tokenizer;
use tch::{Kind, Tensor, no_grad};

use super::plan::{Plan, Point};
use super::run::on_cores;
use crate::checkpoint::{restore, tensors};
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
    cores: NonZeroUsize,
    tokenizer: Tokenizer,
}

impl Heads {
    /// Kept in `folder`, made on `cores`.
    ///
    /// # Errors
    /// When the tokenizer's table is damaged.
    pub fn new(folder: &Path, cores: NonZeroUsize) -> Result<Self, TrainError> {
        let tokenizer = Tokenizer::new().map_err(|error| TorchError(error.to_string()))?;
        Ok(Self { folder: folder.to_path_buf(), cores, tokenizer })
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
        // Everything a head is made of, by content: the same weights under another activation give another head.
        let made_of = (&source.content, &seed, protocol, &point.config.templates, prompts);
        let made_of =
            serde_json::to_string(&made_of).map_err(|error| TrainError::Transfer(error.to_string()))?;
        let path = self.folder.join(format!("{}.safetensors", hex16(made_of.as_bytes())));
        let named = |head: &Head| {
            [(WEIGHT.to_owned(), head.weight.shallow_clone()), (BIAS.to_owned(), head.bias.shallow_clone())]
        };
        if path.is_file() {
            let (classes, width) = (prompts.len() as i64, source.architecture.embed_dim);
            let like = (Kind::Float, model.weights().device());
            let head = Head {
                weight: Tensor::f_empty([classes, width], like)?,
                bias: Tensor::f_empty([classes], like)?,
            };
            // One that cannot be read back is made again.
            if restore(&path, &named(&head)).is_ok() {
                return Ok(head);
            }
        }
        let truncation = Rules::of(protocol).truncation;
        let templates = &point.config.templates;
        let make = || -> Result<Head, TrainError> {
            let directions = zero_shot_head(model, &self.tokenizer, truncation, prompts, templates)?;
            Ok(Head::zero_shot(&directions, model.logit_scale())?)
        };
        let head = on_cores(self.cores, || no_grad(make))?;
        let created = |error| FileError::new(&self.folder, FileAction::Create, error);
        fs::create_dir_all(&self.folder).map_err(created)?;
        tensors::save(&named(&head), &path)?;
        Ok(head)
    }
}
