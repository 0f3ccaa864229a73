//! Memory formats, which tch does not name: images go to the device as NHWC bytes and stay channels-last there.

use tch::Tensor;

use super::{TorchError, check, ffi, own, raw};

const CONTIGUOUS: libc::c_int = 0;
const CHANNELS_LAST: libc::c_int = 2;

/// The same N×C×H×W values laid out N, H, W, C in memory; a copy unless they already are.
///
/// # Errors
/// When the tensor is not four-dimensional or memory runs out.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor, TorchError> {
    // SAFETY: reads a live tensor, returns an owned one.
    own(unsafe { ffi::pm_contiguous(raw(tensor), CHANNELS_LAST) })
}

/// The same values in row-major order.
///
/// # Errors
/// When memory runs out.
pub fn contiguous(tensor: &Tensor) -> Result<Tensor, TorchError> {
    // SAFETY: reads a live tensor, returns an owned one.
    own(unsafe { ffi::pm_contiguous(raw(tensor), CONTIGUOUS) })
}

/// Whether memory order is N, H, W, C.
///
/// # Errors
/// When libtorch cannot say.
pub fn is_channels_last(tensor: &Tensor) -> Result<bool, TorchError> {
    // SAFETY: reads a live tensor.
    check(unsafe { ffi::pm_is_contiguous(raw(tensor), CHANNELS_LAST) }).map(|yes| yes == 1)
}
