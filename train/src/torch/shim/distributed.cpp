// Process groups of c10d without Python: the store that torchrun or Slurm variables describe, Gloo, and collectives
// that work on any backend (the CUDA half makes NCCL ones with the same handle type).
#define USE_C10D_GLOO 1
#include "error.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cstring>
#include <mutex>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using at::Tensor;
using BackendPtr = c10::intrusive_ptr<c10d::Backend>;
using StorePtr = c10::intrusive_ptr<c10d::Store>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

// Gradients on their way round the ranks. Parameters are cut into buckets of about equal bytes, last parameters first,
// because backward reaches those first. A hook on each parameter's gradient accumulator counts its bucket down; a full
// bucket is flattened and all-reduced while backward goes on. Buckets start in order on every rank, whatever order
// their gradients come in, so that the ranks' collectives match. At the end a gradient is a view of its bucket, so
// nothing is copied back.
struct Buckets {
  struct Bucket {
    std::vector<size_t> members;
    size_t missing = 0;
    Tensor flat;
    WorkPtr work;
  };
  BackendPtr group;
  double world;
  std::vector<Tensor> params;
  std::vector<std::shared_ptr<torch::autograd::Node>> accumulators;
  std::vector<size_t> bucket_of;
  std::vector<bool> ready;
  std::vector<Bucket> buckets;
  size_t next = 0;
  bool armed = false;
  std::mutex mutex;

  void arm() {
    std::lock_guard lock(mutex);
    for (auto& bucket : buckets) {
      bucket.missing = bucket.members.size();
      bucket.flat = Tensor();
      bucket.work.reset();
    }
    ready.assign(params.size(), false);
    next = 0;
    armed = true;
  }
  void arrived(size_t param) {
    std::lock_guard lock(mutex);
    if (!armed || ready[param]) return;
    ready[param] = true;
    --buckets[bucket_of[param]].missing;
    while (next < buckets.size() && buckets[next].missing == 0) start(buckets[next++]);
  }
  // Elements of a gradient in its bucket: a multiple of ALIGN, so that every gradient begins where vector loads may.
  static constexpr int64_t ALIGN = 4;
  static int64_t padded(const Tensor& param) { return (param.numel() + ALIGN - 1) / ALIGN * ALIGN; }
  // A gradient's values in the order of its parameter's memory; a copy only where the two orders differ.
  static Tensor in_memory_order(const Tensor& param, const Tensor& grad) {
    if (!grad.defined()) return at::zeros({param.numel()}, param.options());
    if (!param.is_non_overlapping_and_dense()) return grad.reshape({-1});
    bool same = grad.strides() == param.strides();
    Tensor laid_out = same ? grad : at::empty_strided(param.sizes(), param.strides(), grad.options()).copy_(grad);
    return laid_out.as_strided({param.numel()}, {1});
  }
  void start(Bucket& bucket) {
    at::NoGradGuard no_grad;
    std::vector<Tensor> pieces;
    for (size_t member : bucket.members) {
      const Tensor& param = params[member];
      pieces.push_back(in_memory_order(param, param.grad()));
      if (int64_t gap = padded(param) - param.numel()) pieces.push_back(at::zeros({gap}, param.options()));
    }
    bucket.flat = at::cat(pieces);
    std::vector<Tensor> flat{bucket.flat};
    bucket.work = group->allreduce(flat);
  }
  // Waits for all and leaves the mean over the ranks in every gradient. A parameter that backward never reached on this
  // rank counts as zero, as the other ranks may have reached it.
  void finish() {
    for (size_t i = 0; i < params.size(); ++i) arrived(i);
    std::lock_guard lock(mutex);
    armed = false;
    at::NoGradGuard no_grad;
    for (auto& bucket : buckets) {
      bucket.work->wait();
      bucket.flat.div_(world);
      int64_t offset = 0;
      for (size_t member : bucket.members) {
        Tensor& param = params[member];
        bool dense = param.is_non_overlapping_and_dense();
        param.mutable_grad() = dense ? bucket.flat.as_strided(param.sizes(), param.strides(), offset)
                                     : bucket.flat.narrow(0, offset, param.numel()).view(param.sizes());
        offset += padded(param);
      }
      bucket.flat = Tensor();
      bucket.work.reset();
    }
  }
};

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
int pm_store_set(void* store, const char* key, const char* value) {
  GUARD(-1, (*static_cast<StorePtr*>(store))->set(std::string(key), std::string(value)); return 0;);
}
// Waits until the key is there; returns the value's length and writes as much of it as `size` allows.
int64_t pm_store_get(void* store, const char* key, char* value, int64_t size) {
  GUARD(-1, auto bytes = (*static_cast<StorePtr*>(store))->get(key);
        std::memcpy(value, bytes.data(), std::min<size_t>(bytes.size(), size));
        return static_cast<int64_t>(bytes.size()););
}

void* pm_group_gloo(void* store, int rank, int world, int64_t timeout_ms) {
  GUARD(nullptr, StorePtr s = c10::make_intrusive<c10d::PrefixStore>("gloo", *static_cast<StorePtr*>(store));
        auto options = c10d::ProcessGroupGloo::Options::create_default(std::chrono::milliseconds(timeout_ms));
        return new BackendPtr(c10::make_intrusive<c10d::ProcessGroupGloo>(s, rank, world, options)););
}
// Another handle to the same group, for a thread that may have to abort it.
void* pm_group_share(void* group) { return new BackendPtr(*static_cast<BackendPtr*>(group)); }
void pm_group_free(void* group) { delete static_cast<BackendPtr*>(group); }
// The orderly end: NCCL flushes and frees its communicators. Gloo has nothing to do.
int pm_group_shutdown(void* group) { GUARD(-1, backend(group).shutdown(); return 0;); }
// Ends collectives that wait for a rank that is gone, from any thread.
int pm_group_abort(void* group) { GUARD(-1, backend(group).abort(); return 0;); }

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
void* pm_buckets_new(void* group, int world, Tensor* const* params, int n, int64_t bytes) {
  GUARD(nullptr, auto made = std::make_shared<Buckets>(); made->group = *static_cast<BackendPtr*>(group);
        made->world = world; made->params.reserve(n); for (int i = 0; i < n; ++i) made->params.push_back(*params[i]);
        made->bucket_of.resize(n); int64_t filled = 0; for (int i = n; i-- > 0;) {
          TORCH_CHECK(params[i]->requires_grad(), "parameter ", i, " is frozen: it has no gradient to average");
          if (made->buckets.empty() || filled >= bytes ||
              params[made->buckets.back().members.back()]->dtype() != params[i]->dtype()) {
            made->buckets.emplace_back();
            filled = 0;
          }
          made->buckets.back().members.push_back(i);
          made->bucket_of[i] = made->buckets.size() - 1;
          filled += static_cast<int64_t>(params[i]->nbytes());
        } std::weak_ptr<Buckets> weak = made; for (size_t i = 0; i < made->params.size(); ++i) {
          auto accumulator = torch::autograd::impl::grad_accumulator(made->params[i]);
          accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
              [weak, i](const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) {
                if (auto buckets = weak.lock()) buckets->arrived(i);
                return outputs;
              }));
          made->accumulators.push_back(std::move(accumulator));
        } return new std::shared_ptr<Buckets>(std::move(made)););
}
void pm_buckets_free(void* buckets) { delete static_cast<std::shared_ptr<Buckets>*>(buckets); }
int pm_buckets_arm(void* buckets) { GUARD(-1, (*static_cast<std::shared_ptr<Buckets>*>(buckets))->arm(); return 0;); }
int pm_buckets_finish(void* buckets) {
  GUARD(-1, (*static_cast<std::shared_ptr<Buckets>*>(buckets))->finish(); return 0;);
}
int pm_barrier(void* group) { GUARD(-1, backend(group).barrier()->wait(); return 0;); }
}  // extern "C"
