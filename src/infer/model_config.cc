#include "infer/model_config.h"

namespace penstock::infer {
namespace {

void read_serve(const config::Node& node, ModelConfig& model) {
  if (node.kind() == config::Node::Kind::list) {
    model.serve = ModelConfig::Serve::listed;
    for (const config::Node& item : node.items()) {
      std::int64_t version = item.integer(0, 1, INT64_MAX);
      if (version == 0) continue;  // reported
      if (std::find(model.versions.begin(), model.versions.end(), version) != model.versions.end()) {
        item.problem(fmt::format("version {} is listed twice", version));
        continue;
      }
      model.versions.push_back(version);
    }
    if (model.versions.empty())
      node.problem("the list of versions is empty; write latest, all or a list such as [1, 3]");
    std::sort(model.versions.begin(), model.versions.end());
    return;
  }
  std::string word = node.text("latest");
  if (word == "all") {
    model.serve = ModelConfig::Serve::all;
  } else if (word != "latest") {
    node.problem(fmt::format("'{}' is not latest, all or a list of versions such as [1, 3]", node.raw()));
  }
}

}  // namespace

ModelConfig parse_model(config::Map& map, const std::string& name) {
  ModelConfig model;
  model.name = name;
  model.path = map.required_text("path");
  if (model.path.empty() && map.has("path")) map.get("path").problem("the path is empty");
  if (name.find('/') != std::string::npos) {
    map.node().problem("a local model's name must not contain '/': it is one part of a URL");
  }
  config::Node serve = map.get("serve");
  if (serve.present()) read_serve(serve, model);
  model.instances = static_cast<std::size_t>(map.integer("instances", 0, 1, 1024));
  for (std::string_view later : {"batch", "canary"}) {
    config::Node node = map.get(later);
    if (node.present()) {
      node.problem(fmt::format("'{}' is not supported for local models by this version; remove it", later));
    }
  }
  return model;
}

}  // namespace penstock::infer
