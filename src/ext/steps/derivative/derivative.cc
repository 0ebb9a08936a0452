#include "ext/steps/derivative/derivative.h"

#include <cmath>

#include "ingest/derived_field.h"
#include "ingest/device_table.h"
#include "ingest/shape_lookup.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::DerivedField;
using ingest::Sample;

struct Settings {
  std::vector<DerivedField> fields;
  double per = 0;  // microseconds
  std::string unit;
  WallMicros max_gap = 0;  // 0: any
  bool counter = false;
};

struct Last {
  WallMicros at = 0;
  double value = std::numeric_limits<double>::quiet_NaN();
};

class Derivative : public ingest::Step {
 public:
  explicit Derivative(Settings settings) : settings_(std::move(settings)) {}

  void push(Sample sample, ingest::Output& out) override {
    if (sample.quality != ingest::Quality::bad) {
      for (std::size_t i = 0; i < settings_.fields.size(); ++i) derive(sample, i);
    }
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Derivative*>(&before);
    if (other == nullptr) return;
    bool same = std::equal(settings_.fields.begin(), settings_.fields.end(), other->settings_.fields.begin(),
                           other->settings_.fields.end(),
                           [](const DerivedField& a, const DerivedField& b) { return a.from == b.from; });
    if (same) devices_.adopt(other->devices_);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    for (const DerivedField& field : settings_.fields) {
      auto type = ingest::numeric_type_of(in, field.from, plan.problems);
      plan.out.fields[field.to] = {ingest::FieldType::Kind::number, unit_of(type.unit)};
    }
    plan.memory_bytes_max = ingest::kDevicesPerStepMax * (256 + settings_.fields.size() * sizeof(Last));
    return plan;
  }

 private:
  std::string unit_of(std::string_view unit) const {
    return unit.empty() ? std::string() : fmt::format("{}/{}", unit, settings_.unit);
  }

  void derive(Sample& sample, std::size_t index) {
    const ingest::Field* field = sample.find(settings_.fields[index].from);
    auto value = ingest::number_in(field);
    if (!value) return;
    std::vector<Last>& device = devices_.at(sample.device);
    device.resize(settings_.fields.size());
    Last& last = device[index];
    bool first = std::isnan(last.value);
    WallMicros passed = sample.event_time - last.at;
    if (!first && passed <= 0) return;
    double change = *value - last.value;
    // A counter that went down began again at 0.
    if (settings_.counter && change < 0) change = *value;
    bool gap = settings_.max_gap > 0 && passed > settings_.max_gap;
    last = {sample.event_time, *value};
    double slope = change / static_cast<double>(passed) * settings_.per;
    if (first || gap || !std::isfinite(slope)) return;
    std::string unit = unit_of(field->unit);
    sample.set(settings_.fields[index].to, slope, unit);
  }

  Settings settings_;
  ingest::DeviceTable<std::vector<Last>> devices_;
};

// The unit of time by its usual sign.
std::string sign_of(base::Duration per) {
  using namespace std::chrono_literals;
  const std::pair<base::Duration, const char*> signs[] = {{1ms, "ms"}, {1s, "s"}, {1min, "min"}, {1h, "h"}, {24h, "d"}};
  for (const auto& [length, sign] : signs) {
    if (per == length) return sign;
  }
  return base::format_duration(per);
}

}  // namespace

std::unique_ptr<ingest::Step> make_derivative(const config::Node& node, const ingest::StepContext&) {
  using namespace std::chrono_literals;
  config::Map map = node.map();
  Settings settings;
  settings.fields = ingest::read_derived_fields(map, "_rate");
  base::Duration per = map.duration("per", 1s);
  settings.per = std::chrono::duration<double, std::micro>(per).count();
  settings.unit = sign_of(per);
  settings.max_gap = std::chrono::duration_cast<std::chrono::microseconds>(map.duration("max_gap", {})).count();
  settings.counter = map.boolean("counter", false);
  map.done();
  if (per <= base::Duration::zero()) node.problem("per must be more than 0; write per: 1s");
  if (settings.fields.empty() || per <= base::Duration::zero()) return nullptr;
  return std::make_unique<Derivative>(std::move(settings));
}

}  // namespace penstock::ext::steps
