//! Device memory, and host memory that the device can read by itself.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::stream::{Event, Stream};
use super::{TorchError, check, ffi, own};

/// An uninitialised host tensor in pinned memory, from which copies to the device need no CPU. Only with CUDA loaded.
///
/// # Errors
/// Without CUDA, or when memory runs out.
pub fn empty_pinned(shape: &[i64], kind: Kind) -> Result<Tensor, TorchError> {
    let n = super::length(shape.len())?;
    let dtype = super::scalar_type(kind)?;
    // SAFETY: the shape is borrowed for the call; returns an owned tensor.
    own(unsafe { ffi::pm_empty_pinned(shape.as_ptr(), n, dtype) })
}

/// A copy of a host tensor on `device`, by way of pinned memory, so that the calling thread does not wait for the copy
/// or for what is queued before it. On the CPU the tensor itself.
///
/// # Errors
/// When memory runs out.
pub fn to_device(host: &Tensor, device: Device) -> Result<Tensor, TorchError> {
    if !device.is_cuda() {
        return Ok(host.f_to_device(device)?);
    }
    // The allocator of pinned memory reuses it only when the copy is done.
    let mut pinned = empty_pinned(&host.size(), host.kind())?;
    pinned.f_copy_(host)?;
    Ok(pinned.f_to_device_(device, host.kind(), /* non_blocking */ true, /* copy */ true)?)
}

/// Numbers on their way from the device: taken with what the stream holds now, read later.
#[derive(Debug)]
pub struct Readback {
    host: Tensor,
    arrived: Option<Event>,
}

impl Readback {
    /// Queues the copy of `numbers` (any shape, read as f64) and returns at once.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn begin(numbers: &Tensor) -> Result<Self, TorchError> {
        let numbers = numbers.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
        let device = numbers.device();
        if !device.is_cuda() {
            return Ok(Self { host: numbers, arrived: None });
        }
        // A copy that nobody waits for lands in pinned memory by itself.
        let host = numbers.f_to_device_(
            Device::Cpu,
            Kind::Double,
            /* non_blocking */ true,
            /* copy */ true,
        )?;
        let mut arrived = Event::new(device, false)?;
        arrived.record(&Stream::current(device)?)?;
        Ok(Self { host, arrived: Some(arrived) })
    }

    /// Whether [`Readback::wait`] has nothing to wait for, as on the CPU.
    pub fn is_here(&self) -> bool {
        self.arrived.is_none()
    }

    /// The numbers.
    ///
    /// # Errors
    /// An error of any kernel before them.
    pub fn wait(self) -> Result<Vec<f64>, TorchError> {
        if let Some(arrived) = &self.arrived {
            arrived.synchronize()?;
        }
        Ok(Vec::try_from(&self.host)?)
    }
}

/// Gives cached blocks of device memory back to the driver.
///
/// # Errors
/// When the driver refuses.
pub fn empty_cache() -> Result<(), TorchError> {
    // SAFETY: no arguments.
    check(unsafe { ffi::pm_empty_cache() }).map(drop)
}

/// Most bytes that tensors held on the device at once; `None` on the CPU or without an allocator that counts.
pub fn peak_bytes(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    // SAFETY: a plain number.
    u64::try_from(unsafe { ffi::pm_peak_bytes(libc::c_int::try_from(index).ok()?) }).ok()
}

/// What libtorch, CUDA and its libraries say when memory runs out, in lower case. Errors come over as text only.
const OUT_OF_MEMORY: [&str; 5] =
    ["out of memory", "defaultcpuallocator", "cannot allocate memory", "_status_alloc_failed", "bad_alloc"];
/// What stands before the size that was asked for, in lower case; the CPU's and CUDA's allocator agree.
const ASKED_FOR: &str = "tried to allocate ";

/// An allocation that failed, as its message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAllocation {
    /// Whether it was the GPU's memory.
    pub on_gpu: bool,
    /// What was asked for, such as `2.00 GiB`; libraries of CUDA's do not say.
    pub size: Option<String>,
}

impl FailedAllocation {
    /// The allocation behind a message; `None` for any other error.
    pub fn of(message: &str) -> Option<Self> {
        let lower = message.to_ascii_lowercase();
        if !OUT_OF_MEMORY.iter().any(|words| lower.contains(words)) {
            return None;
        }
        let size = lower.find(ASKED_FOR).and_then(|at| {
            let rest = message.get(at + ASKED_FOR.len()..)?;
            let end = rest.find(". ").unwrap_or(rest.len());
            Some(rest.get(..end)?.trim_end_matches('.').to_string())
        });
        Some(Self { on_gpu: ["cuda", "cublas", "cudnn", "nccl"].iter().any(|l| lower.contains(l)), size })
    }
}

/// Bytes in host memory that are a tensor too, so that what the loader fills goes to the device without another copy
/// in between; pinned where the device can then read them by itself.
#[derive(Debug)]
pub struct HostBytes {
    owner: Arc<Owner>,
}

/// The memory behind a [`HostBytes`] and its slots.
#[derive(Debug)]
struct Owner {
    tensor: Tensor,
    start: *mut u8,
    len: usize,
}

// SAFETY: plain memory without thread affinity; who may touch which part is decided by HostBytes and HostSlot.
unsafe impl Send for Owner {}
// SAFETY: as above; a shared Owner is only ever used to keep the memory alive.
unsafe impl Sync for Owner {}

/// One part of a [`HostBytes`], for one writer.
#[derive(Debug)]
pub struct HostSlot {
    owner: Arc<Owner>,
    offset: usize,
    len: usize,
}

impl HostBytes {
    /// `len` zeros; pinned memory for a CUDA `device`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(len: usize, device: Device) -> Result<Self, TorchError> {
        let size = i64::try_from(len).map_err(|_| TorchError(format!("{len} bytes are too many")))?;
        let mut tensor = match device {
            Device::Cuda(_) => empty_pinned(&[size], Kind::Uint8)?,
            _ => Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?,
        };
        let _ = tensor.f_zero_()?;
        let start = tensor.data_ptr().cast();
        Ok(Self { owner: Arc::new(Owner { tensor, start, len }) })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.owner.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.owner.len == 0
    }

    /// A copy on `device` of the first bytes, as a tensor of `shape`. On CUDA the copy is queued on the current stream
    /// and the bytes must be left alone until it is done.
    ///
    /// # Errors
    /// When `shape` needs more bytes than there are, or memory runs out.
    pub fn copy_to(&self, shape: &[i64], device: Device) -> Result<Tensor, TorchError> {
        let numel = shape.iter().product();
        let view = self.owner.tensor.f_narrow(0, 0, numel)?.f_view(shape)?;
        Ok(view.f_to_device_(device, Kind::Uint8, /* non_blocking */ true, /* copy */ true)?)
    }

    /// Cuts the memory from its start into `count` slots of `bytes` each; what does not fit is in none of them.
    pub fn split(self, count: usize, bytes: usize) -> Vec<HostSlot> {
        let fitting = self.owner.len.checked_div(bytes).unwrap_or(0);
        (0..count.min(fitting))
            .map(|i| HostSlot { owner: Arc::clone(&self.owner), offset: i * bytes, len: bytes })
            .collect()
    }

    /// The memory that slots were cut from, once all of them are back. While one is still elsewhere (its writer could
    /// write) and without slots, it is an empty one.
    pub fn join(slots: Vec<HostSlot>) -> Self {
        let owner = slots.first().map(|slot| Arc::clone(&slot.owner));
        drop(slots);
        match owner {
            Some(owner) if Arc::strong_count(&owner) == 1 => Self { owner },
            _ => Self {
                owner: Arc::new(Owner { tensor: Tensor::new(), start: std::ptr::dangling_mut(), len: 0 }),
            },
        }
    }
}

impl AsMut<[u8]> for HostSlot {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `split` consumed the only HostBytes and cut disjoint ranges inside the allocation, which the owner
        // keeps alive; a HostBytes comes back only when no slot is left (`join`), so this range has one writer and no
        // reader. The memory was zeroed when it was made.
        unsafe { std::slice::from_raw_parts_mut(self.owner.start.add(self.offset), self.len) }
    }
}
