//! Device memory, and host memory that the device can read by itself.

use tch::{Device, Kind, Tensor};

use super::{TorchError, check, ffi, own};

/// An uninitialised host tensor in pinned memory, from which copies to the device need no CPU. Only with CUDA loaded.
///
/// # Errors
/// Without CUDA, or when memory runs out.
pub fn empty_pinned(shape: &[i64], kind: Kind) -> Result<Tensor, TorchError> {
    let n = super::length(shape.len())?;
    let dtype = super::scalar_type(kind)?;
    // SAFETY: the shape is borrowed for the call; returns an owned tensor.
    own(unsafe { ffi::pm_empty_pinned(shape.as_ptr(), n, dtype) })
}

/// Gives cached blocks of device memory back to the driver.
///
/// # Errors
/// When the driver refuses.
pub fn empty_cache() -> Result<(), TorchError> {
    // SAFETY: no arguments.
    check(unsafe { ffi::pm_empty_cache() }).map(drop)
}

/// Most bytes that tensors held on the device at once; `None` on the CPU or without an allocator that counts.
pub fn peak_bytes(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    // SAFETY: a plain number.
    u64::try_from(unsafe { ffi::pm_peak_bytes(libc::c_int::try_from(index).ok()?) }).ok()
}
