// What tch lacks of plain tensors and devices. It links libtorch_cpu and libc10 only: whatever touches CUDA here goes
// through device-generic interfaces that libtorch_cuda fills in once it is loaded (see cuda.rs).
#include "autocast.h"
#include "error.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <memory>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/profiler_kineto.h>

using at::Tensor;

static std::vector<Tensor> list(Tensor* const* tensors, int n) {
  std::vector<Tensor> copies;
  copies.reserve(n);
  for (int i = 0; i < n; ++i) copies.push_back(*tensors[i]);
  return copies;
}

static at::Generator default_generator(int device, int index) {
  return at::globalContext().defaultGenerator(
      at::Device(static_cast<at::DeviceType>(device), static_cast<c10::DeviceIndex>(index)));
}

extern "C" {
const char* pm_last_error() { return last_error.c_str(); }

// ---- CUDA on demand -----------------------------------------------------------------------------------------------
// 1: libtorch_cuda is in the process; 0: there is no such file; -1: it is there and cannot be loaded.
int pm_cuda_load(const char* path) {
  if (dlopen(path, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL)) return 1;
  if (dlopen(path, RTLD_NOW | RTLD_GLOBAL)) return 1;
  last_error = dlerror();
  return last_error.find("libtorch_cuda.so: cannot open") != std::string::npos ? 0 : -1;
}
// Path of the libtorch_cpu.so in use; libtorch_cuda.so lies beside it.
const char* pm_torch_cpu_path() {
  Dl_info info;
  return dladdr(reinterpret_cast<void*>(&at::detail::getCUDAHooks), &info) ? info.dli_fname : "";
}

// ---- tensors ------------------------------------------------------------------------------------------------------
// format: 0 contiguous, 1 preserve, 2 channels_last
Tensor* pm_contiguous(Tensor* t, int format) {
  GUARD(nullptr, return new Tensor(t->contiguous(static_cast<c10::MemoryFormat>(format))););
}
int pm_is_contiguous(Tensor* t, int format) {
  GUARD(-1, return t->is_contiguous(static_cast<c10::MemoryFormat>(format)););
}
Tensor* pm_empty_pinned(const int64_t* shape, int n, int dtype) {
  GUARD(nullptr, return new Tensor(at::empty(
                     c10::IntArrayRef(shape, n),
                     at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)).pinned_memory(true))););
}
// Drops the gradient (the next backward allocates it), as zero_grad(set_to_none=True) does.
int pm_drop_gradients(Tensor* const* tensors, int n) {
  GUARD(-1, for (int i = 0; i < n; ++i) tensors[i]->mutable_grad() = Tensor(); return 0;);
}
// One backward pass from all outputs, each with a given gradient; leaves accumulate.
int pm_backward(Tensor* const* outputs, Tensor* const* gradients, int n) {
  GUARD(-1, torch::autograd::backward(list(outputs, n), list(gradients, n)); return 0;);
}

// ---- optimiser ----------------------------------------------------------------------------------------------------
// One fused AdamW step over whole lists; `steps` are float scalars, counted up here.
// grad_scale and found_inf may be null: they are the scaler's of fp16.
int pm_fused_adamw(Tensor* const* params, Tensor* const* grads, Tensor* const* exp_avgs, Tensor* const* exp_avg_sqs,
                   Tensor* const* steps, int n, double lr, double beta1, double beta2, double weight_decay, double eps,
                   Tensor* grad_scale, Tensor* found_inf) {
  GUARD(-1, at::NoGradGuard no_grad; auto p = list(params, n); auto g = list(grads, n); auto m = list(exp_avgs, n);
        auto v = list(exp_avg_sqs, n); auto s = list(steps, n); at::_foreach_add_(s, 1);
        auto maybe = [](Tensor* t) { return t ? std::optional<Tensor>(*t) : std::nullopt; };
        at::_fused_adamw_(p, g, m, v, {}, s, lr, beta1, beta2, weight_decay, eps, /*amsgrad=*/false,
                          /*maximize=*/false, maybe(grad_scale), maybe(found_inf));
        if (found_inf) at::_foreach_sub_(s, std::vector<Tensor>(n, *found_inf)); return 0;);
}
// clip_grad_norm_ as torch.nn.utils has it: scales in place, returns the total norm before. max_norm <= 0 only measures.
Tensor* pm_clip_grad_norm(Tensor* const* grads, int n, double max_norm) {
  GUARD(nullptr, at::NoGradGuard no_grad; auto g = list(grads, n); auto norms = at::_foreach_norm(g, 2);
        auto total = at::linalg_vector_norm(at::stack(norms), 2); if (max_norm > 0) {
          at::_foreach_mul_(g, at::clamp_max(max_norm / (total + 1e-6), 1.0));
        } return new Tensor(total););
}
// Divides gradients by a scale and notes whether any is not finite (GradScaler.unscale_).
int pm_unscale(Tensor* const* grads, int n, Tensor* found_inf, Tensor* inv_scale) {
  GUARD(-1, at::NoGradGuard no_grad; auto g = list(grads, n);
        at::_amp_foreach_non_finite_check_and_unscale_(g, *found_inf, *inv_scale); return 0;);
}

// ---- modes --------------------------------------------------------------------------------------------------------
// device: 0 CPU, 1 CUDA. Returns what autocast was before, to be handed to pm_autocast_end on the same thread.
void* pm_autocast_begin(int device, int dtype) {
  GUARD(nullptr, auto before = std::make_unique<AutocastState>(static_cast<at::DeviceType>(device));
        at::autocast::set_autocast_dtype(before->device, static_cast<at::ScalarType>(dtype));
        at::autocast::set_autocast_enabled(before->device, true); at::autocast::increment_nesting();
        return before.release(););
}
// Puts back what was before; the cache of casts is cleared at the outside.
int pm_autocast_end(void* state) {
  GUARD(-1, std::unique_ptr<AutocastState> before(static_cast<AutocastState*>(state));
        if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache(); before->restore(); return 0;);
}
int pm_set_flags(int cudnn_benchmark, int tf32, int deterministic, int cudnn_attention) {
  GUARD(-1, auto& context = at::globalContext(); context.setBenchmarkCuDNN(cudnn_benchmark);
        context.setAllowTF32CuDNN(tf32); context.setAllowTF32CuBLAS(tf32);
        context.setDeterministicAlgorithms(deterministic, /*warn_only=*/true);
        context.setSDPUseCuDNN(cudnn_attention); return 0;);
}
// What pm_set_flags set, one bit each in the order of its arguments.
int pm_flags() {
  GUARD(-1, auto& context = at::globalContext();
        return int(context.benchmarkCuDNN()) | int(context.allowTF32CuDNN() && context.allowTF32CuBLAS()) << 1 |
               int(context.deterministicAlgorithms()) << 2 | int(context.userEnabledCuDNNSDP()) << 3;);
}
// State of a device's default generator (5056 bytes on the CPU, 16 on CUDA, always in host memory) and back.
Tensor* pm_rng_state(int device, int index) {
  GUARD(nullptr, auto generator = default_generator(device, index); std::lock_guard lock(generator.mutex());
        return new Tensor(generator.get_state()););
}
int pm_set_rng_state(int device, int index, Tensor* state) {
  GUARD(-1, auto generator = default_generator(device, index); std::lock_guard lock(generator.mutex());
        generator.set_state(*state); return 0;);
}

// ---- streams and events, device generic ---------------------------------------------------------------------------
void* pm_stream_from_pool(int device, int index) {
  GUARD(nullptr, auto d = static_cast<c10::DeviceType>(device); c10::impl::VirtualGuardImpl guard(d);
        return new c10::Stream(guard.getStreamFromGlobalPool(c10::Device(d, index), /*high priority=*/false)););
}
void* pm_stream_current(int device, int index) {
  GUARD(nullptr, auto d = static_cast<c10::DeviceType>(device); c10::impl::VirtualGuardImpl guard(d);
        return new c10::Stream(guard.getStream(c10::Device(d, index))););
}
void pm_stream_free(void* s) { delete static_cast<c10::Stream*>(s); }
int pm_stream_synchronize(void* s) { GUARD(-1, static_cast<c10::Stream*>(s)->synchronize(); return 0;); }
void* pm_stream_enter(void* s) { GUARD(nullptr, return new c10::StreamGuard(*static_cast<c10::Stream*>(s));); }
void pm_stream_leave(void* guard) { delete static_cast<c10::StreamGuard*>(guard); }
void* pm_event_new(int device, int timing) {
  GUARD(nullptr, return new c10::Event(static_cast<c10::DeviceType>(device), timing
                                                                                  ? c10::EventFlag::BACKEND_DEFAULT
                                                                                  : c10::EventFlag::PYTORCH_DEFAULT););
}
void pm_event_free(void* e) { delete static_cast<c10::Event*>(e); }
int pm_event_record(void* e, void* s) {
  GUARD(-1, static_cast<c10::Event*>(e)->record(*static_cast<c10::Stream*>(s)); return 0;);
}
// The stream waits for the event; the calling thread does not.
int pm_event_block(void* e, void* s) {
  GUARD(-1, static_cast<c10::Event*>(e)->block(*static_cast<c10::Stream*>(s)); return 0;);
}
int pm_event_synchronize(void* e) { GUARD(-1, static_cast<c10::Event*>(e)->synchronize(); return 0;); }
double pm_event_elapsed_ms(void* from, void* to) {
  GUARD(-1, return static_cast<c10::Event*>(from)->elapsedTime(*static_cast<c10::Event*>(to)););
}
// Tells the caching allocator that `s` uses the tensor's memory too.
int pm_record_stream(Tensor* t, void* s) { GUARD(-1, t->record_stream(*static_cast<c10::Stream*>(s)); return 0;); }
int pm_empty_cache() { GUARD(-1, at::accelerator::emptyCache(); return 0;); }
// Largest number of bytes that tensors held on the device at once.
int64_t pm_peak_bytes(int index) {
  GUARD(-1, return at::accelerator::getDeviceStats(index).allocated_bytes[0].peak;);
}
// ---- profiler -----------------------------------------------------------------------------------------------------
// Kineto, as torch.profiler uses it: what runs between the two calls is written to `path` as a Chrome trace.
int pm_profile_begin(int cuda) {
  GUARD(-1, using torch::profiler::impl::ActivityType;
        torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
        std::set<ActivityType> kinds{ActivityType::CPU}; if (cuda) kinds.insert(ActivityType::CUDA);
        torch::autograd::profiler::prepareProfiler(config, kinds);
        torch::autograd::profiler::enableProfiler(config, kinds); return 0;);
}
int pm_profile_end(const char* path) {
  GUARD(-1, torch::autograd::profiler::disableProfiler()->save(path); return 0;);
}
}  // extern "C"
