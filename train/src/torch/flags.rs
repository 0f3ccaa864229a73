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
    /// cuDNN's attention on CUDA. Off by default: PyTorch 2.11 prefers it on H100 and H200, where a backward pass with
    /// a mask has given NaN gradients (pytorch#196678), and each new length of captions costs it tens of milliseconds.
    /// Flash and memory-efficient attention stay.
    pub cudnn_attention: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { tf32: true, cudnn_benchmark: true, deterministic: false, cudnn_attention: false }
    }
}

impl Flags {
    /// Sets them for the process.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn apply(self) -> Result<(), TorchError> {
        let number = |flag: bool| libc::c_int::from(flag);
        // SAFETY: plain numbers.
        check(unsafe {
            ffi::pm_set_flags(
                number(self.cudnn_benchmark),
                number(self.tf32),
                number(self.deterministic),
                number(self.cudnn_attention),
            )
        })
        .map(drop)
    }

    /// Those of the process now.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn current() -> Result<Self, TorchError> {
        // SAFETY: no arguments.
        let bits = check(unsafe { ffi::pm_flags() })?;
        let bit = |number: u32| bits >> number & 1 == 1;
        Ok(Self { cudnn_benchmark: bit(0), tf32: bit(1), deterministic: bit(2), cudnn_attention: bit(3) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t12_cudnn_attention_is_off_unless_asked_for() {
        let before = Flags::current().unwrap();
        Flags::default().apply().unwrap();
        assert_eq!(Flags::current().unwrap(), Flags::default());
        assert!(!Flags::current().unwrap().cudnn_attention);
        let asked: Flags = toml::from_str("cudnn_attention = true\ntf32 = false").unwrap();
        asked.apply().unwrap();
        let found = Flags::current().unwrap();
        before.apply().unwrap();
        assert!(found.cudnn_attention && !found.tf32 && found.cudnn_benchmark, "{found:?}");
    }
}
