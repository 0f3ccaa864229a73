// torch.save files of tensors, read with libtorch's own unpickler (no Python).
#include "error.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>
#include <sstream>
#include <torch/csrc/jit/serialization/import_read.h>

using at::Tensor;
typedef void (*pm_named)(void* context, const char* name, Tensor* owned);

static void walk(const c10::IValue& value, const std::string& path, void* context, pm_named each) {
  auto below = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
  if (value.isTensor()) {
    each(context, path.c_str(), new Tensor(value.toTensor()));
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      std::ostringstream key;
      if (entry.key().isString()) key << entry.key().toStringRef();
      else key << entry.key();
      walk(entry.value(), below(key.str()), context, each);
    }
  } else if (value.isList()) {
    int i = 0;
    for (const c10::IValue& element : value.toListRef()) walk(element, below(std::to_string(i++)), context, each);
  } else if (value.isTuple()) {
    int i = 0;
    for (const auto& element : value.toTupleRef().elements()) walk(element, below(std::to_string(i++)), context, each);
  }
}

extern "C" int pm_read_pickle(const char* path, void* context, pm_named each) {
  GUARD(-1, caffe2::serialize::PyTorchStreamReader reader{std::string(path)};
        auto value = torch::jit::readArchiveAndTensors("data", "", "", std::nullopt, std::nullopt, std::nullopt, reader);
        walk(value, "", context, each); return 0;);
}
