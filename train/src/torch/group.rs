//! Process groups: the ranks of a data-parallel run, over Gloo on the CPU and NCCL on GPUs.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libc::c_void;
use tch::Tensor;

use super::{TorchError, check, ffi, last_error, length, raw, raw_all};

/// Where the ranks of a run meet: c10d's TCP store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// Host of rank 0 (`MASTER_ADDR`).
    pub host: String,
    /// Its port (`MASTER_PORT`).
    pub port: u16,
    /// This process, 0 to `world` - 1.
    pub rank: usize,
    /// Number of processes.
    pub world: usize,
    /// Set when torchrun hosts the store itself: its restart count, which prefixes the keys.
    pub agent_attempt: Option<String>,
    /// How long to wait for the others, at start and in every collective.
    pub timeout: Duration,
}

/// How values of the ranks become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Reduce {
    fn code(self) -> libc::c_int {
        // c10d::ReduceOp::RedOpType
        match self {
            Self::Sum => 0,
            Self::Min => 3,
            Self::Max => 4,
        }
    }
}

/// The place where the ranks meet, connected: a few short values by name that every rank can set and read.
#[derive(Debug)]
pub struct Store {
    store: *mut c_void,
    rendezvous: Rendezvous,
}

// SAFETY: the handle is a reference-counted C++ object without thread affinity.
unsafe impl Send for Store {}

impl Store {
    /// Longest value that [`Store::get`] reads.
    const MAX_VALUE: usize = 512;

    /// Connects; returns when all ranks are there.
    ///
    /// # Errors
    /// When the others do not come in time or the address cannot be used.
    pub fn connect(rendezvous: &Rendezvous) -> Result<Self, TorchError> {
        let (rank, world, timeout_ms) = numbers(rendezvous)?;
        let host = text(&rendezvous.host)?;
        let attempt = text(rendezvous.agent_attempt.as_deref().unwrap_or(""))?;
        let agent = rendezvous.agent_attempt.is_some().into();
        let port = rendezvous.port.into();
        // SAFETY: strings live for the call; the handle is freed by Drop.
        let store = unsafe {
            ffi::pm_store_new(host.as_ptr(), port, rank, world, agent, attempt.as_ptr(), timeout_ms)
        };
        if store.is_null() { Err(last_error()) } else { Ok(Self { store, rendezvous: rendezvous.clone() }) }
    }

    /// Where it is and who this process is.
    pub fn rendezvous(&self) -> &Rendezvous {
        &self.rendezvous
    }

    /// Sets a value for all ranks.
    ///
    /// # Errors
    /// When the store is gone.
    pub fn set(&self, key: &str, value: &str) -> Result<(), TorchError> {
        let (key, value) = (text(key)?, text(value)?);
        // SAFETY: a live store; strings live for the call.
        check(unsafe { ffi::pm_store_set(self.store, key.as_ptr(), value.as_ptr()) }).map(drop)
    }

    /// A value that some rank sets; waits for it.
    ///
    /// # Errors
    /// When it does not come in time, or the store is gone.
    pub fn get(&self, key: &str) -> Result<String, TorchError> {
        let key = text(key)?;
        let mut value = [0u8; Self::MAX_VALUE];
        // SAFETY: a live store; at most as many bytes as the buffer has are written.
        let length = unsafe {
            ffi::pm_store_get(self.store, key.as_ptr(), value.as_mut_ptr().cast(), Self::MAX_VALUE as i64)
        };
        let length = usize::try_from(length).map_err(|_| last_error())?;
        Ok(String::from_utf8_lossy(&value[..length.min(Self::MAX_VALUE)]).into_owned())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once; groups hold references of their own.
        unsafe { ffi::pm_store_free(self.store) }
    }
}

/// A handle to a [`Group`] for a thread that ends its collectives when a rank is lost.
#[derive(Debug)]
pub struct Aborter {
    group: *mut c_void,
    ended: Arc<AtomicBool>,
}

// SAFETY: the handle is a reference-counted C++ object without thread affinity; aborting is for other threads.
unsafe impl Send for Aborter {}

impl Aborter {
    /// Ends the collectives that are waiting, where the backend can (NCCL); Gloo notices a lost rank by itself.
    pub fn abort(&self) {
        self.ended.store(true, Ordering::Release);
        // SAFETY: a live handle. A failure leaves what was to be ended.
        let _ = unsafe { ffi::pm_group_abort(self.group) };
    }
}

impl Drop for Aborter {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { ffi::pm_group_free(self.group) }
    }
}

/// The ranks of a run, connected. Collectives must be called by all of them in the same order.
#[derive(Debug)]
pub struct Group {
    group: *mut c_void,
    rank: usize,
    world: usize,
    /// Shut down or aborted already.
    ended: Arc<AtomicBool>,
}

// SAFETY: the handle is a reference-counted C++ object without thread affinity.
unsafe impl Send for Group {}

impl Group {
    /// Connects over Gloo; returns when all ranks are there.
    ///
    /// # Errors
    /// When the others do not come in time.
    pub fn gloo(store: &Store) -> Result<Self, TorchError> {
        let (rank, world, timeout_ms) = numbers(&store.rendezvous)?;
        // SAFETY: a live store.
        let group = unsafe { ffi::pm_group_gloo(store.store, rank, world, timeout_ms) };
        if group.is_null() { Err(last_error()) } else { Ok(Self::of(group, store)) }
    }

    /// Connects over NCCL, each rank with the CUDA device `index` of its machine, to which it is bound.
    ///
    /// # Errors
    /// As [`Group::gloo`], and when this binary was built without CUDA's headers.
    pub fn nccl(store: &Store, index: usize) -> Result<Self, TorchError> {
        type Connect = extern "C" fn(*mut c_void, libc::c_int, libc::c_int, libc::c_int, i64) -> *mut c_void;
        let half = super::cuda::load_half()?;
        let function = half.function(c"pmc_group_nccl")?;
        let (rank, world, timeout_ms) = numbers(&store.rendezvous)?;
        // SAFETY: declared so in shim/cuda.cpp.
        let connect: Connect = unsafe { std::mem::transmute(function.as_ptr()) };
        let group = connect(store.store, rank, world, length(index)?, timeout_ms);
        if group.is_null() { Err(half.last_error()) } else { Ok(Self::of(group, store)) }
    }

    fn of(group: *mut c_void, store: &Store) -> Self {
        let Rendezvous { rank, world, .. } = store.rendezvous;
        Self { group, rank, world, ended: Arc::default() }
    }

    /// A handle with which another thread can end what waits for a lost rank.
    pub fn aborter(&self) -> Aborter {
        // SAFETY: a live group; the new handle is freed by its Drop.
        Aborter { group: unsafe { ffi::pm_group_share(self.group) }, ended: Arc::clone(&self.ended) }
    }

    /// This process.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of processes.
    pub fn world(&self) -> usize {
        self.world
    }

    /// Replaces `tensor` on every rank by the reduction over all.
    ///
    /// # Errors
    /// When a rank is lost or shapes differ.
    pub fn all_reduce(&self, tensor: &Tensor, reduce: Reduce) -> Result<(), TorchError> {
        self.begin_all_reduce(tensor, reduce)?.wait()
    }

    /// Begins [`Group::all_reduce`] and returns at once; the tensor must be left alone until the end of the work.
    ///
    /// # Errors
    /// When a rank is lost or shapes differ.
    pub fn begin_all_reduce(&self, tensor: &Tensor, reduce: Reduce) -> Result<Work, TorchError> {
        // SAFETY: a live group and tensor; the work holds its own reference to the tensor's memory.
        let work = unsafe { ffi::pm_all_reduce(self.group, raw(tensor), reduce.code()) };
        if work.is_null() { Err(last_error()) } else { Ok(Work(work)) }
    }

    /// The tensors of all ranks, by rank.
    ///
    /// # Errors
    /// When a rank is lost or shapes differ.
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, TorchError> {
        let outputs: Vec<_> =
            (0..self.world).map(|_| tensor.f_empty_like()).collect::<Result<_, tch::TchError>>()?;
        let list = raw_all(&outputs);
        // SAFETY: live tensors; the outputs are written.
        check(unsafe { ffi::pm_all_gather(self.group, list.as_ptr(), length(list.len())?, raw(tensor)) })?;
        Ok(outputs)
    }

    /// Replaces `tensor` on every rank by that of `root`.
    ///
    /// # Errors
    /// When a rank is lost or `root` is none.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), TorchError> {
        // SAFETY: a live group and tensor.
        check(unsafe { ffi::pm_broadcast(self.group, raw(tensor), length(root)?) }).map(drop)
    }

    /// The orderly end, when every rank has come through all collectives. A group that is dropped without it is
    /// aborted, since a rank that fails must not wait for the others.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn shutdown(&self) -> Result<(), TorchError> {
        self.ended.store(true, Ordering::Release);
        // SAFETY: a live group.
        check(unsafe { ffi::pm_group_shutdown(self.group) }).map(drop)
    }

    /// Returns when every rank has called it.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn barrier(&self) -> Result<(), TorchError> {
        // SAFETY: a live group.
        check(unsafe { ffi::pm_barrier(self.group) }).map(drop)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once. A failure to abort has nobody to tell it to.
        unsafe {
            if !self.ended.load(Ordering::Acquire) {
                let _ = ffi::pm_group_abort(self.group);
            }
            ffi::pm_group_free(self.group);
        }
    }
}

fn text(text: &str) -> Result<CString, TorchError> {
    CString::new(text).map_err(|_| TorchError(format!("a zero byte in {text:?}")))
}

fn numbers(rendezvous: &Rendezvous) -> Result<(libc::c_int, libc::c_int, i64), TorchError> {
    let timeout_ms = i64::try_from(rendezvous.timeout.as_millis()).unwrap_or(i64::MAX);
    Ok((length(rendezvous.rank)?, length(rendezvous.world)?, timeout_ms))
}

/// A collective on its way.
#[derive(Debug)]
pub struct Work(*mut c_void);

impl Work {
    /// Blocks until it is done.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn wait(self) -> Result<(), TorchError> {
        // SAFETY: a live handle.
        check(unsafe { ffi::pm_work_wait(self.0) }).map(drop)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { ffi::pm_work_free(self.0) }
    }
}

/// Averages gradients over the ranks while backward still runs: a parameter's gradient travels as soon as its bucket
/// is full.
#[derive(Debug)]
pub struct Buckets {
    buckets: *mut c_void,
}

// SAFETY: a reference-counted C++ object whose state is behind a mutex.
unsafe impl Send for Buckets {}

impl Buckets {
    /// Watches `params` (leaves that require gradients, the same on every rank), in buckets of about `bytes`.
    ///
    /// # Errors
    /// When a tensor is not a leaf or is frozen.
    pub fn new(group: &Group, params: &[Tensor], bytes: usize) -> Result<Self, TorchError> {
        let list = raw_all(params);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        // SAFETY: live tensors and group, both of which the C++ side keeps alive by reference counts of its own.
        let buckets = unsafe {
            ffi::pm_buckets_new(group.group, length(group.world)?, list.as_ptr(), length(list.len())?, bytes)
        };
        if buckets.is_null() { Err(last_error()) } else { Ok(Self { buckets }) }
    }

    /// The next backward pass is the last of its step: its gradients travel.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn arm(&self) -> Result<(), TorchError> {
        // SAFETY: a live handle.
        check(unsafe { ffi::pm_buckets_arm(self.buckets) }).map(drop)
    }

    /// Waits until every gradient is the mean over the ranks.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn finish(&self) -> Result<(), TorchError> {
        // SAFETY: a live handle; the gradients of the parameters are written.
        check(unsafe { ffi::pm_buckets_finish(self.buckets) }).map(drop)
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once; hooks that outlive it hold only weak references.
        unsafe { ffi::pm_buckets_free(self.buckets) }
    }
}
