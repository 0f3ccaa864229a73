//! CUDA streams and events through libtorch's device-generic interface, which needs no CUDA to link.

use libc::c_void;
use tch::{Device, Tensor};

use super::autocast::device_type;
use super::{TorchError, check, ffi, last_error, raw};

fn handle(pointer: *mut c_void) -> Result<*mut c_void, TorchError> {
    if pointer.is_null() { Err(last_error()) } else { Ok(pointer) }
}

fn index_of(device: Device) -> Result<libc::c_int, TorchError> {
    match device {
        Device::Cuda(index) => {
            libc::c_int::try_from(index).map_err(|_| TorchError(format!("no CUDA device {index}")))
        }
        _ => Err(TorchError("streams are CUDA's".into())),
    }
}

/// A queue of work on the device.
#[derive(Debug)]
pub struct Stream(*mut c_void);

// SAFETY: a c10::Stream is a plain id; libtorch lets any thread use any stream.
unsafe impl Send for Stream {}

impl Stream {
    /// A side stream of `device`.
    ///
    /// # Errors
    /// Without CUDA.
    pub fn side(device: Device) -> Result<Self, TorchError> {
        // SAFETY: plain numbers; the handle is freed by Drop.
        handle(unsafe { ffi::pm_stream_from_pool(device_type(device), index_of(device)?) }).map(Self)
    }

    /// The stream that work of this thread goes to now.
    ///
    /// # Errors
    /// Without CUDA.
    pub fn current(device: Device) -> Result<Self, TorchError> {
        // SAFETY: plain numbers; the handle is freed by Drop.
        handle(unsafe { ffi::pm_stream_current(device_type(device), index_of(device)?) }).map(Self)
    }

    /// Work of this thread goes to this stream until the guard is dropped.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn enter(&self) -> Result<Entered<'_>, TorchError> {
        // SAFETY: a live stream; the guard is freed by Drop.
        handle(unsafe { ffi::pm_stream_enter(self.0) }).map(|guard| Entered { guard, _stream: self })
    }

    /// Blocks the calling thread until all work of the stream is done.
    ///
    /// # Errors
    /// An error of any kernel before it.
    pub fn synchronize(&self) -> Result<(), TorchError> {
        // SAFETY: a live stream.
        check(unsafe { ffi::pm_stream_synchronize(self.0) }).map(drop)
    }

    /// Keeps the memory of `tensor` from being reused until this stream is done with it.
    ///
    /// # Errors
    /// When the tensor is not on the stream's device.
    pub fn keeps(&self, tensor: &Tensor) -> Result<(), TorchError> {
        // SAFETY: a live tensor and stream.
        check(unsafe { ffi::pm_record_stream(raw(tensor), self.0) }).map(drop)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { ffi::pm_stream_free(self.0) }
    }
}

/// While it lives, work of this thread goes to the stream.
#[derive(Debug)]
pub struct Entered<'a> {
    guard: *mut c_void,
    _stream: &'a Stream,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // SAFETY: made by the shim on this thread (the raw pointer keeps the type from crossing), freed once.
        unsafe { ffi::pm_stream_leave(self.guard) }
    }
}

/// A mark in a stream that other streams or the host can wait for.
#[derive(Debug)]
pub struct Event(*mut c_void);

// SAFETY: libtorch's events may be recorded, waited for and freed on any thread, one at a time (&mut and &self below
// only pass the handle on).
unsafe impl Send for Event {}

impl Event {
    /// A fresh event; `timing` lets [`Event::ms_until`] measure.
    ///
    /// # Errors
    /// Without CUDA.
    pub fn new(device: Device, timing: bool) -> Result<Self, TorchError> {
        // SAFETY: plain numbers; the handle is freed by Drop.
        handle(unsafe { ffi::pm_event_new(device_type(device), timing.into()) }).map(Self)
    }

    /// Marks the end of what `stream` holds now.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn record(&mut self, stream: &Stream) -> Result<(), TorchError> {
        // SAFETY: live handles.
        check(unsafe { ffi::pm_event_record(self.0, stream.0) }).map(drop)
    }

    /// Makes `stream` wait for the mark; the calling thread goes on.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn block(&self, stream: &Stream) -> Result<(), TorchError> {
        // SAFETY: live handles.
        check(unsafe { ffi::pm_event_block(self.0, stream.0) }).map(drop)
    }

    /// Blocks the calling thread until the mark is reached.
    ///
    /// # Errors
    /// An error of any kernel before it.
    pub fn synchronize(&self) -> Result<(), TorchError> {
        // SAFETY: a live handle.
        check(unsafe { ffi::pm_event_synchronize(self.0) }).map(drop)
    }

    /// Milliseconds from this mark to `later`; both made with timing and reached.
    pub fn ms_until(&self, later: &Self) -> f64 {
        // SAFETY: live handles.
        unsafe { ffi::pm_event_elapsed_ms(self.0, later.0) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { ffi::pm_event_free(self.0) }
    }
}
