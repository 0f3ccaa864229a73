//! Mixed precision: inside [`Autocast`] libtorch runs matrix products and convolutions in a narrower type. tch's own
//! autocast knows only CUDA and fp16.

use tch::{Device, Kind};

use super::{TorchError, check, ffi};

/// Autocast from its creation to its drop, on this thread. Guards nest.
#[derive(Debug)]
pub struct Autocast {
    device: libc::c_int,
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
        // SAFETY: plain numbers.
        check(unsafe { ffi::pm_autocast(device, 1, dtype) })?;
        Ok(Self { device })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: plain numbers. Disabling what was enabled cannot fail.
        let _ = unsafe { ffi::pm_autocast(self.device, 0, -1) };
    }
}
