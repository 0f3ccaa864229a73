//! Declarations of the shim's functions; what each does stands beside its C++ source in `shim/`.

use libc::{c_char, c_double, c_int, c_void};
use torch_sys::C_tensor;

/// A part of a model: owned input to owned output, null after `pm_fail`.
pub type Part = extern "C" fn(context: *mut c_void, input: *mut C_tensor, again: c_int) -> *mut C_tensor;

unsafe extern "C" {
    pub fn pm_last_error() -> *const c_char;

    pub fn pm_cuda_load(path: *const c_char) -> c_int;
    pub fn pm_torch_cpu_path() -> *const c_char;

    pub fn pm_contiguous(tensor: *mut C_tensor, format: c_int) -> *mut C_tensor;
    pub fn pm_is_contiguous(tensor: *mut C_tensor, format: c_int) -> c_int;
    pub fn pm_empty_pinned(shape: *const i64, n: c_int, dtype: c_int) -> *mut C_tensor;
    pub fn pm_drop_gradients(tensors: *const *mut C_tensor, n: c_int) -> c_int;
    pub fn pm_backward(outputs: *const *mut C_tensor, gradients: *const *mut C_tensor, n: c_int) -> c_int;

    pub fn pm_fused_adamw(
        params: *const *mut C_tensor,
        grads: *const *mut C_tensor,
        exp_avgs: *const *mut C_tensor,
        exp_avg_sqs: *const *mut C_tensor,
        steps: *const *mut C_tensor,
        n: c_int,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        weight_decay: c_double,
        eps: c_double,
        grad_scale: *mut C_tensor,
        found_inf: *mut C_tensor,
    ) -> c_int;
    pub fn pm_clip_grad_norm(grads: *const *mut C_tensor, n: c_int, max_norm: c_double) -> *mut C_tensor;
    pub fn pm_unscale(
        grads: *const *mut C_tensor,
        n: c_int,
        found_inf: *mut C_tensor,
        inv_scale: *mut C_tensor,
    ) -> c_int;

    pub fn pm_autocast_begin(device: c_int, dtype: c_int) -> *mut c_void;
    pub fn pm_autocast_end(state: *mut c_void) -> c_int;
    pub fn pm_set_flags(
        cudnn_benchmark: c_int,
        tf32: c_int,
        deterministic: c_int,
        cudnn_attention: c_int,
    ) -> c_int;
    pub fn pm_flags() -> c_int;
    pub fn pm_rng_state(device: c_int, index: c_int) -> *mut C_tensor;
    pub fn pm_set_rng_state(device: c_int, index: c_int, state: *mut C_tensor) -> c_int;

    pub fn pm_stream_from_pool(device: c_int, index: c_int) -> *mut c_void;
    pub fn pm_stream_current(device: c_int, index: c_int) -> *mut c_void;
    pub fn pm_stream_free(stream: *mut c_void);
    pub fn pm_stream_synchronize(stream: *mut c_void) -> c_int;
    pub fn pm_stream_enter(stream: *mut c_void) -> *mut c_void;
    pub fn pm_stream_leave(guard: *mut c_void);
    pub fn pm_event_new(device: c_int, timing: c_int) -> *mut c_void;
    pub fn pm_event_free(event: *mut c_void);
    pub fn pm_event_record(event: *mut c_void, stream: *mut c_void) -> c_int;
    pub fn pm_event_block(event: *mut c_void, stream: *mut c_void) -> c_int;
    pub fn pm_event_synchronize(event: *mut c_void) -> c_int;
    pub fn pm_event_elapsed_ms(from: *mut c_void, to: *mut c_void) -> c_double;
    pub fn pm_record_stream(tensor: *mut C_tensor, stream: *mut c_void) -> c_int;
    pub fn pm_empty_cache() -> c_int;
    pub fn pm_peak_bytes(index: c_int) -> i64;
    pub fn pm_profile_begin(cuda: c_int) -> c_int;
    pub fn pm_profile_end(path: *const c_char) -> c_int;

    pub fn pm_store_new(
        host: *const c_char,
        port: c_int,
        rank: c_int,
        world: c_int,
        agent: c_int,
        attempt: *const c_char,
        timeout_ms: i64,
    ) -> *mut c_void;
    pub fn pm_store_free(store: *mut c_void);
    pub fn pm_store_set(store: *mut c_void, key: *const c_char, value: *const c_char) -> c_int;
    pub fn pm_store_get(store: *mut c_void, key: *const c_char, value: *mut c_char, size: i64) -> i64;
    pub fn pm_group_gloo(store: *mut c_void, rank: c_int, world: c_int, timeout_ms: i64) -> *mut c_void;
    pub fn pm_group_share(group: *mut c_void) -> *mut c_void;
    pub fn pm_group_free(group: *mut c_void);
    pub fn pm_group_shutdown(group: *mut c_void) -> c_int;
    pub fn pm_group_abort(group: *mut c_void) -> c_int;
    pub fn pm_all_reduce(group: *mut c_void, tensor: *mut C_tensor, op: c_int) -> *mut c_void;
    pub fn pm_work_wait(work: *mut c_void) -> c_int;
    pub fn pm_work_free(work: *mut c_void);
    pub fn pm_all_gather(
        group: *mut c_void,
        outputs: *const *mut C_tensor,
        n: c_int,
        input: *mut C_tensor,
    ) -> c_int;
    pub fn pm_broadcast(group: *mut c_void, tensor: *mut C_tensor, root: c_int) -> c_int;
    pub fn pm_buckets_new(
        group: *mut c_void,
        world: c_int,
        params: *const *mut C_tensor,
        n: c_int,
        bytes: i64,
    ) -> *mut c_void;
    pub fn pm_buckets_free(buckets: *mut c_void);
    pub fn pm_buckets_arm(buckets: *mut c_void) -> c_int;
    pub fn pm_buckets_finish(buckets: *mut c_void) -> c_int;
    pub fn pm_barrier(group: *mut c_void) -> c_int;

    pub fn pm_fail(message: *const c_char);
    pub fn pm_recomputed(
        input: *mut C_tensor,
        parameters: *const *mut C_tensor,
        n: c_int,
        context: *mut c_void,
        run: Part,
        drop: extern "C" fn(context: *mut c_void),
    ) -> *mut C_tensor;
}
