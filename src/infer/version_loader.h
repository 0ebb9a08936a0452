// Makes a file on disk, or bytes that came with a request, into a version that can serve: opened, checked against what
// is declared, warmed up, and measured.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/registry.h"
#include "infer/inference_config.h"
#include "infer/model_config.h"
#include "infer/model_folder.h"
#include "infer/reaper.h"
#include "infer/runtime.h"

namespace penstock::infer {

// Files that came with a request, by place: "1/model.onnx".
using GivenFiles = std::map<std::string, std::shared_ptr<const std::string>>;

// How a model's file becomes what a runtime may load: looked at, its signature checked, decrypted. Empty ones take the
// file as it is. model_source.h has the real ones.
struct FileHooks {
  std::function<Result<ModelFile>(const ModelConfig& config, const InferenceConfig& inference, const std::string& path)>
      open_file = {};
  // `place` is among `files`.
  std::function<Result<ModelFile>(const ModelConfig& config, const InferenceConfig& inference, const GivenFiles& files,
                                  const std::string& place)>
      open_given = {};
};

// One thread at a time.
class VersionLoader {
 public:
  // Both outlive this.
  VersionLoader(const base::Registry& registry, Reaper& reaper, FileHooks hooks)
      : registry_(registry), reaper_(reaper), hooks_(std::move(hooks)) {}

  // `given`: where the candidate's file is when it came with a request; null when it is on disk, and must be as `stamp`
  // says before and after. Blocks. unavailable while the file is being written, failed_precondition when the model
  // differs from what is declared or fails its warm-up, and what a runtime says.
  Result<std::shared_ptr<Served>> load(const std::shared_ptr<const ModelConfig>& config, const Candidate& candidate,
                                       const Stamp& stamp, const InferenceConfig& inference, const GivenFiles* given);
  // The same model behind a new configuration: queues and instances differ, the session is shared.
  std::shared_ptr<Served> again(const std::shared_ptr<const ModelConfig>& config, const Served& old);

 private:
  Result<std::shared_ptr<const Model>> open(const ModelConfig& config, const Candidate& candidate,
                                            const InferenceConfig& inference, const GivenFiles* given);
  Result<ModelFile> open_file(const ModelConfig& config, const Candidate& candidate, const InferenceConfig& inference,
                              const GivenFiles* given) const;

  const base::Registry& registry_;
  Reaper& reaper_;
  const FileHooks hooks_;
  std::map<std::string, std::unique_ptr<Runtime>> runtimes_;
};

// Whether `info` takes and gives what `config` declares; nothing declared is nothing to differ from. The message names
// the tensor.
Result<void> check_declared(const ModelConfig& config, const ModelInfo& info);

}  // namespace penstock::infer
