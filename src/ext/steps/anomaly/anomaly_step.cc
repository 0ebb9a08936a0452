#include "ext/steps/anomaly/anomaly_step.h"

#include <cmath>
#include <optional>
#include <set>

#include "ingest/shape_lookup.h"

namespace penstock::ext::anomaly {
namespace {

constexpr std::int64_t kDevicesDefault = 500;
constexpr std::int64_t kDevicesMost = 100'000;
constexpr std::uint64_t kDetectorBytes = 64 * 1024;  // of one warm detector, with room to spare

// Booleans count as 0 and 1.
std::optional<double> number(const ingest::Field* field) {
  if (field == nullptr) return std::nullopt;
  std::optional<double> result;
  if (const auto* real = std::get_if<double>(&field->value)) result = *real;
  if (const auto* whole = std::get_if<std::int64_t>(&field->value)) result = static_cast<double>(*whole);
  if (const auto* flag = std::get_if<bool>(&field->value)) result = *flag ? 1 : 0;
  if (result && !std::isfinite(*result)) return std::nullopt;
  return result;
}

std::optional<std::vector<WatchedField>> read_fields(config::Map& map) {
  const std::string one = map.text("field");
  const std::vector<std::string> many = map.texts("fields");
  const std::string score = map.text("score");
  const config::Node& node = map.node();
  if (one.empty() == many.empty()) {
    node.problem("name what to watch: either field: cpu or fields: [cpu, memory]");
    return std::nullopt;
  }
  if (!one.empty()) return std::vector<WatchedField>{{one, score.empty() ? one + "_anomaly" : score}};
  if (!score.empty()) {
    map.get("score").problem("score goes with field; with fields every score is named <field>_anomaly");
    return std::nullopt;
  }
  std::vector<WatchedField> result;
  std::set<std::string> seen;
  for (const std::string& name : many) {
    if (!seen.insert(name).second) {
      map.get("fields").problem("the field " + name + " is named twice");
      return std::nullopt;
    }
    result.push_back({name, name + "_anomaly"});
  }
  return result;
}

bool read_season(config::Map& map, Settings& settings) {
  const std::string season = map.text("season", "auto");
  if (season == "auto") return true;
  if (season == "none") {
    settings.season = Settings::Season::none;
    return true;
  }
  using namespace std::chrono_literals;
  const auto period = base::parse_duration(season);
  if (!period || *period < 1s || *period > 400 * 24h) {
    map.get("season").problem("season is auto, none, or a period such as 24h, between 1s and 400d");
    return false;
  }
  settings.season = Settings::Season::fixed;
  settings.period = *period;
  return true;
}

}  // namespace

AnomalyStep::AnomalyStep(std::vector<WatchedField> fields, Settings settings, std::size_t devices_most)
    : fields_(std::move(fields)), settings_(settings), devices_most_(devices_most) {}

void AnomalyStep::push(ingest::Sample sample, ingest::Output& out) {
  if (sample.quality != ingest::Quality::bad) {
    Device* state = nullptr;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      const auto value = number(sample.find(fields_[i].name));
      if (!value) continue;
      if (state == nullptr) state = &device(sample.device);
      sample.set(fields_[i].score, state->detectors[i].score(sample.event_time, *value));
    }
  }
  out.emit(std::move(sample));
}

AnomalyStep::Device& AnomalyStep::device(std::string_view name) {
  if (const auto known = by_name_.find(name); known != by_name_.end()) {
    recent_first_.splice(recent_first_.begin(), recent_first_, known->second);
    return recent_first_.front();
  }
  if (by_name_.size() >= devices_most_) {
    by_name_.erase(recent_first_.back().name);
    recent_first_.pop_back();
  }
  recent_first_.push_front({std::string(name), std::vector<Detector>(fields_.size(), Detector(settings_))});
  by_name_.emplace(recent_first_.front().name, recent_first_.begin());
  return recent_first_.front();
}

void AnomalyStep::adopt(ingest::Step& before) {
  auto* other = dynamic_cast<AnomalyStep*>(&before);
  if (other == nullptr || !(other->settings_ == settings_)) return;
  std::size_t skip = other->recent_first_.size() - std::min(other->recent_first_.size(), devices_most_);
  auto oldest = std::next(other->recent_first_.rbegin(), static_cast<std::ptrdiff_t>(skip));
  for (auto theirs = oldest; theirs != other->recent_first_.rend(); ++theirs) {
    Device& mine = device(theirs->name);
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      for (std::size_t j = 0; j < other->fields_.size(); ++j) {
        if (other->fields_[j].name == fields_[i].name) mine.detectors[i] = std::move(theirs->detectors[j]);
      }
    }
  }
  other->by_name_.clear();
  other->recent_first_.clear();
}

ingest::StepPlan AnomalyStep::plan(const ingest::Shape& in) const {
  ingest::StepPlan plan;
  plan.out = in;
  for (const WatchedField& field : fields_) {
    (void)ingest::numeric_type_of(in, field.name, plan.problems);
    plan.out.fields[field.score] = {ingest::FieldType::Kind::number, {}};
  }
  plan.memory_bytes_max = devices_most_ * fields_.size() * kDetectorBytes;
  return plan;
}

std::unique_ptr<ingest::Step> make_step(const config::Node& kind) {
  config::Map map = kind.map();
  Settings settings;
  auto fields = read_fields(map);
  const bool season_read = read_season(map, settings);
  const std::string sensitivity = map.choice("sensitivity", {"low", "normal", "high"}, "normal");
  settings.sensitivity = sensitivity == "low"    ? Sensitivity::low
                         : sensitivity == "high" ? Sensitivity::high
                                                 : Sensitivity::normal;
  const auto devices = static_cast<std::size_t>(map.integer("devices", kDevicesDefault, 1, kDevicesMost));
  map.done();
  if (!fields || !season_read) return nullptr;
  return std::make_unique<AnomalyStep>(std::move(*fields), settings, devices);
}

}  // namespace penstock::ext::anomaly
