//! The fence: the only place in the workspace with `unsafe`, and the only one that talks to libtorch other than
//! through tch's safe tensors. [`ffi`] declares the C++ shim (`shim/`), the modules beside it turn each group of its
//! functions into safe Rust; nothing above this folder sees a raw pointer.
//!
//! Rules that make the shim safe to call, kept by every wrapper here:
//! - a tensor pointer handed over is borrowed for the call and comes from a live [`tch::Tensor`];
//! - a tensor pointer handed back is owned by whoever gets it and becomes a [`tch::Tensor`] at once;
//! - a null pointer or a negative number means failure, with the message in a thread-local on the C++ side;
//! - opaque handles are freed by the `Drop` of the one Rust type that holds them.
#![allow(unsafe_code, reason = "this folder is the fence: foreign functions of libtorch's shim")]

pub mod autocast;
pub mod cuda;
mod ffi;
pub mod flags;
pub mod gradients;
pub mod group;
pub mod layout;
pub mod memory;
pub mod profile;
pub mod recompute;
pub mod rng;
pub mod stream;

use std::ffi::CStr;

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

/// What libtorch said when a call into the shim failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct TorchError(pub String);

impl TorchError {
    /// The first line of a message of tch, which carries the whole C++ stack behind it.
    pub fn from_tch(error: &tch::TchError) -> Self {
        let text = error.to_string();
        Self(text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown error").trim().to_string())
    }
}

impl From<tch::TchError> for TorchError {
    fn from(error: tch::TchError) -> Self {
        Self::from_tch(&error)
    }
}

fn last_error() -> TorchError {
    // SAFETY: the pointer is to a thread-local C++ string that lives until the next failing call on this thread.
    let text = unsafe { CStr::from_ptr(ffi::pm_last_error()) }.to_string_lossy();
    TorchError(text.lines().next().unwrap_or("unknown error").to_string())
}

/// A shim status: negative is failure.
fn check(status: libc::c_int) -> Result<libc::c_int, TorchError> {
    if status < 0 { Err(last_error()) } else { Ok(status) }
}

/// The shim takes tensors as mutable pointers; which of them it writes to is said at each wrapper.
fn raw(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}

fn raw_all<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<*mut C_tensor> {
    tensors.into_iter().map(raw).collect()
}

/// Takes ownership of a tensor the shim made.
fn own(tensor: *mut C_tensor) -> Result<Tensor, TorchError> {
    if tensor.is_null() {
        return Err(last_error());
    }
    // SAFETY: the shim returns a fresh `new Tensor` that nobody else frees.
    Ok(unsafe { Tensor::from_ptr(tensor) })
}

/// Lists are handed over as a pointer and a C `int`.
fn length(n: usize) -> Result<libc::c_int, TorchError> {
    libc::c_int::try_from(n).map_err(|_| TorchError(format!("a list of {n} tensors is too long")))
}

/// c10's number of an element type.
fn scalar_type(kind: Kind) -> Result<libc::c_int, TorchError> {
    match kind {
        Kind::Uint8 => Ok(0),
        Kind::Int => Ok(3),
        Kind::Int64 => Ok(4),
        Kind::Half => Ok(5),
        Kind::Float => Ok(6),
        Kind::Double => Ok(7),
        Kind::BFloat16 => Ok(15),
        other => Err(TorchError(format!("{other:?} is no element type of a training run"))),
    }
}

#[cfg(test)]
mod tests;
