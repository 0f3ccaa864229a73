//! The layers both towers are made of, with PyTorch's names, defaults and initial values.
//!
//! Every operation is the fallible one: a batch that does not fit in memory is an error with words, not a panic.

use tch::{Kind, Tensor};

use super::{Mode, Result};
use crate::weights::{Init, Scope};

const NO_BIAS: Option<&Tensor> = None;

/// y = x·Wᵀ + b over the last dimension.
#[derive(Debug)]
pub(super) struct Linear {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Linear {
    /// As `nn.Linear`, but for the weights' initial values where CLIP has its own.
    pub fn new(
        scope: &Scope<'_>,
        input: i64,
        output: i64,
        weight: Option<Init>,
        bias: Option<Init>,
    ) -> Result<Self> {
        let default = Init::Uniform { bound: 1.0 / (input as f64).sqrt() };
        Ok(Self {
            weight: scope.parameter("weight", &[output, input], weight.unwrap_or(default))?,
            bias: scope.parameter("bias", &[output], bias.unwrap_or(default))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }

    pub fn parameters(&self) -> [Tensor; 2] {
        [self.weight.shallow_clone(), self.bias.shallow_clone()]
    }
}

impl Clone for Linear {
    fn clone(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }
}

/// A convolution without bias.
#[derive(Debug)]
pub(super) struct Convolution {
    weight: Tensor,
    stride: i64,
    padding: i64,
}

impl Convolution {
    /// As `nn.Conv2d(input, output, kernel, stride, padding, bias=False)`.
    pub fn new(
        scope: &Scope<'_>,
        input: i64,
        output: i64,
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Result<Self> {
        let bound = 1.0 / ((input * kernel * kernel) as f64).sqrt();
        let weight = scope.parameter("weight", &[output, input, kernel, kernel], Init::Uniform { bound })?;
        Ok(Self { weight, stride, padding })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_conv2d(&self.weight, NO_BIAS, self.stride, self.padding, 1, 1)?)
    }

    pub fn parameters(&self) -> [Tensor; 1] {
        [self.weight.shallow_clone()]
    }
}

impl Clone for Convolution {
    fn clone(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), ..*self }
    }
}

/// Layer norm over the last dimension. The result has the input's type: autocast computes it in f32 and would leave it
/// so.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    width: i64,
}

impl LayerNorm {
    const EPS: f64 = 1e-5;

    pub fn new(scope: &Scope<'_>, width: i64) -> Result<Self> {
        Ok(Self {
            weight: scope.parameter("weight", &[width], Init::Constant(1.0))?,
            bias: scope.parameter("bias", &[width], Init::Constant(0.0))?,
            width,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.f_layer_norm(self.width, Some(&self.weight), Some(&self.bias), Self::EPS, true)?;
        like(y, x)
    }

    pub fn parameters(&self) -> [Tensor; 2] {
        [self.weight.shallow_clone(), self.bias.shallow_clone()]
    }
}

impl Clone for LayerNorm {
    fn clone(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone(), width: self.width }
    }
}

/// Batch norm over N, H and W of each channel.
#[derive(Debug)]
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
}

impl BatchNorm {
    const EPS: f64 = 1e-5;
    const MOMENTUM: f64 = 0.1;

    pub fn new(scope: &Scope<'_>, channels: i64, weight: f64) -> Result<Self> {
        Ok(Self {
            weight: scope.parameter("weight", &[channels], Init::Constant(weight))?,
            bias: scope.parameter("bias", &[channels], Init::Constant(0.0))?,
            running_mean: scope.buffer("running_mean", &[channels], Kind::Float, 0.0)?,
            running_var: scope.buffer("running_var", &[channels], Kind::Float, 1.0)?,
            num_batches_tracked: scope.buffer("num_batches_tracked", &[], Kind::Int64, 0.0)?,
        })
    }

    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let running = match mode {
            Mode::Train => {
                let _ = self.num_batches_tracked.shallow_clone().f_add_scalar_(1)?;
                true
            }
            Mode::Eval => true,
            // Batch statistics are used and forgotten.
            Mode::Replay => false,
        };
        Ok(x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            running.then_some(&self.running_mean),
            running.then_some(&self.running_var),
            mode != Mode::Eval,
            Self::MOMENTUM,
            Self::EPS,
            true,
        )?)
    }

    pub fn parameters(&self) -> [Tensor; 2] {
        [self.weight.shallow_clone(), self.bias.shallow_clone()]
    }
}

impl Clone for BatchNorm {
    fn clone(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            running_mean: self.running_mean.shallow_clone(),
            running_var: self.running_var.shallow_clone(),
            num_batches_tracked: self.num_batches_tracked.shallow_clone(),
        }
    }
}

/// `y` in the type of `x`.
pub(super) fn like(y: Tensor, x: &Tensor) -> Result<Tensor> {
    Ok(if y.kind() == x.kind() { y } else { y.f_to_kind(x.kind())? })
}
