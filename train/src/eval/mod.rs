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
use pairmill_pixels::Normalisation;
use pairmill_tokens::{Encoder, Tokenizer, Truncation};
use tch::Device;

use self::scores::{Scale, Scores};
use self::task::ZeroShotTask;
use crate::error::TrainError;
use crate::feed::{Feed, FeedError, PixelBuffer};
use crate::optim::{OptimError, Precision};
use crate::ranks::{Facts, Ranks};
use crate::skipped::Skipped;
use crate::torch::TorchError;
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
    /// Mean and standard deviation of pixels.
    pub statistics: Normalisation,
    /// Token ids of a caption.
    pub context_length: usize,
    /// Loader threads; 0 for one per core.
    pub threads: usize,
    /// Type of the towers' arithmetic; what comes after is at least f32.
    pub precision: Precision,
    /// What whoever reads the numbers should know: which samples they do not rest on.
    pub notes: &'a RefCell<Vec<String>>,
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
            context_length: self.context_length,
            ..LoaderConfig::evaluation(self.batch_size, self.image_size)
        };
        let buffers = PixelBuffer::pool(config.prefetch, config.image_bytes(), self.device)?;
        let encode = encode(self.tokenizer, self.truncation);
        let loader = Loader::start(dataset, &config, encode, buffers).map_err(FeedError::from)?;
        Ok(Feed::new(loader, &config, self.device)?.normalised(self.statistics)?)
    }

    /// The share of a set's samples that its numbers do not rest on, since they could not be used; `None` where there were
    /// none. Notes the reasons. Every rank calls it once the feed is at its end.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn skipped(&self, task: &str, feed: &mut Feed) -> Result<Option<Metric>, TorchError> {
        let skipped = Skipped::over_ranks(feed.take_tally(), self.ranks, self.device)?;
        if skipped.is_worth_a_line() {
            self.notes.borrow_mut().push(format!("warning: {task}: {skipped}"));
        }
        Ok((skipped.count() > 0).then(|| Metric {
            task: task.to_owned(),
            name: "skipped_share".to_owned(),
            value: skipped.share(),
            num_samples: skipped.asked(),
        }))
    }
}

/// The tokenizer as the loader's workers call it: each thread keeps an encoder of its own, which remembers words.
pub fn encode(tokenizer: &Tokenizer, truncation: Truncation) -> Encode {
    thread_local! {
        static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
    }
    let tokenizer = tokenizer.clone();
    Arc::new(move |caption, ids| {
        ENCODER.with_borrow_mut(|encoder| {
            encoder.get_or_insert_with(|| tokenizer.encoder()).tokenize_into(caption, truncation, ids);
        });
    })
}
