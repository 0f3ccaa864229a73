//! The study's linear probe as its code ran (protocol.md §0.4 and §3.7): AdamW on features of the augmented training
//! pictures, judged on the test features after every epoch, the best kept; and because the loader of the test features
//! takes the place of the training loader at the first evaluation, every epoch but the first trains on the test set.
//! Only the `as-published` protocol calls it, to reproduce numbers, never to report them as a probe's.

use tch::{Kind, Tensor};

use super::Features;
use crate::error::TrainError;
use crate::optim::{AdamW, AdamWConfig, Schedule};
use crate::torch::TorchError;
use crate::transfer::classifier::Head;
use crate::transfer::tune::cross_entropy;
use crate::weights::Weights;

/// How the study trained its probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedProbe {
    /// Passes.
    pub epochs: u32,
    /// Rows a step.
    pub batch_size: usize,
    /// Rates; the study's probes had a peak of 0.003.
    pub schedule: Schedule,
    /// The optimiser's settings.
    pub optim: AdamWConfig,
}

impl PublishedProbe {
    /// Trains `head` in place of a copy of it and returns the best by test accuracy, with that accuracy in percent.
    /// `order` gives the rows of an epoch of so many.
    ///
    /// # Errors
    /// When shapes do not fit or memory runs out.
    pub fn fit(
        &self,
        head: &Head,
        train: &Features,
        test: &Features,
        order: &dyn Fn(u64, usize) -> Vec<i64>,
    ) -> Result<(Head, f64), TrainError> {
        let weights = Weights::new(head.weight.device());
        let (classes, width) = head.weight.size2()?;
        let learning = Head::learned(&weights.root().part("head"), classes, width)?;
        learning.take(head)?;
        let mut optimiser = AdamW::new(&weights, self.optim)?;
        let mut best: Option<(Head, f64)> = None;
        let mut step = 0;
        for epoch in 0..u64::from(self.epochs) {
            // The defect: the study's variable of the training loader holds the test features from here on.
            let from = if epoch == 0 { train } else { test };
            let rows = order(epoch, from.len());
            for part in rows.chunks(self.batch_size.max(1)) {
                let rows = Tensor::f_from_slice(part)?.f_to_device(from.values.device())?;
                let (values, labels) =
                    (from.values.f_index_select(0, &rows)?, from.labels.f_index_select(0, &rows)?);
                optimiser.drop_gradients()?;
                let logits = values.f_linear(&learning.weight, Some(&learning.bias))?;
                cross_entropy(&logits, &labels)?.f_backward()?;
                optimiser.step(self.schedule.lr(step), None)?;
                step += 1;
            }
            let logits = tch::no_grad(|| test.values.f_linear(&learning.weight, Some(&learning.bias)))?;
            let hits = logits.f_argmax(-1, false)?.f_eq_tensor(&test.labels)?;
            let acc1 = 100.0 * hits.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?.f_double_value(&[])?;
            if best.as_ref().is_none_or(|(_, kept)| acc1 > *kept) {
                best = Some((learning.copy()?, acc1));
            }
        }
        Ok(best.ok_or_else(|| TorchError("a probe of no epochs".into()))?)
    }
}
