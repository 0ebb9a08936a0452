#include "ext/steps/deadband/deadband.h"

#include <cmath>

#include "base/quantity.h"
#include "ingest/device_table.h"
#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::Sample;

constexpr std::size_t kFieldsMax = 64;

struct Band {
  std::string field;
  double width = 0;  // absolute, or a share of the last reported value
  bool relative = false;
};

struct Reported {
  base::WallMicros at = 0;
  ingest::Quality quality = ingest::Quality::good;
  std::vector<double> values;  // one per band; NaN: no number
};

class Deadband : public ingest::Step {
 public:
  Deadband(std::vector<Band> bands, base::WallMicros at_least_every)
      : bands_(std::move(bands)), at_least_every_(at_least_every), now_(bands_.size()) {}

  void push(Sample sample, ingest::Output& out) override {
    for (std::size_t i = 0; i < bands_.size(); ++i) now_[i] = ingest::number_of(sample, bands_[i].field);
    Reported& reported = devices_.at(sample.device);
    if (!passes(sample, reported)) return;
    reported.at = sample.event_time;
    reported.quality = sample.quality;
    if (reported.values.empty()) reported.values.assign(bands_.size(), std::nan(""));
    for (std::size_t i = 0; i < bands_.size(); ++i) {
      // A sample without the field says nothing about it.
      if (!std::isnan(now_[i])) reported.values[i] = now_[i];
    }
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Deadband*>(&before);
    if (other == nullptr || other->bands_.size() != bands_.size()) return;
    for (std::size_t i = 0; i < bands_.size(); ++i) {
      if (other->bands_[i].field != bands_[i].field) return;
    }
    devices_ = std::move(other->devices_);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    plan.memory_bytes_max = ingest::kDevicesPerStepMax * (bands_.size() * sizeof(double) + 256);
    for (const Band& band : bands_) {
      if (auto problem = missing_field(in, band.field); !problem.empty()) plan.problems.push_back(std::move(problem));
    }
    return plan;
  }

 private:
  bool passes(const Sample& sample, const Reported& reported) const {
    if (reported.values.empty() || sample.quality != reported.quality || sample.alarm) return true;
    // Far enough from the last one either way: a clock that was set back does not silence its device.
    if (at_least_every_ > 0 && std::abs(sample.event_time - reported.at) >= at_least_every_) return true;
    bool concerned = false;
    for (std::size_t i = 0; i < bands_.size(); ++i) {
      if (std::isnan(now_[i])) continue;
      concerned = true;
      double before = reported.values[i];
      if (std::isnan(before)) return true;
      double width = bands_[i].relative ? bands_[i].width * std::abs(before) : bands_[i].width;
      double moved = std::abs(now_[i] - before);
      if (moved > 0 && moved >= width) return true;
    }
    // None of the fields is in it: not for this step to hold back.
    return !concerned;
  }

  std::vector<Band> bands_;
  base::WallMicros at_least_every_;
  std::vector<double> now_;  // scratch for one push
  ingest::DeviceTable<Reported> devices_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_deadband(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  auto at_least_every = map.duration("at_least_every", {});
  std::vector<Band> bands;
  for (const auto& [name, entry] : map.entries()) {
    if (name == "at_least_every") continue;
    Band band{name, 0, entry.raw().ends_with('%')};
    band.width = band.relative ? entry.percent() : entry.number();
    if (!(band.width >= 0)) entry.problem("must not be negative");
    bands.push_back(std::move(band));
  }
  if (bands.empty() || bands.size() > kFieldsMax) {
    node.problem(bands.empty() ? "names no field; write { temp: 0.2, vib: 1%, at_least_every: 30s }"
                               : fmt::format("names more than {} fields", kFieldsMax));
    return nullptr;
  }
  auto micros = std::chrono::duration_cast<std::chrono::microseconds>(at_least_every).count();
  return std::make_unique<Deadband>(std::move(bands), micros);
}

}  // namespace penstock::ext::steps
