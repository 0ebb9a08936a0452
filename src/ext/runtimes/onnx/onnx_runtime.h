// ONNX Runtime behind infer::Runtime: model.onnx files.
#pragma once

#include <memory>
#include <string>

#include "ext/runtimes/onnx/onnx_model.h"
#include "infer/runtime.h"

namespace penstock::ext::runtimes::onnx {

// Opens the library with the first model.
class OnnxRuntime : public infer::Runtime {
 public:
  Result<std::shared_ptr<const infer::Model>> load(const infer::ModelFile& file,
                                                   const infer::RuntimeOptions& options) override;

 private:
  Result<void> open();
  Result<std::shared_ptr<const infer::Model>> load_session(const infer::ModelFile& file,
                                                           const infer::RuntimeOptions& options,
                                                           OnnxModel::Parts& parts);

  std::shared_ptr<Environment> environment_;
};

}  // namespace penstock::ext::runtimes::onnx
