//! Gradient checkpointing: a part of a model whose inner results are thrown away and computed again in backward. Time
//! for memory: one more forward pass, and only the part's input is kept.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{c_int, c_void};
use tch::Tensor;
use torch_sys::C_tensor;

use super::{TorchError, ffi, length, own, raw, raw_all};

/// Whether a part is computed for the first time or again, in backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// For its output.
    First,
    /// For the gradients; what the first pass left behind (running statistics) must not be left twice.
    Again,
}

type Part = Box<dyn Fn(&Tensor, Pass) -> Result<Tensor, TorchError> + Send>;

/// `part` of `input`, keeping nothing of it for backward but `input`. `parameters` are the leaves that `part` uses:
/// those not listed get no gradient. In backward `part` runs again, on libtorch's thread, under the autocast of now.
/// It must return a fresh tensor and give the same values both times.
///
/// # Errors
/// Those of `part`; in backward they are the backward's.
pub fn recomputed(
    input: &Tensor,
    parameters: &[Tensor],
    part: impl Fn(&Tensor, Pass) -> Result<Tensor, TorchError> + Send + 'static,
) -> Result<Tensor, TorchError> {
    let list = raw_all(parameters);
    let n = length(list.len())?;
    let part: Part = Box::new(part);
    let context = Box::into_raw(Box::new(part)).cast::<c_void>();
    // SAFETY: n + 1 live tensors; the shim calls `run` with the context until it calls `drop_part` once, also when it
    // fails; returns an owned tensor.
    own(unsafe { ffi::pm_recomputed(raw(input), list.as_ptr(), n, context, run, drop_part) })
}

extern "C" fn run(context: *mut c_void, input: *mut C_tensor, again: c_int) -> *mut C_tensor {
    // SAFETY: the context is the box of `recomputed`, alive until `drop_part`; the shim gives up the input.
    let (part, input) = unsafe { (&*context.cast::<Part>(), own(input)) };
    let pass = if again == 0 { Pass::First } else { Pass::Again };
    // A panic must not cross into C++.
    let output = catch_unwind(AssertUnwindSafe(|| part(&input?, pass)))
        .unwrap_or_else(|_| Err(TorchError("a recomputed part panicked".to_string())));
    match output {
        Ok(tensor) => {
            let pointer = raw(&tensor);
            std::mem::forget(tensor);
            pointer
        }
        Err(TorchError(message)) => {
            let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
            // SAFETY: the string lives for the call, which copies it.
            unsafe { ffi::pm_fail(message.as_ptr()) };
            std::ptr::null_mut()
        }
    }
}

extern "C" fn drop_part(context: *mut c_void) {
    // SAFETY: made by Box::into_raw in `recomputed`, dropped once.
    drop(unsafe { Box::from_raw(context.cast::<Part>()) });
}
