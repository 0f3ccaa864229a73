//! libtorch's random numbers: seed them, keep their state in a checkpoint.

use pairmill_shards::random::SplitMix64;
use tch::{Device, Kind, Tensor};

use super::autocast::device_type;
use super::{TorchError, check, ffi, length, own, raw};

/// Seeds the generators of every device.
///
/// libtorch's CPU generator looks at the lower 32 bits alone, so a larger seed is mixed first: two seeds that differ in
/// their upper half only give other numbers too. Seeds below 2³² are libtorch's own.
pub fn seed(seed: u64) {
    let is_small = seed <= u64::from(u32::MAX);
    let seed = if is_small { seed } else { SplitMix64::new(seed).next_u64() };
    tch::manual_seed(seed.cast_signed());
}

/// State of the default generator of `device`, a tensor of u8 on the CPU: 5,056 bytes for the CPU's, 16 for CUDA's.
///
/// # Errors
/// When libtorch has no such device or generator.
pub fn state(device: Device) -> Result<Tensor, TorchError> {
    let (kind, index) = numbers(device)?;
    // SAFETY: plain numbers; returns an owned tensor.
    own(unsafe { ffi::pm_rng_state(kind, index) })
}

/// Puts the generator of `device` where [`state`] found it.
///
/// # Errors
/// When the tensor is no state of such a generator.
pub fn set_state(device: Device, state: &Tensor) -> Result<(), TorchError> {
    if state.kind() != Kind::Uint8 {
        return Err(TorchError(format!("a generator state holds bytes, not {:?}", state.kind())));
    }
    let (kind, index) = numbers(device)?;
    // SAFETY: plain numbers and a live tensor, which is read.
    check(unsafe { ffi::pm_set_rng_state(kind, index, raw(state)) }).map(drop)
}

/// libtorch's device type and index.
fn numbers(device: Device) -> Result<(libc::c_int, libc::c_int), TorchError> {
    let index = match device {
        Device::Cuda(index) => length(index)?,
        _ => 0,
    };
    Ok((device_type(device), index))
}
