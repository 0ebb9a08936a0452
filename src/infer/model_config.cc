#include "infer/model_config.h"

namespace penstock::infer {
namespace {

constexpr std::int64_t kLatestMax = 1000;
constexpr std::int64_t kDimensionMax = std::int64_t{1} << 40;

void read_list(const config::Node& node, ModelConfig& model) {
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
  if (model.versions.empty()) node.problem("the list of versions is empty; write latest, all or a list such as [1, 3]");
  std::sort(model.versions.begin(), model.versions.end());
}

void read_serve(const config::Node& node, ModelConfig& model) {
  if (node.kind() == config::Node::Kind::list) return read_list(node, model);
  if (node.kind() == config::Node::Kind::map) {
    config::Map map = node.map();
    model.latest = static_cast<std::size_t>(map.integer("latest", 1, 1, kLatestMax));
    return map.done();
  }
  std::string word = node.text("latest");
  if (word == "all") {
    model.serve = ModelConfig::Serve::all;
  } else if (word != "latest") {
    node.problem(fmt::format("'{}' is not latest, all or a list of versions such as [1, 3]", node.raw()));
  }
}

std::vector<TensorSpec> read_tensors(const config::Node& node) {
  std::vector<TensorSpec> tensors;
  if (!node.present()) return tensors;
  for (const config::Node& item : node.items()) {
    config::Map map = item.map();
    TensorSpec spec;
    spec.name = map.required_text("name");
    config::Node kind = map.required("datatype");
    if (auto datatype = parse_datatype(kind.present() ? kind.text() : "FP32")) {
      spec.datatype = *datatype;
    } else {
      kind.problem(fmt::format("'{}' is no datatype of the protocol, such as FP32, INT64 or BYTES", kind.raw()));
    }
    if (config::Node shape = map.required("shape"); shape.present()) {
      for (const config::Node& dimension : shape.items())
        spec.shape.push_back(dimension.integer(-1, -1, kDimensionMax));
    }
    map.done();
    tensors.push_back(std::move(spec));
  }
  return tensors;
}

void read_keys(config::Map& map, ModelConfig& model) {
  model.given = map.keys();
  config::Node serve = map.get("serve");
  if (serve.present()) read_serve(serve, model);
  model.instances = parse_instances(map);
  model.batch = parse_batch(map);
  model.queue = parse_queue(map);
  model.weight = parse_weight(map);
  model.runtime = parse_runtime_options(map);
  model.residence = parse_residence(map);
  model.traffic = parse_traffic(map);
  model.embed = parse_embed(map);
  model.inputs = read_tensors(map.get("inputs"));
  model.outputs = read_tensors(map.get("outputs"));
}

// What each key stands for. A key that is not here is the gateway's alone.
struct Key {
  std::string_view name;
  void (*take)(ModelConfig& to, const ModelConfig& from);
};
constexpr std::array kKeys{
    Key{"serve",
        [](ModelConfig& to, const ModelConfig& from) {
          to.serve = from.serve;
          to.versions = from.versions;
          to.latest = from.latest;
        }},
    Key{"instances", [](ModelConfig& to, const ModelConfig& from) { to.instances = from.instances; }},
    Key{"batch", [](ModelConfig& to, const ModelConfig& from) { to.batch = from.batch; }},
    Key{"queue", [](ModelConfig& to, const ModelConfig& from) { to.queue = from.queue; }},
    Key{"weight", [](ModelConfig& to, const ModelConfig& from) { to.weight = from.weight; }},
    Key{"accelerators",
        [](ModelConfig& to, const ModelConfig& from) { to.runtime.accelerators = from.runtime.accelerators; }},
    Key{"threads", [](ModelConfig& to, const ModelConfig& from) { to.runtime.threads = from.runtime.threads; }},
    Key{"optimize", [](ModelConfig& to, const ModelConfig& from) { to.runtime.optimize = from.runtime.optimize; }},
    Key{"memory",
        [](ModelConfig& to, const ModelConfig& from) {
          to.runtime.memory_max = from.runtime.memory_max;
          to.runtime.shrink = from.runtime.shrink;
        }},
    Key{"isolate", [](ModelConfig& to, const ModelConfig& from) { to.runtime.isolate = from.runtime.isolate; }},
    Key{"load", [](ModelConfig& to, const ModelConfig& from) { to.residence.on_demand = from.residence.on_demand; }},
    Key{"load_timeout",
        [](ModelConfig& to, const ModelConfig& from) { to.residence.load_timeout = from.residence.load_timeout; }},
    Key{"pin", [](ModelConfig& to, const ModelConfig& from) { to.residence.pin = from.residence.pin; }},
    Key{"warmup", [](ModelConfig& to, const ModelConfig& from) { to.residence.warm_up = from.residence.warm_up; }},
    Key{"owner", [](ModelConfig& to, const ModelConfig& from) { to.residence.owner = from.residence.owner; }},
    Key{"licence", [](ModelConfig& to, const ModelConfig& from) { to.residence.licence = from.residence.licence; }},
    Key{"description",
        [](ModelConfig& to, const ModelConfig& from) { to.residence.description = from.residence.description; }},
    Key{"tags", [](ModelConfig& to, const ModelConfig& from) { to.residence.tags = from.residence.tags; }},
    Key{"labels", [](ModelConfig& to, const ModelConfig& from) { to.traffic.labels = from.traffic.labels; }},
    Key{"split", [](ModelConfig& to, const ModelConfig& from) { to.traffic.split = from.traffic.split; }},
    Key{"sticky",
        [](ModelConfig& to, const ModelConfig& from) {
          to.traffic.sticky = from.traffic.sticky;
          to.traffic.sticky_name = from.traffic.sticky_name;
        }},
    Key{"canary", [](ModelConfig& to, const ModelConfig& from) { to.traffic.canary = from.traffic.canary; }},
    Key{"shadow", [](ModelConfig& to, const ModelConfig& from) { to.traffic.shadow = from.traffic.shadow; }},
    Key{"embed", [](ModelConfig& to, const ModelConfig& from) { to.embed = from.embed; }},
    Key{"inputs", [](ModelConfig& to, const ModelConfig& from) { to.inputs = from.inputs; }},
    Key{"outputs", [](ModelConfig& to, const ModelConfig& from) { to.outputs = from.outputs; }},
};

const Key* find_key(std::string_view name) {
  auto found = std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.name == name; });
  return found == kKeys.end() ? nullptr : &*found;
}

}  // namespace

ModelConfig parse_model(config::Map& map, const std::string& name) {
  ModelConfig model;
  model.name = name;
  if (map.has("pull")) {
    if (map.has("path"))
      map.get("path").problem("what is pulled has its place in data_dir: leave `path` or `pull` out");
  } else {
    model.path = map.required_text("path");
  }
  if (model.path.empty() && map.has("path")) map.get("path").problem("the path is empty");
  if (name.find('/') != std::string::npos) {
    map.node().problem("a local model's name must not contain '/': it is one part of a URL");
  }
  read_keys(map, model);
  model.origin = parse_origin(map);
  return model;
}

ModelConfig parse_model_file(config::Map& map, const std::string& name) {
  ModelConfig model;
  model.name = name;
  for (std::string_view key : {"path", "pull", "signed_by", "encryption_key"}) {
    if (map.has(key)) map.get(key).problem("only the gateway's own file can say this");
  }
  read_keys(map, model);
  return model;
}

void merge_model(ModelConfig& to, const ModelConfig& from, bool replace) {
  for (const std::string& name : from.given) {
    bool has = std::find(to.given.begin(), to.given.end(), name) != to.given.end();
    const Key* key = find_key(name);
    if (key == nullptr || (has && !replace)) continue;
    key->take(to, from);
    if (!has) to.given.push_back(name);
  }
  to.unmapped.insert(to.unmapped.end(), from.unmapped.begin(), from.unmapped.end());
}

}  // namespace penstock::infer
