//! A look at the losses, and a line of the log, whose numbers are still on the device: asked for at their step, read when
//! they have arrived, so that the device does not stand idle while the host reads.

use tch::{Kind, Tensor};

use super::bad_batch::{Asked, Seen};
use super::step::{StepOutcome, Stepper};
use crate::error::TrainError;
use crate::log::{StepLine, StepWindow};
use crate::torch::TorchError;
use crate::torch::memory::Readback;

/// What was asked for at a step.
#[derive(Debug)]
pub(super) struct LateLine {
    asked: Asked,
    line: Option<(StepLine, LateNumbers)>,
}

impl LateLine {
    /// Sends the numbers of `line`, if one is due, after those of the look.
    pub fn begin(
        asked: Asked,
        line: Option<StepLine>,
        outcome: &StepOutcome,
        stepper: &Stepper,
    ) -> Result<Self, TorchError> {
        let with_numbers = |line| Ok::<_, TorchError>((line, LateNumbers::begin(outcome, stepper)?));
        Ok(Self { asked, line: line.map(with_numbers).transpose()? })
    }

    /// Whether everything has arrived, as it has at once on the CPU.
    pub fn is_here(&self) -> bool {
        self.asked.is_here()
    }

    /// Waits for everything. The line still lacks what the look says of its step.
    pub fn read(self) -> Result<(StepWindow, Vec<Seen>, Option<StepLine>), TrainError> {
        let (window, seen) = self.asked.look()?;
        let line = self.line.map(|(line, numbers)| numbers.fill(line)).transpose()?;
        Ok((window, seen, line))
    }
}

/// The logit scale, and what else the step has: one tensor, one way back.
#[derive(Debug)]
struct LateNumbers {
    back: Readback,
    has_gradient_norm: bool,
    has_loss_scale: bool,
}

impl LateNumbers {
    fn begin(outcome: &StepOutcome, stepper: &Stepper) -> Result<Self, TorchError> {
        let wide = |number: &Tensor| number.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([1]);
        let mut numbers = vec![wide(stepper.model.logit_scale())?];
        numbers.extend(outcome.gradient_norm.as_ref().map(wide).transpose()?);
        numbers.extend(stepper.scaler.as_ref().map(|scaler| wide(scaler.factor())).transpose()?);
        Ok(Self {
            back: Readback::begin(&Tensor::f_cat(&numbers, 0)?)?,
            has_gradient_norm: outcome.gradient_norm.is_some(),
            has_loss_scale: stepper.scaler.is_some(),
        })
    }

    fn fill(self, line: StepLine) -> Result<StepLine, TrainError> {
        let mut numbers = self.back.wait()?.into_iter();
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let logit_scale = next().exp();
        let gradient_norm = self.has_gradient_norm.then(&mut next);
        let loss_scale = self.has_loss_scale.then(&mut next);
        Ok(StepLine { logit_scale, gradient_norm, loss_scale, ..line })
    }
}
