// The CUDA half: a shared object of its own with undefined symbols left open, embedded in the binary and loaded after
// libtorch_cuda. Kept out of the main binary because its vtables would need libtorch_cuda at start-up.
#define USE_C10D_NCCL 1
#include "error.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

extern "C" {
const char* pmc_last_error() { return last_error.c_str(); }
void* pmc_group_nccl(void* store, int rank, int world, int device, int64_t timeout_ms) {
  using BackendPtr = c10::intrusive_ptr<c10d::Backend>;
  using StorePtr = c10::intrusive_ptr<c10d::Store>;
  GUARD(nullptr, StorePtr s = c10::make_intrusive<c10d::PrefixStore>("nccl", *static_cast<StorePtr*>(store));
        auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/false);
        options->timeout = std::chrono::milliseconds(timeout_ms);
        auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(s, rank, world, options);
        c10::Device bound(c10::kCUDA, static_cast<c10::DeviceIndex>(device)); group->setBoundDeviceId(bound);
        group->eagerConnectSingleDevice(bound); return new BackendPtr(group););
}
// CUDA graphs. Capture must run on a side stream (pm_stream_enter).
void* pmc_graph_new() { GUARD(nullptr, return new at::cuda::CUDAGraph();); }
void pmc_graph_free(void* g) { delete static_cast<at::cuda::CUDAGraph*>(g); }
int pmc_graph_begin(void* g) {
  GUARD(-1, static_cast<at::cuda::CUDAGraph*>(g)->capture_begin(at::cuda::graph_pool_handle(),
                                                               cudaStreamCaptureModeThreadLocal);
        return 0;);
}
int pmc_graph_end(void* g) { GUARD(-1, static_cast<at::cuda::CUDAGraph*>(g)->capture_end(); return 0;); }
int pmc_graph_replay(void* g) { GUARD(-1, static_cast<at::cuda::CUDAGraph*>(g)->replay(); return 0;); }
}  // extern "C"
