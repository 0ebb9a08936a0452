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

// The files of one version that came with a request, by the names they would have in its folder.
using GivenFiles = std::map<std::string, std::shared_ptr<const std::string>>;

// How a model's file is read: decrypted, its signature checked, looked at before a runtime does. Each may be empty:
// then files are taken as they are, and what came with a request only where no signature is asked for.
struct FileHooks {
  std::function<Result<ModelFile>(const ModelConfig& config, const InferenceConfig& inference, const std::string& path)>
      open_file = {};
  // `name` is the model's file among `files`.
  std::function<Result<ModelFile>(const ModelConfig& config, const InferenceConfig& inference, std::int64_t version,
                                  const GivenFiles& files, const std::string& name)>
      open_given = {};
};

// One thread at a time.
class VersionLoader {
 public:
  // Both outlive this.
  VersionLoader(const base::Registry& registry, Reaper& reaper, FileHooks hooks)
      : registry_(registry), reaper_(reaper), hooks_(std::move(hooks)) {}

  // `given`: what is loaded instead of the candidate's file; null for the file, which must be as `stamp` says before
  // and after. Blocks. unavailable while the file is being written, failed_precondition when the model differs from
  // what is declared or fails its warm-up, resource_exhausted where there is no memory, and what the hooks and a
  // runtime say. Nothing they throw gets out.
  Result<std::shared_ptr<Served>> load(const std::shared_ptr<const ModelConfig>& config,
                                       const InferenceConfig& inference, const Candidate& candidate, const Stamp& stamp,
                                       const GivenFiles* given);
  // The same model behind a new configuration: queues and instances differ, the session is shared.
  std::shared_ptr<Served> again(const std::shared_ptr<const ModelConfig>& config, const Served& old);

 private:
  Result<ModelFile> open(const ModelConfig& config, const InferenceConfig& inference, const Candidate& candidate,
                         const GivenFiles* given) const;
  Result<std::shared_ptr<const Model>> load_model(const ModelConfig& config, const Candidate& candidate,
                                                  const ModelFile& file);

  const base::Registry& registry_;
  Reaper& reaper_;
  const FileHooks hooks_;
  std::map<std::string, std::unique_ptr<Runtime>> runtimes_;
};

// Whether `info` takes and gives what `config` declares; nothing declared is nothing to differ from. The message names
// the tensor.
Result<void> check_declared(const ModelConfig& config, const ModelInfo& info);

}  // namespace penstock::infer
