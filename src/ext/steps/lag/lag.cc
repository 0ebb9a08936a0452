#include "ext/steps/lag/lag.h"

#include <deque>

#include "ingest/derived_field.h"
#include "ingest/device_table.h"
#include "ingest/shape_lookup.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::DerivedField;
using ingest::Field;
using ingest::Sample;

constexpr std::int64_t kKeptMax = 10'000;       // values of one field of one device
constexpr std::size_t kAllKeptMax = 1'000'000;  // values of the step

struct Settings {
  std::vector<DerivedField> fields;
  std::int64_t samples = 0;  // this many readings of the field before; 0: by time
  WallMicros ago = 0;
  std::optional<ingest::Value> otherwise;  // while there is none
};

struct Kept {
  WallMicros at = 0;
  ingest::Value value;
};

struct Device {
  WallMicros newest = std::numeric_limits<WallMicros>::min();
  std::vector<std::deque<Kept>> fields;  // oldest first
};

class Lag : public ingest::Step {
 public:
  explicit Lag(Settings settings) : settings_(std::move(settings)) {}

  void push(Sample sample, ingest::Output& out) override {
    if (sample.quality != ingest::Quality::bad) look_back(sample);
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Lag*>(&before);
    if (other == nullptr) return;
    bool same = std::equal(settings_.fields.begin(), settings_.fields.end(), other->settings_.fields.begin(),
                           other->settings_.fields.end(),
                           [](const DerivedField& a, const DerivedField& b) { return a.from == b.from; });
    if (!same) return;
    devices_.adopt(other->devices_);
    kept_ = std::exchange(other->kept_, 0);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    std::uint64_t value_bytes = sizeof(Kept);
    for (const DerivedField& field : settings_.fields) {
      const ingest::FieldType type = ingest::type_of(in, field.from, plan.problems);
      plan.out.fields[field.to] = type;
      value_bytes = std::max<std::uint64_t>(value_bytes, sizeof(Kept) + ingest::array_values(type) * sizeof(double));
    }
    std::uint64_t kept = std::min<std::uint64_t>(kAllKeptMax, ingest::kDevicesPerStepMax * per_device());
    plan.memory_bytes_max = kept * value_bytes + ingest::kDevicesPerStepMax * (sizeof(Device) + 640);
    return plan;
  }

 private:
  std::uint64_t per_device() const {
    auto each = static_cast<std::uint64_t>(settings_.samples > 0 ? settings_.samples : kKeptMax);
    return each * settings_.fields.size();
  }

  void look_back(Sample& sample) {
    Device& device = devices_.at(sample.device, [this](auto& oldest) { forget(oldest.state); });
    device.fields.resize(settings_.fields.size());
    if (sample.event_time < device.newest) return;
    device.newest = sample.event_time;
    for (std::size_t i = 0; i < settings_.fields.size(); ++i) {
      const Field* field = sample.find(settings_.fields[i].from);
      if (field == nullptr) continue;
      Kept now{sample.event_time, field->value};
      std::string unit = field->unit;
      if (auto past = value_before(device.fields[i], sample.event_time)) {
        sample.set(settings_.fields[i].to, std::move(*past), unit);
      }
      keep(device.fields[i], std::move(now));
    }
  }

  // Also forgets what nobody will ask for.
  std::optional<ingest::Value> value_before(std::deque<Kept>& kept, WallMicros now) {
    if (settings_.samples > 0) {
      auto back = static_cast<std::size_t>(settings_.samples);
      return kept.size() < back ? settings_.otherwise : kept[kept.size() - back].value;
    }
    WallMicros wanted = now - settings_.ago;
    while (kept.size() > 1 && kept[1].at <= wanted) drop_front(kept);
    return kept.empty() || kept.front().at > wanted ? settings_.otherwise : kept.front().value;
  }

  void keep(std::deque<Kept>& kept, Kept now) {
    std::int64_t most = settings_.samples > 0 ? settings_.samples : kKeptMax;
    while (!kept.empty() && (static_cast<std::int64_t>(kept.size()) >= most || kept_ >= kAllKeptMax)) drop_front(kept);
    kept.push_back(std::move(now));
    ++kept_;
  }
  void drop_front(std::deque<Kept>& kept) {
    kept.pop_front();
    --kept_;
  }
  void forget(Device& device) {
    for (auto& kept : device.fields) kept_ -= kept.size();
  }

  Settings settings_;
  ingest::DeviceTable<Device> devices_;
  std::size_t kept_ = 0;
};

ingest::Value read_value(const config::Node& node) {
  std::string raw = node.raw();
  if (raw == "true" || raw == "false") return raw == "true";
  char* end = nullptr;
  double number = std::strtod(raw.c_str(), &end);
  if (!raw.empty() && *end == 0) return number;
  return node.text();
}

}  // namespace

std::unique_ptr<ingest::Step> make_lag(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  Settings settings;
  settings.fields = ingest::read_derived_fields(map, "_before");
  bool by_time = map.get("ago").present();
  settings.ago = std::chrono::duration_cast<std::chrono::microseconds>(map.duration("ago", {})).count();
  bool by_count = map.get("samples").present();
  settings.samples = map.integer("samples", 1, 1, kKeptMax);
  if (map.get("default").present()) settings.otherwise = read_value(map.get("default"));
  map.done();
  if (by_time) settings.samples = 0;
  if (by_time && by_count) node.problem("write samples: 1 or ago: 10s, not both");
  if (by_time && settings.ago <= 0) node.problem("ago must be more than 0; write ago: 10s");
  if (settings.fields.empty() || (by_time && (by_count || settings.ago <= 0))) return nullptr;
  return std::make_unique<Lag>(std::move(settings));
}

}  // namespace penstock::ext::steps
