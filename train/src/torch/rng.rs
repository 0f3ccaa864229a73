//! libtorch's random numbers: seed them, keep their state in a checkpoint.

use tch::{Kind, Tensor};

use super::{TorchError, check, ffi, own, raw};

/// Seeds the generators of every device.
pub fn seed(seed: i64) {
    tch::manual_seed(seed);
}

/// State of the CPU generator: 5,056 bytes, a tensor of u8.
///
/// # Errors
/// When libtorch refuses.
pub fn state() -> Result<Tensor, TorchError> {
    // SAFETY: returns an owned tensor.
    own(unsafe { ffi::pm_rng_state() })
}

/// Puts the CPU generator where [`state`] found it.
///
/// # Errors
/// When the tensor is no generator state.
pub fn set_state(state: &Tensor) -> Result<(), TorchError> {
    if state.kind() != Kind::Uint8 {
        return Err(TorchError(format!("a generator state holds bytes, not {:?}", state.kind())));
    }
    // SAFETY: reads a live tensor.
    check(unsafe { ffi::pm_set_rng_state(raw(state)) }).map(drop)
}
