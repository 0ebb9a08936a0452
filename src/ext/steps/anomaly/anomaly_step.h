// The pipeline step `anomaly`: adds a score per watched field, from one detector per device and field.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ext/steps/anomaly/detector.h"
#include "ingest/contracts.h"

namespace penstock::ext::anomaly {

struct WatchedField {
  std::string name;
  std::string score;  // the field that is added
};

// What is learned lives in memory only. When more than `devices_most` devices are alive the one unheard longest is
// forgotten and would start again with its warm-up.
class AnomalyStep : public ingest::Step {
 public:
  AnomalyStep(std::vector<WatchedField> fields, Settings settings, std::size_t devices_most);

  // Every sample goes on, in order and at once. No score is added where there is nothing to judge: the field is
  // missing, no number, not finite, or the sample's quality is bad; nothing is learned from it either.
  void push(ingest::Sample sample, ingest::Output& out) override;
  // What was learned of a field is kept as long as it is judged the same way.
  void adopt(ingest::Step& before) override;
  ingest::StepPlan plan(const ingest::Shape& in) const override;

  std::size_t devices() const { return by_name_.size(); }

 private:
  struct Device {
    std::string name;
    std::vector<Detector> detectors;  // one per watched field
  };
  Device& device(std::string_view name);

  std::vector<WatchedField> fields_;
  Settings settings_;
  std::size_t devices_most_;
  std::list<Device> recent_first_;
  std::unordered_map<std::string_view, std::list<Device>::iterator> by_name_;  // keys live in the list
};

// Reads { field | fields, score, season, sensitivity, devices }. Null after a mistake, which is reported on `kind`.
std::unique_ptr<ingest::Step> make_step(const config::Node& kind);

}  // namespace penstock::ext::anomaly
