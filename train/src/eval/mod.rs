//! Evaluation while training and after: features of a labelled or captioned set, and what they say. Every rank takes
//! its share of the set; all ranks get the same numbers.

pub mod checkpoint;
pub mod metrics;
pub mod retrieval;
pub mod scores;
pub mod task;
pub mod zero_shot;

use std::cell::RefCell;
use std::sync::Arc;

use pairmill_loader::{Dataset, DatasetConfig, Encode, Loader, LoaderConfig, SourceSpec};
use pairmill_tokens::{CONTEXT_LENGTH, Encoder, Tokenizer, Truncation};
use tch::Device;

use self::scores::{Scale, Scores};
use self::task::ZeroShotTask;
use crate::error::TrainError;
use crate::feed::{Feed, FeedError, PixelBuffer};
use crate::optim::{OptimError, Precision};
use crate::ranks::{Facts, Ranks};
use crate::torch::autocast::Autocast;
use crate::trainer::agreement;

/// One number of an evaluation.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Metric {
    /// What was evaluated, such as `shapes` or `validation`.
    pub task: String,
    /// Name of the number, as CLIP_benchmark has it: `acc1`, `image_retrieval_recall@5`, …
    pub name: String,
    /// The number; shares are 0–1. NaN where the model gives no numbers.
    #[serde(with = "crate::numbers::float")]
    pub value: f64,
    /// Samples it rests on.
    pub num_samples: u64,
}

/// What an evaluation of `tasks`, and of held-out shards if there are any, measures: `TASK/NAME` of each number.
pub fn metric_names(has_validation: bool, tasks: &[ZeroShotTask]) -> Vec<String> {
    let mut names = Vec::new();
    if has_validation {
        names.extend(retrieval::metric_names().map(|name| format!("{}/{name}", retrieval::TASK)));
    }
    for task in tasks {
        let measured = Scores::new(task.classes.len()).metrics(Scale::Share);
        names.extend(measured.into_iter().map(|(name, _)| format!("{}/{name}", task.name)));
    }
    names
}

/// What an evaluation needs besides the model.
#[derive(Debug, Clone, Copy)]
pub struct EvalSetup<'a> {
    /// The ranks, each of which takes a share.
    pub ranks: &'a Ranks,
    /// Where the model is.
    pub device: Device,
    /// Captions and prompts to token ids.
    pub tokenizer: &'a Tokenizer,
    /// Which end of a long text is lost.
    pub truncation: Truncation,
    /// Samples per forward pass and rank.
    pub batch_size: usize,
    /// Side of the model's images, pixels.
    pub image_size: u32,
    /// Loader threads; 0 for one per core.
    pub threads: usize,
    /// Type of the towers' arithmetic; what comes after is at least f32.
    pub precision: Precision,
}

impl EvalSetup<'_> {
    /// The guard under which the towers run; `None` for fp32.
    ///
    /// # Errors
    /// When the device has no autocast.
    pub fn autocast(&self) -> Result<Option<Autocast>, OptimError> {
        self.precision.autocast(self.device)
    }

    /// A feed over `shards` in disk order, this rank's share, every good sample once.
    ///
    /// # Errors
    /// When shards are missing or damaged, or are not the same on every rank.
    pub fn feed(&self, shards: &str, samples: &DatasetConfig) -> Result<Feed, TrainError> {
        let dataset = Dataset::open(&[SourceSpec::new(shards)], samples).map_err(FeedError::from)?;
        if self.ranks.world() > 1 {
            self.ranks.agree(agreement::with_shards(Facts::new(), "the shards to evaluate on", &dataset)?)?;
        }
        let config = LoaderConfig {
            rank: self.ranks.rank(),
            world: self.ranks.world(),
            threads: self.threads,
            prefetch: 2,
            ..LoaderConfig::evaluation(self.batch_size, self.image_size)
        };
        let buffers = PixelBuffer::pool(config.prefetch, config.image_bytes(), self.device)?;
        let encode = encode(self.tokenizer, self.truncation);
        let loader = Loader::start(dataset, &config, encode, buffers).map_err(FeedError::from)?;
        Ok(Feed::new(loader, &config, self.device)?)
    }
}

/// The tokenizer as the loader's workers call it: each thread keeps an encoder of its own, which remembers words.
pub fn encode(tokenizer: &Tokenizer, truncation: Truncation) -> Encode {
    thread_local! {
        static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
    }
    let tokenizer = tokenizer.clone();
    Arc::new(move |caption, ids| {
        // The model takes rows of this length and no other (`TrainConfig::resolve`).
        let Some(row) = ids.first_chunk_mut::<CONTEXT_LENGTH>() else { return };
        ENCODER.with_borrow_mut(|encoder| {
            encoder.get_or_insert_with(|| tokenizer.encoder()).tokenize_into(caption, truncation, row);
        });
    })
}
