//! One optimisation step: micro-batches through the towers, one loss over the whole batch of all ranks, the gradients
//! back and averaged while they come, one move of the weights.

use tch::{Device, Tensor};

use super::bad_batch::Guard;
use crate::error::TrainError;
use crate::feed::{DeviceBatch, Views};
use crate::model::{Clip, Mode};
use crate::objective::clip::{Contrastive, clamp_logit_scale};
use crate::objective::features::FeatureCache;
use crate::objective::normalise;
use crate::optim::{AdamW, Precision, Scaler};
use crate::ranks::Ranks;
use crate::torch::TorchError;
use crate::torch::group::Buckets;
use crate::torch::layout::contiguous;

/// What one step tells; tensors, so that nobody waits for the device unless a line is written.
#[derive(Debug)]
pub struct StepOutcome {
    /// Mean loss of this rank's rows.
    pub loss: Tensor,
    /// Share of this rank's images whose caption scores highest in the batch.
    pub accuracy: Tensor,
    /// Norm of the gradients before clipping; only with clipping.
    pub gradient_norm: Option<Tensor>,
    /// Whether the step was left out for a bad batch; only where a run may do that.
    pub left_out: Option<Tensor>,
}

/// Everything that moves in a step.
#[derive(Debug)]
pub struct Stepper {
    /// The model.
    pub model: Clip,
    /// Its optimiser.
    pub optimiser: AdamW,
    /// The loss scale of fp16.
    pub scaler: Option<Scaler>,
    /// Leaves out the steps of bad batches, if there is one.
    pub guard: Option<Guard>,
    precision: Precision,
    device: Device,
    buckets: Option<Buckets>,
    objective: Contrastive,
}

impl Stepper {
    /// From parts that agree with each other on every rank.
    ///
    /// # Errors
    /// When the device has no such precision.
    pub fn new(
        model: Clip,
        optimiser: AdamW,
        precision: Precision,
        device: Device,
        ranks: &Ranks,
    ) -> Result<Self, TrainError> {
        let parameters: Vec<Tensor> = model.weights().parameters().into_iter().map(|w| w.tensor).collect();
        Ok(Self {
            scaler: precision.scaler(device)?,
            buckets: ranks.buckets(&parameters)?,
            objective: Contrastive::new(model.logit_scale()),
            model,
            optimiser,
            guard: None,
            precision,
            device,
        })
    }

    /// One step of learning rate `lr` over this rank's share of a batch, in `parts` micro-batches.
    ///
    /// # Errors
    /// When a rank is lost or memory runs out.
    pub fn step(
        &mut self,
        batch: &DeviceBatch,
        parts: usize,
        lr: f64,
        ranks: &Ranks,
    ) -> Result<StepOutcome, TrainError> {
        self.optimiser.drop_gradients()?;
        if let Some(guard) = &self.guard {
            guard.begin()?;
        }

        // 1. Features of every micro-batch. With one, its graph is kept; with more, only the values are, and the
        //    towers run again in phase 3 (so batch norm sees every image twice, as in open_clip).
        let mut cache = FeatureCache::new();
        let mut kept = None;
        for index in 0..parts {
            let _no_grad = (parts > 1).then(tch::no_grad_guard);
            let features = self.features(&batch.part(index, parts)?)?;
            cache.push([&features[0], &features[1]])?;
            kept = Some(features);
        }

        // 2. The loss of the whole batch, and what each feature is owed.
        if parts == 1 {
            self.arm()?;
        }
        let solved = cache.solve(&self.objective, ranks, self.scaler.as_ref().map(Scaler::factor))?;

        // 3. Back through the towers.
        if let (1, Some(features)) = (parts, kept) {
            solved.backward(0, [&features[0], &features[1]])?;
        } else {
            for index in 0..parts {
                let features = self.features(&batch.part(index, parts)?)?;
                if index + 1 == parts {
                    self.arm()?;
                }
                solved.backward(index, [&features[0], &features[1]])?;
            }
        }
        if let Some(buckets) = &self.buckets {
            buckets.finish()?;
        }

        // 4. The move.
        let by_scaler = self.scaler.is_some();
        let flag = self.guard.as_ref().map(Guard::flag);
        let moved = self.optimiser.step_guarded(lr, self.scaler.as_mut(), flag)?;
        clamp_logit_scale(self.model.logit_scale())?;
        let left_out = self.guard.as_ref().map(|guard| guard.end(&solved.loss, by_scaler)).transpose()?;
        let [accuracy, _] = solved.accuracy;
        Ok(StepOutcome { loss: solved.loss, accuracy, gradient_norm: moved.gradient_norm, left_out })
    }

    /// Unit features of images and captions.
    fn features(&self, views: &Views) -> Result<[Tensor; 2], TrainError> {
        let _autocast = self.precision.autocast(self.device)?;
        let image = self.model.encode_image(&views.pixels, Mode::Train)?;
        let text = self.model.encode_text(&views.tokens)?;
        let unit = |features: Tensor| -> Result<Tensor, TorchError> { contiguous(&normalise(&features)?) };
        Ok([unit(image)?, unit(text)?])
    }

    fn arm(&self) -> Result<(), TorchError> {
        self.buckets.as_ref().map_or(Ok(()), Buckets::arm)
    }
}
