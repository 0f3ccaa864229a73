//! What is minimised. An objective is a function of the features of the whole batch, over all ranks and micro-batches;
//! [`features`] brings those together and takes the gradients back to whoever computed the features. A new objective is
//! one file that implements [`FeatureLoss`] (or, where samples do not meet, a plain loss of its own).
//!
//! ```text
//! encode (graph) → normalise → FeatureCache::push → solve: gather ranks → FeatureLoss → leaf gradients → sum ranks
//!                     ↑                                                                                   │
//!                     └───────────── Solved::backward (each micro-batch, recomputed if need be) ←─────────┘
//! ```

pub mod clip;
pub mod features;
#[cfg(test)]
mod tests;

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// Two features of every sample: those of its picture and its caption, or of two crops of it.
pub type Views<'a> = [&'a Tensor; 2];

/// A loss over the features of the whole batch.
pub trait FeatureLoss {
    /// The mean loss of the samples in `rows`, held against all of them. `views` are G×D, f32, in the same order of
    /// samples. The mean over ranks of equal shares is the loss of the batch.
    ///
    /// # Errors
    /// When shapes do not fit or memory runs out.
    fn on_features(&self, views: Views<'_>, rows: Range<i64>) -> Result<Outcome, TorchError>;
}

/// What a [`FeatureLoss`] found.
#[derive(Debug)]
pub struct Outcome {
    /// Scalar with a graph to the views and to whatever else learns.
    pub loss: Tensor,
    /// Share of the rows whose own sample scores highest, from the first view to the second and back: scalars on the
    /// device, without a graph.
    pub accuracy: [Tensor; 2],
}

/// Values of half precision as f32; f32 and f64 stay as they are.
///
/// # Errors
/// When memory runs out.
fn at_least_f32(values: &Tensor) -> Result<Tensor, TorchError> {
    match values.kind() {
        Kind::Half | Kind::BFloat16 => Ok(values.f_to_kind(Kind::Float)?),
        _ => Ok(values.shallow_clone()),
    }
}

/// Rows divided by their L2 norm (`F.normalize`): x / max(‖x‖, 1e-12). In f32 at least: half precision is widened.
///
/// # Errors
/// When `features` is not a matrix or memory runs out.
pub fn normalise(features: &Tensor) -> Result<Tensor, TorchError> {
    let x = at_least_f32(features)?;
    let norm = x.f_norm_scalaropt_dim(2, 1, true)?.f_clamp_min(1e-12)?;
    Ok(x.f_div(&norm)?)
}
