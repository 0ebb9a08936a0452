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
  model.given = map.keys();
  model.path = map.required_text("path");
  if (model.path.empty() && map.has("path")) map.get("path").problem("the path is empty");
  if (name.find('/') != std::string::npos) {
    map.node().problem("a local model's name must not contain '/': it is one part of a URL");
  }
  config::Node serve = map.get("serve");
  if (serve.present()) read_serve(serve, model);
  model.instances = parse_instances(map);
  model.batch = parse_batch(map);
  model.queue = parse_queue(map);
  model.weight = parse_weight(map);
  model.runtime = parse_runtime_options(map);
  model.residence = parse_residence(map);
  model.traffic = parse_traffic(map);
  model.origin = parse_origin(map);
  model.embed = parse_embed(map);
  return model;
}

}  // namespace penstock::infer
