// Makes a file on disk, or bytes that came with a request, into a version that can serve: opened, checked against what
// is declared, warmed up, and measured.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/registry.h"
#include "infer/model_config.h"
#include "infer/model_folder.h"
#include "infer/reaper.h"
#include "infer/runtime.h"

namespace penstock::infer {

// How a model's file is read, and what else it must pass. Each may be empty.
struct FileHooks {
  // The file at `path` as it is to be loaded: decrypted, its signature checked. Empty: the plain file.
  std::function<Result<ModelFile>(const ModelConfig& config, const std::string& path)> open_file;
  // Looks at the bytes before a runtime does, whether they came from disk or with a request.
  std::function<Result<void>(const ModelConfig& config, const ModelFile& file)> check_file;
};

// One thread at a time.
class VersionLoader {
 public:
  // Both outlive this.
  VersionLoader(const base::Registry& registry, Reaper& reaper, FileHooks hooks)
      : registry_(registry), reaper_(reaper), hooks_(std::move(hooks)) {}

  // `bytes`: what is loaded instead of the candidate's file; null for the file, which must be as `stamp` says before
  // and after. Blocks. unavailable while the file is being written, failed_precondition when the model differs from
  // what is declared or fails its warm-up, and what a runtime says.
  Result<std::shared_ptr<Served>> load(const std::shared_ptr<const ModelConfig>& config, const Candidate& candidate,
                                       const Stamp& stamp, std::shared_ptr<const std::string> bytes);
  // The same model behind a new configuration: queues and instances differ, the session is shared.
  std::shared_ptr<Served> again(const std::shared_ptr<const ModelConfig>& config, const Served& old);

 private:
  Result<std::shared_ptr<const Model>> open(const ModelConfig& config, const Candidate& candidate,
                                            std::shared_ptr<const std::string> bytes);

  const base::Registry& registry_;
  Reaper& reaper_;
  const FileHooks hooks_;
  std::map<std::string, std::unique_ptr<Runtime>> runtimes_;
};

// Whether `info` takes and gives what `config` declares; nothing declared is nothing to differ from. The message names
// the tensor.
Result<void> check_declared(const ModelConfig& config, const ModelInfo& info);

}  // namespace penstock::infer
