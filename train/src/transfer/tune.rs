//! One step of fine-tuning: a batch through tower and head, cross entropy, and a move of all weights, as WiSE-FT makes
//! it (`src/models/finetune.py`): AdamW on every parameter without exception, gradients clipped to a joint norm of 1.

use tch::{Device, Reduction, Tensor};

use super::classifier::Classifier;
use crate::error::TrainError;
use crate::model::Mode;
use crate::optim::{AdamW, AdamWConfig, DecayRule, Precision, Schedule};
use crate::torch::TorchError;

/// Joint norm that gradients are clipped to.
pub const CLIP_NORM: f64 = 1.0;

/// WiSE-FT's optimiser with a weight decay: PyTorch's defaults otherwise.
pub fn adamw(weight_decay: f64) -> AdamWConfig {
    AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay,
        decay_rule: DecayRule::All,
        clip_norm: Some(CLIP_NORM),
    }
}

/// Mean cross entropy of `logits` (N×classes) and class numbers (N, i64).
///
/// # Errors
/// When shapes do not fit.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TorchError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.0)?)
}

/// A classifier that learns.
#[derive(Debug)]
pub struct Tuner {
    /// What learns.
    pub classifier: Classifier,
    /// Its optimiser.
    pub optimiser: AdamW,
    /// Learning rates.
    pub schedule: Schedule,
    precision: Precision,
    device: Device,
}

impl Tuner {
    /// An optimiser at step 0 over everything in `classifier`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(
        classifier: Classifier,
        optim: AdamWConfig,
        schedule: Schedule,
        precision: Precision,
    ) -> Result<Self, TrainError> {
        let device = classifier.weights().device();
        Ok(Self {
            optimiser: AdamW::new(classifier.weights(), optim)?,
            classifier,
            schedule,
            precision,
            device,
        })
    }

    /// Step `step`, counted from 0: `pixels` as the tower takes them, `labels` N class numbers. The loss, with its
    /// value still on the device.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn step(&mut self, step: u64, pixels: &Tensor, labels: &Tensor) -> Result<Tensor, TrainError> {
        self.optimiser.drop_gradients()?;
        let loss = {
            let _autocast = self.precision.autocast(self.device)?;
            let features = self.classifier.features(pixels, Mode::Train)?;
            cross_entropy(&self.classifier.score(&features)?, labels)?
        };
        loss.f_backward()?;
        self.optimiser.step(self.schedule.lr(step), None)?;
        Ok(loss.f_detach()?)
    }
}
