//! Process-wide switches of libtorch: threads, seeds, TF32, cuDNN.

use serde::{Deserialize, Serialize};

use super::{TorchError, check, ffi};

/// Switches that trade exactness for speed. They hold for the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flags {
    /// Matrix products and convolutions of f32 on CUDA in TF32 (10 bits of mantissa).
    pub tf32: bool,
    /// cuDNN tries its algorithms on the first batch of each shape and keeps the fastest.
    pub cudnn_benchmark: bool,
    /// Only algorithms that give the same bits every time, where libtorch has them.
    pub deterministic: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { tf32: true, cudnn_benchmark: true, deterministic: false }
    }
}

impl Flags {
    /// Sets them for the process.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn apply(self) -> Result<(), TorchError> {
        let (benchmark, tf32, deterministic) =
            (self.cudnn_benchmark.into(), self.tf32.into(), self.deterministic.into());
        // SAFETY: plain numbers.
        check(unsafe { ffi::pm_set_flags(benchmark, tf32, deterministic) }).map(drop)
    }
}
