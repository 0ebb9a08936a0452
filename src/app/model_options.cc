#include "app/model_options.h"

#include "infer/model_source.h"
#include "obs/log.h"

namespace penstock::app {

infer::Repository::Options model_options(const GatewayConfig& config, infer::Journal* journal) {
  infer::Repository::Options options;
  options.inference = config.inference;
  options.journal = journal;
  options.files = infer::checked_files();
  options.warn = [](const std::string& model, const std::string& what) {
    obs::log(obs::Level::warn, "a local model is not as it was asked for", {{"model", model}, {"why", what}});
  };
  return options;
}

std::vector<std::string> model_obstacles(const infer::Repository& repository) {
  std::vector<std::string> found;
  for (const infer::ModelStatus& model : repository.status()) {
    if (model.ready || model.unloaded || (model.dormant && model.reason.empty())) continue;
    std::string reason = model.reason.empty() ? "not loaded" : model.reason;
    for (const infer::VersionStatus& version : model.versions) {
      if (!version.reason.empty()) reason = version.reason;
    }
    found.push_back(fmt::format("the model '{}' cannot be served: {}", model.name, reason));
  }
  return found;
}

std::vector<infer::ModelConfig> loaded_at_once(std::vector<infer::ModelConfig> models) {
  for (infer::ModelConfig& model : models) {
    model.residence.on_demand = false;
    model.given.emplace_back("load");  // whatever model.yaml says
  }
  return models;
}

}  // namespace penstock::app
