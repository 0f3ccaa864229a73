//! One binary for CPU and GPU: the program links the CPU library only, and loads CUDA's at start when it lies beside
//! it. [`load`] must run before anything asks libtorch about CUDA: the first answer is cached for the process.

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::{TorchError, check, ffi};

/// The CUDA half of the shim, a shared object; empty when it was built without CUDA's headers.
static CUDA_HALF: &[u8] = include_bytes!(env!("PAIRMILL_CUDA_HALF"));

/// All functions of the CUDA half.
pub const FUNCTIONS: [&CStr; 7] = [
    c"pmc_last_error",
    c"pmc_group_nccl",
    c"pmc_graph_new",
    c"pmc_graph_free",
    c"pmc_graph_begin",
    c"pmc_graph_end",
    c"pmc_graph_replay",
];

/// What became of CUDA in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// The library is loaded; whether a device is there, `tch::Cuda` tells.
    Loaded,
    /// This libtorch has no CUDA library, or `PAIRMILL_NO_CUDA` is set.
    Absent,
    /// It has one that cannot be loaded (its dependencies are missing, as in a CPU-only install).
    Unusable(String),
}

/// Loads CUDA once; later calls return the same answer.
pub fn load() -> &'static Cuda {
    static LOADED: OnceLock<Cuda> = OnceLock::new();
    LOADED.get_or_init(|| {
        if std::env::var_os("PAIRMILL_NO_CUDA").is_some() {
            return Cuda::Absent;
        }
        // SAFETY: a string that lives as long as the library.
        let cpu = unsafe { CStr::from_ptr(ffi::pm_torch_cpu_path()) }.to_string_lossy().into_owned();
        let library = PathBuf::from(cpu).with_file_name("libtorch_cuda.so");
        let Some(path) = library.to_str().and_then(|text| CString::new(text).ok()) else {
            return Cuda::Absent;
        };
        if !library.exists() {
            return Cuda::Absent;
        }
        // SAFETY: the path lives for the call. The library's initialisers run; they are PyTorch's own.
        match check(unsafe { ffi::pm_cuda_load(path.as_ptr()) }) {
            Ok(1) => Cuda::Loaded,
            Ok(_) => Cuda::Absent,
            Err(TorchError(why)) => Cuda::Unusable(why),
        }
    })
}

/// The CUDA half, loaded from memory after [`load`] found CUDA: every symbol it uses must exist.
///
/// # Errors
/// When it was not built in, or a symbol is missing.
pub fn load_half() -> Result<Half, TorchError> {
    if CUDA_HALF.is_empty() {
        return Err(TorchError("this binary was built without CUDA's headers".into()));
    }
    // SAFETY: a C string literal; the descriptor becomes a File that closes it.
    let mut file = unsafe {
        match libc::memfd_create(c"pairmill_cuda".as_ptr(), libc::MFD_CLOEXEC) {
            fd if fd < 0 => return Err(TorchError(std::io::Error::last_os_error().to_string())),
            fd => std::fs::File::from_raw_fd(fd),
        }
    };
    file.write_all(CUDA_HALF).map_err(|error| TorchError(error.to_string()))?;
    let path =
        CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|e| TorchError(e.to_string()))?;
    // SAFETY: the object is ours; RTLD_NOW makes a missing symbol an error here instead of a crash later.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        // SAFETY: dlerror returns a string after a failure.
        let why = unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy().into_owned();
        return Err(TorchError(why));
    }
    Ok(Half { handle })
}

/// The loaded CUDA half; it stays for the life of the process.
#[derive(Debug, Clone, Copy)]
pub struct Half {
    handle: *mut libc::c_void,
}

impl Half {
    /// Address of one of its functions.
    ///
    /// # Errors
    /// When it has none of that name.
    pub(super) fn function(self, name: &CStr) -> Result<NonNull<libc::c_void>, TorchError> {
        // SAFETY: a live handle and a C string.
        NonNull::new(unsafe { libc::dlsym(self.handle, name.as_ptr()) })
            .ok_or_else(|| TorchError(format!("this binary was built without {}", name.to_string_lossy())))
    }

    /// Those of [`FUNCTIONS`] that it lacks.
    pub fn missing(self) -> Vec<&'static CStr> {
        FUNCTIONS.into_iter().filter(|name| self.function(name).is_err()).collect()
    }

    /// The message of its last failure on this thread.
    pub(super) fn last_error(self) -> TorchError {
        match self.function(c"pmc_last_error") {
            // SAFETY: declared so in shim/cuda.cpp; the string lives until the next failure on this thread.
            Ok(function) => unsafe {
                let message: extern "C" fn() -> *const libc::c_char = std::mem::transmute(function.as_ptr());
                TorchError(
                    CStr::from_ptr(message()).to_string_lossy().lines().next().unwrap_or("").to_string(),
                )
            },
            Err(error) => error,
        }
    }
}

#[cfg(test)]
mod tests;
