//! A line of the log whose numbers are still on the device: asked for at its step, written when they have arrived, so
//! that the device does not stand idle while the host reads.

use pairmill_loader::Slot;
use tch::{Kind, Tensor};

use super::step::{StepOutcome, Stepper};
use crate::error::TrainError;
use crate::log::{StepLine, StepWindow};
use crate::objective::features::Exchange;
use crate::ranks::Ranks;
use crate::torch::TorchError;
use crate::torch::memory::Readback;

/// A line without its numbers, and what it takes to say where a lost loss comes from.
#[derive(Debug)]
pub(super) struct LateLine {
    pub line: StepLine,
    pub window: StepWindow,
    pub numbers: LateNumbers,
    pub slots: Vec<Slot>,
}

impl LateLine {
    /// Whether its numbers have arrived, as they have at once on the CPU.
    pub fn is_here(&self) -> bool {
        self.numbers.back.is_here()
    }
}

/// Loss and accuracy (means over the ranks), the logit scale, and what else the step has: one tensor, one way back.
#[derive(Debug)]
pub(super) struct LateNumbers {
    back: Readback,
    world: f64,
    has_gradient_norm: bool,
    has_loss_scale: bool,
}

impl LateNumbers {
    /// Sends them on their way.
    pub fn begin(outcome: &StepOutcome, stepper: &Stepper, ranks: &Ranks) -> Result<Self, TorchError> {
        let wide = |number: &Tensor| number.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([1]);
        let means = Tensor::f_cat(&[wide(&outcome.loss)?, wide(&outcome.accuracy)?], 0)?;
        ranks.sum(&means)?;
        let mut numbers = vec![means, wide(stepper.model.logit_scale())?];
        numbers.extend(outcome.gradient_norm.as_ref().map(wide).transpose()?);
        numbers.extend(stepper.scaler.as_ref().map(|scaler| wide(scaler.factor())).transpose()?);
        Ok(Self {
            back: Readback::begin(&Tensor::f_cat(&numbers, 0)?)?,
            world: ranks.world() as f64,
            has_gradient_norm: outcome.gradient_norm.is_some(),
            has_loss_scale: stepper.scaler.is_some(),
        })
    }

    /// Waits for them and puts them into their line.
    pub fn fill(self, line: StepLine) -> Result<StepLine, TrainError> {
        let numbers = self.back.wait()?;
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let (loss, accuracy) = (next() / self.world, next() / self.world);
        let logit_scale = next().exp();
        let gradient_norm = self.has_gradient_norm.then(&mut next);
        let loss_scale = self.has_loss_scale.then(&mut next);
        Ok(StepLine { loss, accuracy, logit_scale, gradient_norm, loss_scale, ..line })
    }
}
