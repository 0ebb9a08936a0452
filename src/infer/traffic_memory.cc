#include "infer/traffic_memory.h"

#include "json/value.h"

namespace penstock::infer {
namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::array<std::string_view, 3> kStages{"watching", "promoted", "rolled_back"};

// What decisions of each kind depend on, as text.
std::string canary_of(const TrafficConfig& config) {
  if (!config.canary) return "none";
  const CanaryConfig& canary = *config.canary;
  std::string text =
      fmt::format("{} {} {} {}", canary.version, canary.share, canary.promote_after.count(), canary.error_rate);
  for (const CanaryRule& rule : canary.rules)
    text += fmt::format(" {} {} {}", static_cast<int>(rule.kind), rule.share, rule.bound.count());
  text += fmt::format(" {} {}", static_cast<int>(config.compare.as), config.compare.tolerance);
  return text;
}
std::string labels_of(const TrafficConfig& config) {
  std::string text;
  for (const auto& [name, version] : config.labels) text += fmt::format("{} {} ", name, version);
  return text;
}
std::string split_of(const TrafficConfig& config) {
  std::string text;
  for (const auto& [version, share] : config.split) text += fmt::format("{} {} ", version, share);
  return text;
}
std::string all_of(const TrafficConfig& config) {
  return canary_of(config) + "; " + labels_of(config) + "; " + split_of(config);
}

Value value(std::string_view text) {
  return Value(boost::json::string(boost::json::string_view(text.data(), text.size())));
}

Array to_json(const std::vector<Count>& counts) {
  Array array;
  for (const Count& count : counts) array.push_back(Array{count.calls, count.bad, count.unclear});
  return array;
}

std::uint64_t figure(const Value& value) {
  if (value.is_uint64()) return value.get_uint64();
  return value.is_int64() && value.get_int64() > 0 ? static_cast<std::uint64_t>(value.get_int64()) : 0;
}

// As many as there are rules, or none.
std::vector<Count> read_counts(const Value& object, std::string_view name, std::size_t rules) {
  std::vector<Count> counts(rules);
  const Value* array = json::find(object, name);
  if (array == nullptr || !array->is_array() || array->get_array().size() != rules) return counts;
  for (std::size_t i = 0; i < rules; ++i) {
    const Value& pair = array->get_array()[i];
    std::size_t figures = pair.is_array() ? pair.get_array().size() : 0;
    if (figures < 2 || figures > 3) return std::vector<Count>(rules);
    counts[i] = {.calls = figure(pair.get_array()[0]), .bad = figure(pair.get_array()[1])};
    if (figures == 3) counts[i].unclear = figure(pair.get_array()[2]);
    counts[i].bad = std::min(counts[i].bad, counts[i].calls);
  }
  return counts;
}

// Null when it is not there, or belongs to another configuration, which sets `changed`.
const Value* part(const Value& whole, std::string_view name, const std::string& of, bool& changed) {
  const Value* found = json::find(whole, name);
  if (found == nullptr) return nullptr;
  if (json::string_or(*found, "of", "") == of) return found;
  changed = true;
  return nullptr;
}

void read_canary(const Value& kept, TrafficMemory& memory, std::size_t rules) {
  std::string_view stage = json::string_or(kept, "stage", "");
  for (std::size_t i = 0; i < kStages.size(); ++i) {
    if (kStages[i] == stage) memory.stage = static_cast<CanaryView::Stage>(i);
  }
  memory.decided = json::int_or(kept, "decided", 0);
  memory.words = std::string(json::string_or(kept, "words", ""));
  memory.watched = base::Duration(std::max<std::int64_t>(0, json::int_or(kept, "watched_ns", 0)));
  memory.counts = read_counts(kept, "counts", rules);
  memory.others = read_counts(kept, "others", rules);
}

}  // namespace

std::string TrafficMemory::to_text(const TrafficConfig& config) const {
  Object text;
  if (config.canary) {
    text["canary"] = Object{{"of", value(canary_of(config))},
                            {"stage", value(kStages[static_cast<std::size_t>(stage)])},
                            {"decided", decided},
                            {"words", value(words)},
                            {"watched_ns", watched.count()},
                            {"counts", to_json(counts)},
                            {"others", to_json(others)}};
  }
  if (promoted != 0 || before != 0)
    text["promoted"] = Object{{"of", value(all_of(config))}, {"version", promoted}, {"before", before}};
  if (labels) {
    Object map;
    for (const auto& [name, version] : *labels) map[name] = version;
    text["labels"] = Object{{"of", value(labels_of(config))}, {"map", std::move(map)}};
  }
  if (split) {
    Array parts;
    for (const auto& [version, share] : *split) parts.push_back(Array{version, share});
    text["split"] = Object{{"of", value(split_of(config))}, {"parts", std::move(parts)}};
  }
  return json::dump(text);
}

TrafficMemory TrafficMemory::from_text(std::string_view text, const TrafficConfig& config, bool& changed) {
  TrafficMemory memory;
  std::size_t rules = config.canary ? config.canary->rules.size() : 0;
  memory.counts.resize(rules);
  memory.others.resize(rules);
  changed = false;
  auto parsed = text.empty() ? Result<Value>(Value(Object())) : json::parse(text);
  if (!parsed) {
    changed = true;
    return memory;
  }
  if (const Value* kept = part(*parsed, "canary", canary_of(config), changed)) read_canary(*kept, memory, rules);
  if (const Value* kept = part(*parsed, "promoted", all_of(config), changed)) {
    memory.promoted = json::int_or(*kept, "version", 0);
    memory.before = json::int_or(*kept, "before", 0);
  }
  const Value* kept_labels = part(*parsed, "labels", labels_of(config), changed);
  if (const Value* map = kept_labels ? json::find(*kept_labels, "map") : nullptr; map != nullptr && map->is_object()) {
    memory.labels.emplace();
    for (const auto& [name, version] : map->get_object())
      (*memory.labels)[std::string(name)] = version.is_int64() ? version.get_int64() : 0;
  }
  const Value* kept_split = part(*parsed, "split", split_of(config), changed);
  if (const Value* parts = kept_split ? json::find(*kept_split, "parts") : nullptr; parts && parts->is_array()) {
    memory.split.emplace();
    for (const Value& pair : parts->get_array()) {
      if (!pair.is_array() || pair.get_array().size() != 2 || !pair.get_array()[0].is_int64()) continue;
      const Value& share = pair.get_array()[1];
      if (share.is_number()) (*memory.split)[pair.get_array()[0].get_int64()] = share.to_number<double>();
    }
  }
  return memory;
}

}  // namespace penstock::infer
