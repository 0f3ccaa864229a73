// A block whose inner results are not kept for backward but computed again there: one node of the graph that holds the
// block's input and a closure of Rust's.
#include "autocast.h"
#include "error.h"

#include <ATen/ATen.h>
#include <mutex>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

using at::Tensor;
using torch::autograd::variable_list;
// Gets an owned input, returns an owned output, or null after pm_fail. again: 1 in backward.
typedef Tensor* (*pm_block)(void* context, Tensor* input, int again);
typedef void (*pm_drop)(void* context);

namespace {
struct Block {
  void* context;
  pm_block run;
  pm_drop drop;
  ~Block() { drop(context); }
  Tensor operator()(const Tensor& input, bool again) const {
    std::unique_ptr<Tensor> output(run(context, new Tensor(input), again));
    if (!output) throw std::runtime_error(last_error);
    return *output;
  }
};

// Casts of weights are not cached while one is alive: a cast made without gradients would be found again where they are
// wanted.
struct UncachedAutocast {
  AutocastState before;
  explicit UncachedAutocast(const AutocastState& during) : before(during.device) { during.set(false); }
  ~UncachedAutocast() { before.restore(); }
};

struct Recompute : torch::autograd::Node {
  std::mutex lock;
  std::shared_ptr<Block> block;
  torch::autograd::SavedVariable input;
  variable_list parameters;
  AutocastState autocast;

  Recompute(std::shared_ptr<Block> b, const Tensor& x, variable_list p)
      : block(std::move(b)), input(x, /*is_output=*/false), parameters(std::move(p)), autocast(x.device().type()) {}
  std::string name() const override { return "PairmillRecompute"; }
  void release_variables() override {
    std::lock_guard<std::mutex> guard(lock);
    input.reset_data();
    parameters.clear();
  }
  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> guard(lock);
    variable_list result(num_outputs());
    if (!gradients[0].defined()) return result;
    Tensor x = input.unpack().detach().requires_grad_(task_should_compute_output(0));
    Tensor y;
    {
      at::AutoGradMode with_graph(true);
      UncachedAutocast as_in_forward(autocast);
      y = (*block)(x, true);
    }
    variable_list wanted;
    std::vector<size_t> slots;
    for (size_t i = 0; i < num_outputs(); ++i) {
      if (!task_should_compute_output(i)) continue;
      wanted.push_back(i == 0 ? x : parameters[i - 1]);
      slots.push_back(i);
    }
    auto found = torch::autograd::grad({y}, wanted, {gradients[0]}, /*retain_graph=*/std::nullopt,
                                       /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < slots.size(); ++i) result[slots[i]] = found[i];
    return result;
  }
};
}  // namespace

extern "C" {
// For closures of Rust's that fail: the message of the null pointer they return.
void pm_fail(const char* message) { last_error = message; }

Tensor* pm_recomputed(Tensor* input, Tensor* const* parameters, int n, void* context, pm_block run, pm_drop drop) {
  auto block = std::shared_ptr<Block>(new Block{context, run, drop});
  GUARD(nullptr, variable_list inputs{*input}; for (int i = 0; i < n; ++i) inputs.push_back(*parameters[i]);
        bool learns = at::GradMode::is_enabled() &&
                      std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.requires_grad(); });
        if (!learns) return new Tensor((*block)(*input, false));
        auto node = std::shared_ptr<Recompute>(
            new Recompute(block, *input, variable_list(inputs.begin() + 1, inputs.end())),
            torch::autograd::deleteNode);
        node->set_next_edges(torch::autograd::collect_next_edges(inputs)); Tensor output; {
          at::AutoGradMode without_graph(false);
          UncachedAutocast uncached{node->autocast};
          output = (*block)(*input, false);
        } torch::autograd::set_history(output, node);
        return new Tensor(output););
}
}  // extern "C"
