#include <cstdlib>

#include "base/registry.h"
#include "ext/runtimes/onnx/accelerators.h"
#include "ext/runtimes/onnx/library.h"
#include "ext/runtimes/onnx/onnx_runtime.h"

namespace penstock::ext {

void register_runtimes_onnx(base::Registry& registry) {
  // Official builds of the library write what they see into files of the user's and send it to their maker. Before the
  // library is opened and before any thread.
  ::setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  registry.add("onnx", infer::RuntimeFactory{.file_name = "model.onnx",
                                             .make = [] { return std::make_unique<runtimes::onnx::OnnxRuntime>(); },
                                             .describe = runtimes::onnx::describe,
                                             .accelerators = runtimes::onnx::accelerators});
}

}  // namespace penstock::ext
