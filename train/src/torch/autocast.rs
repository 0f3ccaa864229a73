//! Mixed precision: inside [`Autocast`] libtorch runs matrix products and convolutions in a narrower type. tch's own
//! autocast knows only CUDA and fp16.

use tch::{Device, Kind};

use super::{TorchError, ffi};

/// Autocast from its creation to its drop, on this thread. Guards nest: the end of one puts back what was before it.
#[derive(Debug)]
pub struct Autocast {
    /// What autocast was before. The raw pointer keeps the guard on its thread.
    before: *mut libc::c_void,
}

/// libtorch's number of a device type.
pub(super) fn device_type(device: Device) -> libc::c_int {
    match device {
        Device::Cuda(_) => 1,
        Device::Mps => 13,
        Device::Vulkan => 10,
        Device::Cpu => 0,
    }
}

impl Autocast {
    /// Begins autocasting to `kind` ([`Kind::BFloat16`] or [`Kind::Half`]).
    ///
    /// # Errors
    /// When the device has no autocast.
    pub fn begin(device: Device, kind: Kind) -> Result<Self, TorchError> {
        let device = device_type(device);
        let dtype = super::scalar_type(kind)?;
        // SAFETY: plain numbers; the handle is freed by Drop.
        let before = unsafe { ffi::pm_autocast_begin(device, dtype) };
        if before.is_null() { Err(super::last_error()) } else { Ok(Self { before }) }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: made by the shim on this thread, ended once. Putting back what was there cannot fail.
        let _ = unsafe { ffi::pm_autocast_end(self.before) };
    }
}
