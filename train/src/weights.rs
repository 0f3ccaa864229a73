//! The named tensors of a model, in the order its constructor made them. Names are open_clip's, so a checkpoint is this
//! list and nothing more; the optimiser, the checkpoints and the ranks of a run all walk it in the same order.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use crate::torch::{TorchError, layout};

/// Whether a tensor learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learns by gradient.
    Parameter,
    /// Belongs to the model but does not learn by gradient (running means of batch norm).
    Buffer,
}

/// One tensor and its full dotted name, such as `visual.layer1.0.conv1.weight`.
#[derive(Debug)]
pub struct Weight {
    /// The name open_clip gives it.
    pub name: String,
    /// The tensor; parameters require gradients.
    pub tensor: Tensor,
    /// Whether it learns.
    pub role: Role,
}

/// How a fresh tensor is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every value the same.
    Constant(f64),
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform between -`bound` and `bound`.
    Uniform {
        /// Largest magnitude.
        bound: f64,
    },
}

/// All named tensors of a model, on one device.
#[derive(Debug)]
pub struct Weights {
    list: RefCell<Vec<Weight>>,
    device: Device,
}

impl Weights {
    /// An empty list whose tensors will live on `device`.
    pub fn new(device: Device) -> Self {
        Self { list: RefCell::new(Vec::new()), device }
    }

    /// Where new tensors go.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The scope with the empty name.
    pub fn root(&self) -> Scope<'_> {
        Scope { weights: self, path: String::new() }
    }

    /// Name, tensor (sharing memory) and role of each, in order.
    pub fn all(&self) -> Vec<Weight> {
        let list = self.list.borrow();
        list.iter()
            .map(|w| Weight { name: w.name.clone(), tensor: w.tensor.shallow_clone(), role: w.role })
            .collect()
    }

    /// The parameters alone, in order.
    pub fn parameters(&self) -> Vec<Weight> {
        let mut all = self.all();
        all.retain(|weight| weight.role == Role::Parameter);
        all
    }

    /// Number of values that learn.
    pub fn num_parameters(&self) -> usize {
        self.parameters().iter().map(|weight| weight.tensor.numel()).sum()
    }

    /// Lays the convolutions' weights out as channels-last pictures want them. Values and names stay; do it before the
    /// optimiser makes its state, which follows the layout.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn channels_last(&self) -> Result<(), TorchError> {
        for mut weight in self.all() {
            if weight.tensor.dim() == 4 {
                let laid_out = tch::no_grad(|| layout::channels_last(&weight.tensor.detach()))?;
                weight.tensor.f_set_data(&laid_out)?;
            }
        }
        Ok(())
    }

    fn push(&self, name: String, tensor: Tensor, role: Role) -> Tensor {
        let shared = tensor.shallow_clone();
        self.list.borrow_mut().push(Weight { name, tensor, role });
        shared
    }
}

/// A prefix of names, handed down through the constructors of a model.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    path: String,
}

impl<'a> Scope<'a> {
    /// The scope of a part: `scope.part("layer1").part(0)` names `layer1.0`.
    pub fn part(&self, name: impl std::fmt::Display) -> Scope<'a> {
        Scope { weights: self.weights, path: self.name(name) }
    }

    /// Makes a parameter, f32, filled from libtorch's generator.
    ///
    /// # Errors
    /// When memory runs out or a size is negative.
    pub fn parameter(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TorchError> {
        let tensor = self.filled(shape, Kind::Float, init)?.set_requires_grad(true);
        Ok(self.weights.push(self.name(name), tensor, Role::Parameter))
    }

    /// Makes a buffer of `kind` with every value the same.
    ///
    /// # Errors
    /// As [`Scope::parameter`].
    pub fn buffer(&self, name: &str, shape: &[i64], kind: Kind, value: f64) -> Result<Tensor, TorchError> {
        let tensor = self.filled(shape, kind, Init::Constant(value))?;
        Ok(self.weights.push(self.name(name), tensor, Role::Buffer))
    }

    fn filled(&self, shape: &[i64], kind: Kind, init: Init) -> Result<Tensor, TorchError> {
        // Filled on the CPU, so a seed gives the same weights on every device.
        let mut tensor = Tensor::f_empty(shape, (kind, Device::Cpu))?;
        let _ = match init {
            Init::Constant(value) => tensor.f_fill_(value)?,
            Init::Normal { std } => tensor.f_normal_(0.0, std)?,
            Init::Uniform { bound } => tensor.f_uniform_(-bound, bound)?,
        };
        Ok(tensor.f_to(self.weights.device)?)
    }

    fn name(&self, name: impl std::fmt::Display) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}
