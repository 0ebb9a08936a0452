// What a model runtime is. Implementations live in src/ext/runtimes/<name> and add a RuntimeFactory to the registry.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "infer/runtime_options.h"
#include "infer/tensor.h"

namespace penstock::infer {

// One input or output of a model. -1 is a dimension of any size.
struct TensorSpec {
  std::string name = {};
  Datatype datatype = Datatype::fp32;
  std::vector<std::int64_t> shape = {};
  bool operator==(const TensorSpec&) const = default;
};

struct ModelInfo {
  std::string platform = {};        // as OIP metadata names it: onnxruntime_onnx
  std::string accelerator = "cpu";  // what it runs on
  std::string notice = {};          // what is not as configured, for people; empty: all of it is
  std::vector<TensorSpec> inputs = {};
  std::vector<TensorSpec> outputs = {};
};

// How one run goes.
struct RunOptions {
  std::stop_token stop = {};  // asked to stop, a run ends early with `cancelled`, where the runtime can
  bool shrink = false;        // working memory goes back to the system after it
};

// A loaded model. Every member may be called from any thread, also at the same time.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;
  // Weights and working memory it holds now; 0 when that is not known.
  virtual std::uint64_t memory_bytes() const { return 0; }
  // Runs once, on the calling thread. `inputs` are all inputs in the order of info(), checked against it; `outputs` are
  // places in info().outputs, and the result has their order. Fails with invalid_argument when the model refuses the
  // values (a shape that fits the declaration but not the graph), cancelled, unavailable (the process it runs in ended:
  // another try may succeed), internal for everything else.
  virtual Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                          const RunOptions& options) const = 0;
};

// The file of a model, as it is to be loaded.
struct ModelFile {
  std::string path = {};
  // Set where the file's bytes are not what is to be loaded (it is encrypted, or came with a request), or where what
  // was checked must be what is loaded. Files beside it cannot be used then, but for those in `beside`.
  std::shared_ptr<const std::string> bytes = {};
  // Weights in files of their own, by the names the model has for them. Only with `bytes`.
  std::map<std::string, std::shared_ptr<const std::string>> beside = {};
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  // Reads and prepares a model. Blocks; any thread, one call at a time. `unavailable` when the runtime itself cannot be
  // used (its library is missing), `data_loss` for a damaged file, `unimplemented` for a model that needs what this
  // runtime lacks, `resource_exhausted` for one that is larger than it may be.
  virtual Result<std::shared_ptr<const Model>> load(const ModelFile& file, const RuntimeOptions& options) = 0;
};

// What a model may run on.
struct Accelerator {
  std::string name = {};    // cpu, xnnpack, openvino, cuda, tensorrt, qnn, ...
  bool usable = false;      // it was tried here and works
  std::string reason = {};  // why not
};

struct RuntimeFactory {
  // The file in a version directory that this runtime takes: model.onnx
  std::string file_name = {};
  // Cheap: what is heavy waits for the first load.
  std::function<std::unique_ptr<Runtime>()> make = {};
  // One line for `penstock --version`: version and what it can use here, or why it cannot run. May load the library.
  std::function<std::string()> describe = {};
  // What models can run on here, tried out; the CPU is one of them. May load the library.
  std::function<std::vector<Accelerator>()> accelerators = {};
};

}  // namespace penstock::infer
