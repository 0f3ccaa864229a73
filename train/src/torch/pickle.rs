//! `torch.save` files, read by libtorch's own unpickler: tensors in (nested) plain dictionaries, lists and tuples.
//! An `OrderedDict`, which `state_dict()` returns, is beyond it; see `checkpoint` for the way round.

use std::ffi::{CStr, CString, c_void};
use std::path::Path;

use libc::c_char;
use tch::Tensor;
use torch_sys::C_tensor;

use super::{TorchError, check, ffi, own};

/// Every tensor of the file with its dotted name, in file order.
///
/// # Errors
/// When the file is no zip of `torch.save`, or holds types that libtorch cannot read.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, TorchError> {
    extern "C" fn each(context: *mut c_void, name: *const c_char, tensor: *mut C_tensor) {
        // SAFETY: `context` is the vector below, which outlives the call; the name lives for this callback.
        let (found, name) = unsafe {
            (&mut *context.cast::<Vec<(String, Tensor)>>(), CStr::from_ptr(name).to_string_lossy())
        };
        if let Ok(tensor) = own(tensor) {
            found.push((name.into_owned(), tensor));
        }
    }
    let text = path.to_str().and_then(|text| CString::new(text).ok());
    let file = text.ok_or_else(|| TorchError(format!("{} is no UTF-8 path", path.display())))?;
    let mut found: Vec<(String, Tensor)> = Vec::new();
    // SAFETY: path and vector outlive the call.
    check(unsafe { ffi::pm_read_pickle(file.as_ptr(), (&raw mut found).cast(), each) })?;
    Ok(found)
}
