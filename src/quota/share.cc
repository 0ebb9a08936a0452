#include "quota/share.h"

#include <fmt/format.h>

namespace penstock::quota {
namespace {

using namespace std::chrono_literals;

double read_slice(config::Map& map, double fallback) {
  double slice = map.percent("slice", fallback);
  if (slice >= 0.0001 && slice <= 0.5) return slice;
  map.get("slice").problem("from 0.01% to 50% of each limit is possible: so much may one gateway be ahead");
  return fallback;
}

base::Duration read_every(config::Map& map, base::Duration fallback) {
  base::Duration every = map.duration("every", fallback);
  if (every >= 10ms && every <= 2s) return every;
  map.get("every").problem("from 10ms to 2s is possible");
  return fallback;
}

}  // namespace

std::optional<ShareConfig> parse_shared(const config::Node& node, const base::Registry& registry) {
  if (!node.present()) return std::nullopt;
  ShareConfig config;
  config::Map map = node.map();
  const std::vector<std::string> stores = registry.names<ShareFactory>();
  int found = 0;
  for (const std::string& store : stores) {
    if (!map.has(store)) continue;
    ++found;
    config.store = registry.find<ShareFactory>(store)->parse(map);
  }
  if (found != 1) {
    node.problem(
        fmt::format("name one store that the gateways share, as in `redis: redis://127.0.0.1:6379`; there are: {}",
                    fmt::join(stores, ", ")));
  }
  config.spec = node.dump();
  config.slice = read_slice(map, config.slice);
  config.every = read_every(map, config.every);
  config.gateways = static_cast<int>(map.integer("gateways", config.gateways, 1, 10'000));
  config.keys = map.boolean("keys", config.keys);
  map.done();
  if (found != 1 || !config.store.open) return std::nullopt;
  return config;
}

}  // namespace penstock::quota
