#include "infer/residence_config.h"

namespace penstock::infer {
namespace {

constexpr std::int64_t kWarmUpRowsMax = 65536;
constexpr std::int64_t kWarmUpCountMax = 1000;

WarmUpConfig parse_warm_up(const config::Node& node) {
  WarmUpConfig warm_up;
  if (!node.present()) return warm_up;
  config::Map map = node.map();
  warm_up.rows = {1};
  config::Node rows = map.get("rows");
  if (rows.kind() == config::Node::Kind::list) {
    warm_up.rows.clear();
    for (const config::Node& item : rows.items()) warm_up.rows.push_back(item.integer(1, 1, kWarmUpRowsMax));
  } else if (rows.present()) {
    warm_up.rows = {rows.integer(1, 1, kWarmUpRowsMax)};
  }
  warm_up.count = static_cast<std::size_t>(map.integer("count", 1, 1, kWarmUpCountMax));
  map.done();
  return warm_up;
}

}  // namespace

ResidenceConfig parse_residence(config::Map& model) {
  ResidenceConfig residence;
  residence.on_demand = model.choice("load", {"start", "on_demand"}, "start") == "on_demand";
  residence.load_timeout = model.duration("load_timeout", residence.load_timeout);
  residence.pin = model.boolean("pin", false);
  residence.warm_up = parse_warm_up(model.get("warmup"));
  residence.owner = model.text("owner");
  residence.licence = model.text("licence");
  residence.description = model.text("description");
  config::Node tags = model.get("tags");
  if (tags.present()) {
    config::Map map = tags.map();
    for (const auto& [name, node] : map.entries()) residence.tags[name] = node.text();
  }
  return residence;
}

}  // namespace penstock::infer
