#include "infer/traffic_config.h"

namespace penstock::infer {

TrafficConfig parse_traffic(config::Map& model) {
  TrafficConfig traffic;
  config::Node labels = model.get("labels");
  if (labels.present()) {
    config::Map map = labels.map();
    for (const auto& [name, node] : map.entries()) traffic.labels[name] = node.integer(1, 1, INT64_MAX);
  }
  return traffic;
}

}  // namespace penstock::infer
