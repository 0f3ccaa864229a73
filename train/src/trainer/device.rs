//! The device of this process, or one line why not.

use tch::Device;

use crate::config::DeviceName;
use crate::error::TrainError;
use crate::launch::Launch;
use crate::torch::cuda::{self, Cuda};

/// The device that `name` means for the process of `launch`: on a machine of several GPUs the one of its local rank.
///
/// # Errors
/// When CUDA is asked for and not to be had.
pub fn choose(name: DeviceName, launch: &Launch) -> Result<Device, TrainError> {
    let index = launch.local_rank;
    let why = match (name, cuda::load()) {
        (DeviceName::Cpu, _) => return Ok(Device::Cpu),
        (_, Cuda::Loaded) if tch::Cuda::device_count() > index as i64 => return Ok(Device::Cuda(index)),
        (DeviceName::Auto, _) => return Ok(Device::Cpu),
        (DeviceName::Cuda, Cuda::Loaded) => match tch::Cuda::device_count() {
            0 => "libtorch finds no GPU (is the driver there, and CUDA_VISIBLE_DEVICES right?)".to_string(),
            count => format!("there are {count} GPUs, numbered from 0"),
        },
        (DeviceName::Cuda, Cuda::Absent) => "this libtorch has no CUDA library beside it".to_string(),
        (DeviceName::Cuda, Cuda::Unusable(why)) => {
            format!("{why}; install all of PyTorch 2.11.0 and point LD_LIBRARY_PATH at its torch/lib")
        }
    };
    Err(TrainError::NoCuda { index, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_only_when_asked_for() {
        let far = Launch { local_rank: 99, ..Launch::single() };
        assert_eq!(choose(DeviceName::Auto, &far).unwrap(), Device::Cpu);
        let error = choose(DeviceName::Cuda, &far).unwrap_err();
        assert!(error.is_bad_input());
        let message = error.to_string();
        assert!(message.starts_with("no CUDA device 99: ") && !message.contains('\n'), "{message}");
    }
}
