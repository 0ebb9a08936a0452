#include "infer/residence_config.h"

namespace penstock::infer {

ResidenceConfig parse_residence(config::Map& model) {
  ResidenceConfig residence;
  residence.on_demand = model.choice("load", {"start", "on_demand"}, "start") == "on_demand";
  residence.load_timeout = model.duration("load_timeout", residence.load_timeout);
  residence.pin = model.boolean("pin", false);
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
