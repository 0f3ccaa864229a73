//! The features of a batch that is spread over ranks and micro-batches, and the way of the gradients back.
//!
//! The loss is computed on leaves, cut off from the graph that made the features, so that graph may be gone already:
//! a micro-batch's features are kept without it, the loss of the whole batch is solved, then the micro-batch is encoded
//! again and its share of the gradient flows through. With one micro-batch the first graph is still there and nothing
//! is encoded twice.
//!
//! Scale: every rank's loss is the mean of its own rows. The leaf gradients are summed over ranks, so averaging the
//! *parameters'* gradients over ranks (as data parallel training does) gives the gradient of the mean loss over the
//! whole batch; the gradient of a parameter inside the loss (the logit scale) needs nothing else.

use tch::Tensor;

use super::{FeatureLoss, Views, at_least_f32};
use crate::torch::TorchError;
use crate::torch::gradients;
use crate::torch::group::{Group, Reduce};

/// The other ranks, as far as features go. Every rank calls the same things in the same order.
pub trait Exchange {
    /// This process, 0 to `world` - 1.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn world(&self) -> usize;

    /// The rows of all ranks, rank after rank; `local` has the same shape on each.
    ///
    /// # Errors
    /// When a rank is lost or shapes differ.
    fn gather(&self, local: &Tensor) -> Result<Tensor, TorchError>;

    /// Replaces `tensor` by its sum over ranks.
    ///
    /// # Errors
    /// As [`Exchange::gather`].
    fn sum(&self, tensor: &Tensor) -> Result<(), TorchError>;
}

/// A run of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alone;

impl Exchange for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn world(&self) -> usize {
        1
    }

    fn gather(&self, local: &Tensor) -> Result<Tensor, TorchError> {
        Ok(local.shallow_clone())
    }

    fn sum(&self, _tensor: &Tensor) -> Result<(), TorchError> {
        Ok(())
    }
}

impl Exchange for Group {
    fn rank(&self) -> usize {
        Self::rank(self)
    }

    fn world(&self) -> usize {
        Self::world(self)
    }

    fn gather(&self, local: &Tensor) -> Result<Tensor, TorchError> {
        Ok(Tensor::f_cat(&self.all_gather(local)?, 0)?)
    }

    fn sum(&self, tensor: &Tensor) -> Result<(), TorchError> {
        self.all_reduce(tensor, Reduce::Sum)
    }
}

/// Features of this rank's micro-batches, without graphs.
#[derive(Debug, Default)]
pub struct FeatureCache {
    micro_batches: Vec<[Tensor; 2]>,
}

impl FeatureCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the values of one micro-batch's features (n×D each).
    ///
    /// # Errors
    /// When the two differ in shape or are no matrices.
    pub fn push(&mut self, views: Views<'_>) -> Result<(), TorchError> {
        let [first, second] = views;
        if first.dim() != 2 || first.size() != second.size() {
            return Err(TorchError(format!("features of shapes {:?} and {:?}", first.size(), second.size())));
        }
        let kept = |view: &Tensor| at_least_f32(&view.f_detach()?);
        self.micro_batches.push([kept(first)?, kept(second)?]);
        Ok(())
    }

    /// Number of micro-batches kept.
    pub fn len(&self) -> usize {
        self.micro_batches.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.micro_batches.is_empty()
    }

    /// Computes the loss of the whole batch and the gradients of this rank's features. Parameters of the loss itself
    /// (the logit scale) get their gradients here. `loss_scale` multiplies every gradient (fp16 training), not the
    /// loss that is returned. Call it outside autocast: the loss is cheap and wants f32.
    ///
    /// # Errors
    /// When the cache is empty, a rank is lost, or memory runs out.
    pub fn solve(
        self,
        objective: &impl FeatureLoss,
        exchange: &impl Exchange,
        loss_scale: Option<&Tensor>,
    ) -> Result<Solved, TorchError> {
        let sizes: Vec<i64> = self.micro_batches.iter().map(|[first, _]| first.size()[0]).collect();
        let Some(width) = self.micro_batches.first().map(|[first, _]| first.size()[1]) else {
            return Err(TorchError("no micro-batch to compute a loss of".to_string()));
        };
        // Both views side by side: one collective each way.
        let rows: Vec<Tensor> =
            self.micro_batches.iter().map(|pair| Tensor::f_cat(pair, 1)).collect::<Result<_, _>>()?;
        let local = Tensor::f_cat(&rows, 0)?;
        let count: i64 = sizes.iter().sum();
        let leaf = exchange.gather(&local)?.f_detach()?.set_requires_grad(true);
        let views = [leaf.f_narrow(1, 0, width)?, leaf.f_narrow(1, width, width)?];
        let start = count * i64::try_from(exchange.rank()).unwrap_or(0);

        let outcome = objective.on_features([&views[0], &views[1]], start..start + count)?;
        match loss_scale {
            Some(scale) => outcome.loss.f_mul(scale)?.f_backward()?,
            None => outcome.loss.f_backward()?,
        }
        let gradient = leaf.f_grad()?;
        exchange.sum(&gradient)?;
        let mine = gradient.f_narrow(0, start, count)?;
        let gradients = mine
            .f_split_with_sizes(sizes, 0)?
            .iter()
            .map(|part| Ok([part.f_narrow(1, 0, width)?, part.f_narrow(1, width, width)?]))
            .collect::<Result<_, TorchError>>()?;
        Ok(Solved { loss: outcome.loss.f_detach()?, accuracy: outcome.accuracy, gradients })
    }
}

/// The loss of a batch and the gradients that its features are owed.
#[derive(Debug)]
pub struct Solved {
    /// Mean loss of this rank's rows: a scalar on the device. The batch's loss is the mean of it over ranks.
    pub loss: Tensor,
    /// As [`Outcome::accuracy`](super::Outcome::accuracy), of this rank's rows.
    pub accuracy: [Tensor; 2],
    gradients: Vec<[Tensor; 2]>,
}

impl Solved {
    /// Backward through the graph that made the features of micro-batch `index` (as numbered by
    /// [`FeatureCache::push`]): gradients of parameters accumulate.
    ///
    /// # Errors
    /// When there is no such micro-batch, the features differ in shape from those pushed or have no graph, or memory
    /// runs out.
    pub fn backward(&self, index: usize, views: Views<'_>) -> Result<(), TorchError> {
        let Some(owed) = self.gradients.get(index) else {
            return Err(TorchError(format!("no micro-batch {index} among {}", self.gradients.len())));
        };
        // One after the other: together, the first graph would be kept until the second is done. The second view goes
        // first because its tower's parameters were made last, and ranks exchange the last parameters first.
        for (view, gradient) in views.into_iter().zip(owed).rev() {
            let gradient = gradient.f_to_kind(view.kind())?;
            gradients::backward(&[view], &[&gradient])?;
        }
        Ok(())
    }
}
