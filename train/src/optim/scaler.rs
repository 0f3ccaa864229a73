//! Loss scaling for fp16, as `torch.amp.GradScaler` does it: the loss is multiplied so that small gradients do not
//! vanish, gradients are divided again before the step, a step with an infinite gradient is skipped and halves the scale,
//! 2,000 clean steps in a row double it. All on the device: nothing here waits for it but [`Scaler::state`].

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::OptimError;
use crate::torch::gradients;

/// First scale; torch's default.
pub const DEFAULT_SCALE: f64 = 65536.0;
/// Factor after [`GROWTH_INTERVAL`] clean steps.
pub const GROWTH_FACTOR: f64 = 2.0;
/// Factor after a step with a gradient that is not finite.
pub const BACKOFF_FACTOR: f64 = 0.5;
/// Clean steps in a row before the scale grows.
pub const GROWTH_INTERVAL: i64 = 2000;

/// What a checkpoint keeps of a [`Scaler`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScalerState {
    /// The factor of the loss.
    pub scale: f64,
    /// Clean steps since it last changed.
    pub growth_tracker: i64,
}

/// The scale and what is known about this step's gradients.
#[derive(Debug)]
pub struct Scaler {
    scale: Tensor,
    growth_tracker: Tensor,
    found_inf: Tensor,
}

impl Scaler {
    /// A scaler as a fresh run has it.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(device: Device) -> Result<Self, OptimError> {
        Self::from_state(ScalerState { scale: DEFAULT_SCALE, growth_tracker: 0 }, device)
    }

    /// A scaler as a checkpoint left it.
    ///
    /// # Errors
    /// When memory runs out, or the scale is none.
    pub fn from_state(state: ScalerState, device: Device) -> Result<Self, OptimError> {
        if !(state.scale.is_finite() && state.scale > 0.0) {
            return Err(OptimError::State(format!("{} is no loss scale", state.scale)));
        }
        let scalar = |value: f64, kind: Kind| Tensor::f_full([], value, (kind, device));
        Ok(Self {
            scale: scalar(state.scale, Kind::Float)?,
            growth_tracker: scalar(state.growth_tracker as f64, Kind::Int)?,
            found_inf: scalar(0.0, Kind::Float)?,
        })
    }

    /// What a checkpoint keeps; waits for the device.
    ///
    /// # Errors
    /// An error of any kernel before it.
    pub fn state(&self) -> Result<ScalerState, OptimError> {
        Ok(ScalerState {
            scale: self.scale.f_double_value(&[])?,
            growth_tracker: self.growth_tracker.f_int64_value(&[])?,
        })
    }

    /// The loss that backward starts from.
    ///
    /// # Errors
    /// When the loss is on another device.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor, OptimError> {
        Ok(loss.f_mul(&self.scale)?)
    }

    /// The current factor, an f32 scalar on the device.
    pub fn factor(&self) -> &Tensor {
        &self.scale
    }

    /// Whether this step's gradients hold an infinity or NaN: an f32 scalar, 1 if so.
    pub fn found_inf(&self) -> &Tensor {
        &self.found_inf
    }

    /// Divides all gradients of the step by the scale, in place, and notes whether each is finite. Once a step.
    ///
    /// # Errors
    /// When a gradient is on another device.
    pub fn unscale(&mut self, all: &[Tensor]) -> Result<(), OptimError> {
        let _ = self.found_inf.f_zero_()?;
        let inverse = self.scale.f_to_kind(Kind::Double)?.f_reciprocal()?.f_to_kind(Kind::Float)?;
        Ok(gradients::unscale(all, &self.found_inf, &inverse)?)
    }

    /// Grows or shrinks the scale by what [`Scaler::unscale`] found. Once a step, after the optimiser.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn update(&mut self) -> Result<(), OptimError> {
        let _ = self.scale.f_internal_amp_update_scale_(
            &self.growth_tracker,
            &self.found_inf,
            GROWTH_FACTOR,
            BACKOFF_FACTOR,
            GROWTH_INTERVAL,
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(scaler: &mut Scaler, values: &[f32]) -> Vec<f32> {
        let gradient = Tensor::from_slice(values);
        scaler.unscale(&[gradient.shallow_clone()]).unwrap();
        scaler.update().unwrap();
        Vec::try_from(&gradient).unwrap()
    }

    #[test]
    fn gradients_come_back_to_size_and_an_infinity_halves_the_scale() {
        let mut scaler = Scaler::new(Device::Cpu).unwrap();
        let loss = scaler.scale(&Tensor::from(3.0f32)).unwrap();
        assert_eq!((loss.size(), f64::try_from(&loss).unwrap()), (vec![], 3.0 * 65536.0));
        assert_eq!(step(&mut scaler, &[65536.0, -131072.0]), [1.0, -2.0]);
        assert_eq!(scaler.state().unwrap(), ScalerState { scale: 65536.0, growth_tracker: 1 });
        step(&mut scaler, &[1.0, f32::INFINITY]);
        assert_eq!(scaler.found_inf().double_value(&[]), 1.0);
        assert_eq!(scaler.state().unwrap(), ScalerState { scale: 32768.0, growth_tracker: 0 });
        step(&mut scaler, &[f32::NAN]);
        assert_eq!(scaler.state().unwrap().scale, 16384.0);
        step(&mut scaler, &[1.0]);
        assert_eq!(scaler.found_inf().double_value(&[]), 0.0, "the next step starts clean");
    }

    #[test]
    fn two_thousand_clean_steps_double_it_across_a_checkpoint() {
        let mut scaler = Scaler::new(Device::Cpu).unwrap();
        for _ in 0..1999 {
            step(&mut scaler, &[1.0]);
        }
        let state = scaler.state().unwrap();
        assert_eq!(state, ScalerState { scale: 65536.0, growth_tracker: 1999 });
        let text = serde_json::to_string(&state).unwrap();
        let mut scaler = Scaler::from_state(serde_json::from_str(&text).unwrap(), Device::Cpu).unwrap();
        step(&mut scaler, &[1.0]);
        assert_eq!(scaler.state().unwrap(), ScalerState { scale: 131_072.0, growth_tracker: 0 });
    }

    #[test]
    fn a_damaged_scale_is_refused() {
        let state = ScalerState { scale: 0.0, growth_tracker: 0 };
        assert!(Scaler::from_state(state, Device::Cpu).unwrap_err().to_string().contains("no loss scale"));
    }
}
