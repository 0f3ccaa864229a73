// Process groups of c10d without Python: the store that torchrun or Slurm variables describe, Gloo, and collectives
// that work on any backend (the CUDA half makes NCCL ones with the same handle type).
#define USE_C10D_GLOO 1
#include "error.h"

#include <ATen/ATen.h>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using at::Tensor;
using BackendPtr = c10::intrusive_ptr<c10d::Backend>;
using StorePtr = c10::intrusive_ptr<c10d::Store>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

static c10d::Backend& backend(void* group) { return **static_cast<BackendPtr*>(group); }

extern "C" {
// agent: torchrun hosts the store itself, every rank is a client, and keys go under the attempt's prefix.
void* pm_store_new(const char* host, int port, int rank, int world, int agent, const char* attempt, int64_t timeout_ms) {
  GUARD(nullptr, c10d::TCPStoreOptions options; options.port = static_cast<uint16_t>(port);
        options.isServer = !agent && rank == 0; options.numWorkers = world; options.waitWorkers = true;
        options.multiTenant = true; options.timeout = std::chrono::milliseconds(timeout_ms);
        StorePtr store = c10::make_intrusive<c10d::TCPStore>(host, options);
        if (agent) store = c10::make_intrusive<c10d::PrefixStore>(std::string("/worker/attempt_") + attempt, store);
        return new StorePtr(store););
}
void pm_store_free(void* store) { delete static_cast<StorePtr*>(store); }

void* pm_group_gloo(void* store, int rank, int world, int64_t timeout_ms) {
  GUARD(nullptr, StorePtr s = c10::make_intrusive<c10d::PrefixStore>("gloo", *static_cast<StorePtr*>(store));
        auto options = c10d::ProcessGroupGloo::Options::create_default(std::chrono::milliseconds(timeout_ms));
        return new BackendPtr(c10::make_intrusive<c10d::ProcessGroupGloo>(s, rank, world, options)););
}
void pm_group_free(void* group) { delete static_cast<BackendPtr*>(group); }

// op: 0 sum, 1 average, 3 min, 4 max (c10d::ReduceOp). Returns a handle to wait on.
void* pm_all_reduce(void* group, Tensor* tensor, int op) {
  GUARD(nullptr, std::vector<Tensor> tensors{*tensor}; c10d::AllreduceOptions options;
        options.reduceOp = static_cast<c10d::ReduceOp::RedOpType>(op);
        return new WorkPtr(backend(group).allreduce(tensors, options)););
}
int pm_work_wait(void* work) { GUARD(-1, (*static_cast<WorkPtr*>(work))->wait(); return 0;); }
void pm_work_free(void* work) { delete static_cast<WorkPtr*>(work); }
int pm_all_gather(void* group, Tensor* const* outputs, int n, Tensor* input) {
  GUARD(-1, std::vector<std::vector<Tensor>> all(1); for (int i = 0; i < n; ++i) all[0].push_back(*outputs[i]);
        std::vector<Tensor> mine{*input}; backend(group).allgather(all, mine)->wait(); return 0;);
}
int pm_broadcast(void* group, Tensor* tensor, int root) {
  GUARD(-1, std::vector<Tensor> tensors{*tensor}; c10d::BroadcastOptions options; options.rootRank = root;
        backend(group).broadcast(tensors, options)->wait(); return 0;);
}
int pm_barrier(void* group) { GUARD(-1, backend(group).barrier()->wait(); return 0;); }
}  // extern "C"
