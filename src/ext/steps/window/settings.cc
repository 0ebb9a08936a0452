#include "ext/steps/window/settings.h"

#include "base/quantity.h"
#include "ext/steps/window/gather.h"
#include "ingest/device_table.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using Kind = Settings::Kind;

constexpr std::int64_t kPanesMax = 10'000;  // (last + late) / every
constexpr WallMicros kMilli = 1000;

// What makes a window what it is: the key it is known by and the keys that go with it.
struct KindKeys {
  Kind kind;
  std::string_view key;
  std::vector<std::string_view> others;
};
const std::vector<KindKeys>& kinds() {
  static const std::vector<KindKeys> table = {
      {Kind::time, "last", {"every", "emit"}},
      {Kind::count, "count", {"every"}},
      {Kind::session, "gap", {"max"}},
      {Kind::state, "begin", {"emit", "max"}},
  };
  return table;
}

WallMicros micros(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

std::shared_ptr<const ingest::Expression> condition(config::Map& map, std::string_view key) {
  config::Node node = map.get(key);
  if (!node.present()) return nullptr;
  auto expression = ingest::Expression::compile(node, ingest::Expression::Wants::condition);
  return expression ? std::make_shared<const ingest::Expression>(std::move(*expression)) : nullptr;
}

const KindKeys* find_kind(config::Map& map) {
  const KindKeys* found = nullptr;
  for (const KindKeys& kind : kinds()) {
    if (!map.get(kind.key).present()) continue;
    if (found != nullptr) {
      map.get(kind.key).problem(
          fmt::format("{} and {} are different kinds of windows; keep one", found->key, kind.key));
      return nullptr;
    }
    found = &kind;
  }
  if (found == nullptr) {
    map.node().problem(
        "says no kind of window; write last: 10s (with every: 1s or every: sample), count: 100, gap: 30s or "
        "begin: \"condition\"");
    return nullptr;
  }
  for (std::string_view key : {"every", "emit", "max"}) {
    if (!map.get(key).present() || std::find(found->others.begin(), found->others.end(), key) != found->others.end())
      continue;
    map.get(key).problem(fmt::format("{} does not go with {}", key, found->key));
    return nullptr;
  }
  return found;
}

bool read_time(config::Map& map, Settings& settings) {
  base::Duration last = map.duration("last", {});
  settings.last = micros(last);
  if (settings.last < kMilli) {
    map.get("last").problem("must be at least 1ms");
    return false;
  }
  if (map.has("every") && map.get("every").raw() == "sample") {
    settings.kind = Kind::sliding;
    settings.emit = condition(map, "emit");
    return true;
  }
  if (map.has("emit")) {
    map.get("emit").problem("goes with every: sample");
    return false;
  }
  settings.every = micros(map.duration("every", last));
  if (settings.every < kMilli) {
    map.get("every").problem("must be at least 1ms, or sample");
    return false;
  }
  if (settings.last % settings.every != 0) {
    map.node().problem(
        fmt::format("last ({}) must be a whole multiple of every ({}), for example every: {}",
                    base::format_duration(last), base::format_duration(std::chrono::microseconds(settings.every)),
                    base::format_duration(last / std::max<std::int64_t>(1, settings.last / settings.every))));
    return false;
  }
  if ((settings.last + settings.late) / settings.every > kPanesMax) {
    map.node().problem(fmt::format("last + late is more than {} times every; make every longer", kPanesMax));
    return false;
  }
  return true;
}

bool read_count(config::Map& map, Settings& settings) {
  constexpr auto kMost = static_cast<std::int64_t>(kPointsPerFieldMax);
  settings.count = map.integer("count", 1, 1, kMost);
  settings.count_every = map.integer("every", settings.count, 1, kMost);
  if (settings.count_every <= settings.count) return true;
  map.get("every").problem(fmt::format("every ({}) is more than count ({}): samples would be in no window",
                                       settings.count_every, settings.count));
  return false;
}

bool read_session(config::Map& map, Settings& settings) {
  settings.gap = micros(map.duration("gap", {}));
  settings.max = micros(map.duration("max", {}));
  if (settings.gap >= kMilli) return true;
  map.get("gap").problem("must be at least 1ms");
  return false;
}

bool read_state(config::Map& map, Settings& settings) {
  settings.begin = condition(map, "begin");
  settings.emit = condition(map, "emit");
  settings.max = micros(map.duration("max", {}));
  return settings.begin != nullptr;
}

bool read_kind(config::Map& map, Settings& settings) {
  switch (settings.kind) {
    case Kind::count: return read_count(map, settings);
    case Kind::session: return read_session(map, settings);
    case Kind::state: return read_state(map, settings);
    default: return read_time(map, settings);
  }
}

void read_fields(const config::Node& node, Settings& settings) {
  if (!node.present()) return;
  config::Map map = node.map();
  for (const auto& [name, entry] : map.entries()) {
    auto call = parse_aggregate(entry.text());
    if (!call) {
      entry.problem(call.error().detail);
    } else if ((call->aggregate == Aggregate::merge_agg) != (name == "*")) {
      entry.problem("the newest value of every field keeps its name; write \"*\": merge_agg(*)");
    } else {
      settings.outputs.emplace_back(name, std::move(*call));
    }
  }
  if (settings.outputs.empty()) node.problem("makes nothing; write { vib_avg: avg(vib), n: count() } or leave it out");
  if (settings.outputs.size() > kColumnsMax) node.problem(fmt::format("has more than {} entries", kColumnsMax));
}

}  // namespace

std::optional<Settings> read_settings(const config::Node& node) {
  config::Map map = node.map();
  Settings settings;
  const KindKeys* kind = find_kind(map);
  settings.late = micros(map.duration("late", {}));
  settings.by = ingest::SeriesKey::read(map);
  constexpr auto kDevices = static_cast<std::int64_t>(ingest::kDevicesPerStepMax);
  settings.devices = static_cast<std::size_t>(map.integer("devices", kDevices, 1, kDevices));
  settings.where = condition(map, "where");
  read_fields(map.get("fields"), settings);
  bool read = false;
  if (kind != nullptr) {
    settings.kind = kind->kind;
    read = read_kind(map, settings);
  }
  map.done();
  if (!read) return std::nullopt;
  return settings;
}

}  // namespace penstock::ext::steps
