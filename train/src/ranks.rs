//! The processes of a run as one: collectives that are nothing at all when there is one process. Gathering and reducing
//! live here, so the objective and the evaluation are written once for any number of ranks.

use tch::{Device, Kind, Tensor};

use crate::launch::Launch;
use crate::objective::features::Exchange;
use crate::torch::TorchError;
use crate::torch::group::{Buckets, Group, Reduce};
use crate::torch::layout::contiguous;
use crate::weights::Weights;

/// Gradients travel in pieces of about this many bytes, as PyTorch's DDP sends them.
pub const BUCKET_BYTES: usize = 25 << 20;

/// This process, and the others if there are any.
#[derive(Debug)]
pub struct Ranks {
    rank: usize,
    world: usize,
    group: Option<Group>,
}

impl Ranks {
    /// Connects to the others; returns when all are there.
    ///
    /// # Errors
    /// When they do not come in time.
    pub fn connect(launch: &Launch, device: Device) -> Result<Self, TorchError> {
        let group = match (&launch.rendezvous, device) {
            (None, _) => None,
            (Some(meeting), Device::Cuda(index)) => Some(Group::nccl(meeting, index)?),
            (Some(meeting), _) => Some(Group::gloo(meeting)?),
        };
        Ok(Self { rank: launch.rank, world: launch.world, group })
    }

    /// One process.
    pub fn single() -> Self {
        Self { rank: 0, world: 1, group: None }
    }

    /// This process, 0 to `world` - 1.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Whether this process writes logs and checkpoints.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Sums numbers over all ranks.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn sum_numbers(&self, numbers: &mut [f64], device: Device) -> Result<(), TorchError> {
        if self.group.is_none() {
            return Ok(());
        }
        let tensor = Tensor::f_from_slice(numbers)?.f_to_device(device)?;
        Exchange::sum(self, &tensor)?;
        tensor.f_to_device(Device::Cpu)?.f_copy_data(numbers, numbers.len())?;
        Ok(())
    }

    /// Whether any rank says yes.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn any(&self, yes: bool, device: Device) -> Result<bool, TorchError> {
        let mut votes = [f64::from(u8::from(yes))];
        self.sum_numbers(&mut votes, device)?;
        Ok(votes[0] > 0.0)
    }

    /// Gives every rank the tensors of rank 0.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn share(&self, weights: &Weights) -> Result<(), TorchError> {
        if let Some(group) = &self.group {
            for weight in weights.all() {
                tch::no_grad(|| group.broadcast(&weight.tensor, 0))?;
            }
        }
        Ok(())
    }

    /// Returns when every rank is here.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn wait(&self) -> Result<(), TorchError> {
        self.group.as_ref().map_or(Ok(()), Group::barrier)
    }

    /// Averages gradients of `params` over the ranks while backward runs; `None` for one process.
    ///
    /// # Errors
    /// When a tensor is no leaf.
    pub fn buckets(&self, params: &[Tensor]) -> Result<Option<Buckets>, TorchError> {
        self.group.as_ref().map(|group| Buckets::new(group, params, BUCKET_BYTES)).transpose()
    }
}

impl Exchange for Ranks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn gather(&self, local: &Tensor) -> Result<Tensor, TorchError> {
        match &self.group {
            Some(group) => Ok(Tensor::f_cat(&group.all_gather(&contiguous(local)?)?, 0)?),
            None => Ok(local.shallow_clone()),
        }
    }

    fn sum(&self, tensor: &Tensor) -> Result<(), TorchError> {
        self.group.as_ref().map_or(Ok(()), |group| group.all_reduce(tensor, Reduce::Sum))
    }
}

/// A scalar as a number; waits for the device.
pub fn number(tensor: &Tensor) -> Result<f64, TorchError> {
    Ok(tensor.f_to_kind(Kind::Double)?.f_double_value(&[])?)
}
