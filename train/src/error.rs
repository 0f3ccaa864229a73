//! What ends a training run, and whether the input is at fault.

use std::path::PathBuf;

use pairmill_pixels::PixelError;
use pairmill_shards::atomic::FileError;

use crate::config::ConfigError;
use crate::eval::task::TaskError;
use crate::feed::FeedError;
use crate::launch::LaunchError;
use crate::model::{ArchitectureError, ModelError};
use crate::optim::OptimError;
use crate::ranks::RankError;
use crate::torch::TorchError;
use crate::torch::memory::FailedAllocation;
use pairmill_datasets::DatasetError;
use pairmill_datasets::prompt_name::NameError;
use pairmill_datasets::shots::ShotError;

/// What ends a training run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The architecture file.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// The launcher's variables.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Other ranks of the run.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// A zero-shot task.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A label that the task has no name for.
    #[error("task {task}: a sample has label {label}, but there are {classes} classes; labels count from 0")]
    Label {
        /// The task.
        task: String,
        /// The largest label of a batch.
        label: i64,
        /// Number of class names.
        classes: usize,
    },
    /// Shards, or the way from them to the device.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// More samples are unusable than the user allows.
    #[error(
        "{skipped}; that is over the limit data.max_skipped = {limit}: mend the shards, or allow more with --set data.max_skipped=SHARE"
    )]
    Skipped {
        /// How many, why, and an example.
        skipped: Box<crate::skipped::Skipped>,
        /// The largest share.
        limit: f64,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The optimiser.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// The folder of the run cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The loss or the weights are not finite any more.
    #[error(transparent)]
    Diverged(#[from] Box<crate::log::Diverged>),
    /// Another process trains in the folder.
    #[error(
        "{}: {} is training in this folder; wait until it ends, stop it, or give another --out",
        folder.display(),
        holder.as_deref().unwrap_or("another process")
    )]
    Locked {
        /// The run's folder.
        folder: PathBuf,
        /// Who it is, if known.
        holder: Option<String>,
    },
    /// Weights alone, of which nobody says what they are of.
    #[error("{}: a file of weights does not say which architecture it is of; give --model, such as RN50", .0.display())]
    NoModel(PathBuf),
    /// A labelled dataset.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Class names.
    #[error(transparent)]
    Names(#[from] NameError),
    /// Shots.
    #[error("{task}: {error}")]
    Shots {
        /// The task.
        task: String,
        /// Why they cannot be drawn.
        error: ShotError,
    },
    /// A labelled picture that cannot be decoded.
    #[error("{file}: {error}; replace it or take it out of the dataset's list")]
    BadPicture {
        /// Where it lies.
        file: String,
        /// What is wrong with it.
        error: PixelError,
    },
    /// More labelled pictures that cannot be decoded than the user allows.
    #[error(
        "{task}: {count} of {of} images cannot be decoded, more than the {percent} % allowed (max_unreadable); \
         the first is {example}; replace them, take them out of the dataset, or raise the limit"
    )]
    Unreadable {
        /// The task.
        task: String,
        /// How many.
        count: usize,
        /// Of how many.
        of: usize,
        /// The limit.
        percent: f64,
        /// The first, with what is wrong.
        example: String,
    },
    /// A transfer that cannot be run as asked.
    #[error("{0}")]
    Transfer(String),
    /// CUDA is wanted and not to be had.
    #[error("no CUDA device {index}: {why}")]
    NoCuda {
        /// The device asked for.
        index: usize,
        /// What libtorch or the driver say.
        why: String,
    },
    /// The device or the machine has no more memory.
    #[error(
        "out of memory on the {place}{wanted}; {kept}; to need less: {advice}",
        place = if allocation.on_gpu { "GPU" } else { "CPU" },
        wanted = allocation.size.as_ref().map_or(String::new(), |size| format!(", {size} more were wanted")),
    )]
    OutOfMemory {
        /// What could not be had.
        allocation: FailedAllocation,
        /// What is left of the run.
        kept: String,
        /// Settings that would help.
        advice: String,
    },
    /// libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<tch::TchError> for TrainError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(error.into())
    }
}

impl TrainError {
    /// The same error, with what stays and what helps where it is want of memory, wherever that was met.
    pub fn with_memory_advice(self, kept: impl FnOnce() -> String, advice: impl FnOnce() -> String) -> Self {
        match FailedAllocation::of(&self.to_string()) {
            Some(allocation) => Self::OutOfMemory { allocation, kept: kept(), advice: advice() },
            None => self,
        }
    }

    /// Whether a collective may have failed because another rank is gone.
    pub fn may_be_a_lost_rank(&self) -> bool {
        use crate::optim::OptimError;
        matches!(
            self,
            Self::Torch(_)
                | Self::Feed(FeedError::Torch(_))
                | Self::Optim(OptimError::Torch(_))
                | Self::Model(ModelError::Torch(_))
        ) && FailedAllocation::of(&self.to_string()).is_none()
    }

    /// Whether other input or flags would help: exit code 2, against 1 for what went wrong by itself.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Architecture(_)
            | Self::Launch(_)
            | Self::Task(_)
            | Self::Label { .. }
            | Self::Skipped { .. }
            | Self::Checkpoint(_)
            | Self::Dataset(_)
            | Self::Names(_)
            | Self::Shots { .. }
            | Self::BadPicture { .. }
            | Self::Unreadable { .. }
            | Self::Transfer(_)
            | Self::NoCuda { .. }
            | Self::Locked { .. }
            | Self::NoModel(_)
            | Self::OutOfMemory { .. } => true,
            Self::Feed(FeedError::Loader(_) | FeedError::NoBatch { .. }) | Self::Model(_) => true,
            Self::Ranks(error) => error.is_bad_input(),
            Self::Feed(FeedError::Torch(_))
            | Self::Optim(_)
            | Self::File(_)
            | Self::Diverged(_)
            | Self::Torch(_) => false,
        }
    }
}
