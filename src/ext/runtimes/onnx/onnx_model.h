// A loaded ONNX model.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ext/runtimes/onnx/model_memory.h"
#include "ext/runtimes/onnx/ort.h"
#include "ext/runtimes/onnx/session.h"
#include "infer/runtime.h"

namespace penstock::ext::runtimes::onnx {

class OnnxModel : public infer::Model {
 public:
  // What a session was made of, in the order in which it is to be destroyed from the end.
  struct Parts {
    std::shared_ptr<Environment> environment;
    ModelMemory::Handle memory;
    Ort::Session session{nullptr};
    std::string accelerator;
    std::string notice;
  };

  // unimplemented when the model takes or gives what OIP has no datatype for. May throw Ort::Exception.
  static Result<std::shared_ptr<const infer::Model>> make(Parts parts);

  const infer::ModelInfo& info() const override { return info_; }
  std::uint64_t memory_bytes() const override { return parts_.memory->held(); }
  Result<std::vector<infer::Tensor>> run(std::span<const infer::Tensor> inputs, std::span<const std::size_t> outputs,
                                         const infer::RunOptions& options) const override;

 private:
  // Where a dimension of an output is known from before the run.
  struct Extent {
    std::int64_t fixed = 0;     // where input < 0
    std::ptrdiff_t input = -1;  // the same as a dimension of this input
    std::size_t dimension = 0;
  };
  struct Shape {
    bool known = false;
    std::vector<Extent> extents;
  };

  explicit OnnxModel(Parts parts) : parts_(std::move(parts)) {}
  Result<void> describe_tensors();
  void foresee_shapes();
  // An output that the library can write into; nothing when its shape is known only afterwards.
  std::optional<infer::Tensor> prepare(std::size_t place, std::span<const infer::Tensor> inputs) const;
  std::vector<infer::Tensor> run_session(std::span<const infer::Tensor> inputs, std::span<const std::size_t> outputs,
                                         const Ort::RunOptions& options, bool prepared) const;
  std::vector<infer::Tensor> run_as_declared(std::span<const infer::Tensor> inputs,
                                             std::span<const std::size_t> outputs,
                                             const Ort::RunOptions& options) const;
  Error explain(Error error, const infer::RunOptions& options) const;

  mutable Parts parts_;  // Run() is thread-safe; the wrapper does not say so with const
  infer::ModelInfo info_;
  std::vector<const char*> input_names_, output_names_;  // into info_
  std::vector<Shape> shapes_;                            // of the outputs
  // The declared shapes of outputs were true so far.
  mutable std::atomic<bool> declarations_hold_{true};
};

// An Ort failure as ours: the runtime's own prefixes and source places are cut, they mean nothing to a caller.
Error to_error(const Ort::Exception& exception, Errc fallback);

}  // namespace penstock::ext::runtimes::onnx
