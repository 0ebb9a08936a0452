// A loaded ONNX model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ext/runtimes/onnx/ort.h"
#include "infer/runtime.h"

namespace penstock::ext::runtimes::onnx {

// What every session of the process shares: the environment with its thread pools and memory arena.
struct Environment {
  Ort::Env env;
  Ort::MemoryInfo memory;  // of our own buffers
};

class OnnxModel : public infer::Model {
 public:
  // unimplemented when the model takes or gives what OIP has no datatype for. May throw Ort::Exception.
  static Result<std::shared_ptr<const infer::Model>> make(std::shared_ptr<Environment> environment,
                                                          Ort::Session session);

  const infer::ModelInfo& info() const override { return info_; }
  Result<std::vector<infer::Tensor>> run(std::span<const infer::Tensor> inputs, std::span<const std::size_t> outputs,
                                         const infer::RunOptions& options) const override;

 private:
  OnnxModel(std::shared_ptr<Environment> environment, Ort::Session session)
      : environment_(std::move(environment)), session_(std::move(session)) {}
  std::vector<infer::Tensor> run_session(std::span<const infer::Tensor> inputs,
                                         std::span<const std::size_t> outputs) const;

  std::shared_ptr<Environment> environment_;  // outlives session_
  mutable Ort::Session session_;              // Run() is thread-safe; the wrapper does not say so with const
  infer::ModelInfo info_;
  std::vector<const char*> input_names_;  // into info_
};

// An Ort failure as ours: the runtime's own prefixes and source places are cut, they mean nothing to a caller.
Error to_error(const Ort::Exception& exception, Errc fallback);

}  // namespace penstock::ext::runtimes::onnx
