// What a model runtime is. Implementations live in src/ext/runtimes/<name> and add a RuntimeFactory to the registry.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/tensor.h"

namespace penstock::infer {

// One input or output of a model. -1 is a dimension of any size.
struct TensorSpec {
  std::string name;
  Datatype datatype = Datatype::fp32;
  std::vector<std::int64_t> shape;
};

struct ModelInfo {
  std::string platform;  // as OIP metadata names it: onnxruntime_onnx
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// A loaded model. Every member may be called from any thread, also at the same time.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;
  // Runs once, on the calling thread. `inputs` are all inputs in the order of info(), checked against it; `outputs` are
  // places in info().outputs, and the result has their order. Fails with invalid_argument when the model refuses the
  // values (a shape that fits the declaration but not the graph), internal for everything else.
  virtual Result<std::vector<Tensor>> run(std::span<const Tensor> inputs,
                                          std::span<const std::size_t> outputs) const = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  // Reads and prepares the model file `path`. Blocks; any thread, one call at a time. `unavailable` when the runtime
  // itself cannot be used (its library is missing), `data_loss` for a damaged file, `unimplemented` for a model that
  // needs what this runtime lacks.
  virtual Result<std::shared_ptr<const Model>> load(const std::string& path) = 0;
};

struct RuntimeFactory {
  // The file in a version directory that this runtime takes: model.onnx
  std::string file_name;
  // Cheap: what is heavy waits for the first load.
  std::function<std::unique_ptr<Runtime>()> make;
  // One line for `penstock --version`: version and what it can use here, or why it cannot run. May load the library.
  std::function<std::string()> describe;
};

}  // namespace penstock::infer
