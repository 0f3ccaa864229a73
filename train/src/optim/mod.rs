//! From gradients to the next weights: how far ([`schedule`], in steps that a [`span`] of epochs or samples was turned
//! into), which tensors decay ([`decay`]), in what number format ([`precision`], [`scaler`]), and the step itself
//! ([`adamw`]). Comes after the backward pass and before the checkpoint, which keeps the state of all of it.

pub mod adamw;
pub mod decay;
pub mod precision;
pub mod scaler;
pub mod schedule;
pub mod span;

pub use adamw::{AdamW, AdamWConfig, StepOutcome};
pub use decay::DecayRule;
pub use precision::Precision;
pub use scaler::{Scaler, ScalerState};
pub use schedule::{Schedule, Shape};
pub use span::Span;

use crate::torch::TorchError;

/// What can go wrong between gradients and weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptimError {
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// The backward pass did not reach a parameter that is to learn.
    #[error(
        "parameter {0} has no gradient: the loss does not depend on it, or backward did not run before the step"
    )]
    NoGradient(String),
    /// There is nothing to train.
    #[error("the model has no parameter that learns")]
    NothingLearns,
    /// Saved optimiser state that is not this model's.
    #[error("optimiser state: {0}")]
    State(String),
}

impl From<tch::TchError> for OptimError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(TorchError::from_tch(&error))
    }
}
