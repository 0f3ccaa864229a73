//! The model: an image tower and a text tower that end in features of one width. Built from an [`Architecture`], with
//! open_clip's names for every weight, so a checkpoint of one is a checkpoint of the other. The trainer feeds it
//! batches of the loader and hands its features to the [objective](crate::objective).

pub mod architecture;
mod assign;
mod block;
mod clip;
mod layer;
mod resnet;
#[cfg(test)]
mod tests;
mod text;
mod visual;
mod vit;

pub use architecture::{Activation, Architecture, ArchitectureError};
pub use assign::AssignError;
pub use clip::Clip;
pub use text::{Text, trimmed};
pub use visual::Visual;

use crate::torch::TorchError;

/// What batch norm uses and leaves behind. The transformers know no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, which move the running ones.
    Train,
    /// Statistics of the batch, leaving the running ones alone: the second forward of a batch that has had its first
    /// (accumulation over a contrastive batch, recomputation in backward).
    Replay,
    /// The running statistics.
    Eval,
}

/// Whether backward keeps what it needs or computes it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recompute {
    /// Keep everything.
    #[default]
    Never,
    /// Keep the input of each block and run the block again: about a third more time for a fraction of the memory
    /// (gradient checkpointing).
    Blocks,
}

/// Why a model cannot be made or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The architecture makes no model.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// Pictures of the wrong shape.
    #[error("the model takes N × 3 × {size} × {size} pictures of floating point, not {found}")]
    PixelShape {
        /// Side of the pictures the architecture wants, in pixels.
        size: i64,
        /// Shape and type that came.
        found: String,
    },
    /// Texts of the wrong shape.
    #[error("the model takes N × (1 to {context}) token ids of Int64, not {found}")]
    TokenShape {
        /// Context length of the architecture.
        context: i64,
        /// Shape and type that came.
        found: String,
    },
    /// Weights of another model.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// Whatever libtorch has to say: memory, devices, ids outside the vocabulary.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<tch::TchError> for ModelError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(error.into())
    }
}

/// Inside the model only libtorch can fail.
type Result<T, E = TorchError> = std::result::Result<T, E>;
