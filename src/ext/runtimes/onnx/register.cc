#include "base/registry.h"
#include "ext/runtimes/onnx/accelerators.h"
#include "ext/runtimes/onnx/library.h"
#include "ext/runtimes/onnx/onnx_runtime.h"

namespace penstock::ext {

void register_runtimes_onnx(base::Registry& registry) {
  registry.add("onnx", infer::RuntimeFactory{.file_name = "model.onnx",
                                             .make = [] { return std::make_unique<runtimes::onnx::OnnxRuntime>(); },
                                             .describe = runtimes::onnx::describe,
                                             .accelerators = runtimes::onnx::accelerators});
}

}  // namespace penstock::ext
