//! What the device did and when, for benchmarks: libtorch's own profiler around a few steps.

use std::ffi::CString;
use std::path::Path;

use tch::Device;

use super::{TorchError, check, ffi};

/// Records until [`Profile::save`]. One at a time in a process.
#[derive(Debug)]
pub struct Profile(());

impl Profile {
    /// Begins to record the operators of this thread and the kernels of `device`.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn begin(device: Device) -> Result<Self, TorchError> {
        // SAFETY: a plain number.
        check(unsafe { ffi::pm_profile_begin(device.is_cuda().into()) }).map(|_| Self(()))
    }

    /// Ends and writes a Chrome trace.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn save(self, path: &Path) -> Result<(), TorchError> {
        let text = CString::new(path.to_string_lossy().as_bytes())
            .map_err(|_| TorchError(format!("a zero byte in {}", path.display())))?;
        // SAFETY: a recording was begun; the string lives for the call.
        check(unsafe { ffi::pm_profile_end(text.as_ptr()) }).map(drop)
    }
}
