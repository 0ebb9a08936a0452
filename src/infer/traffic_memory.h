// What is decided about a model's traffic and what it was decided from: kept over restarts. Each part belongs to the
// configuration it was made under, and is forgotten where that has changed.
#pragma once

#include "infer/traffic.h"

namespace penstock::infer {

struct TrafficMemory {
  // The canary.
  CanaryView::Stage stage = CanaryView::Stage::watching;
  base::WallMicros decided = 0;
  std::string words;
  base::Duration watched{};
  std::vector<Count> counts;  // by rule
  std::vector<Count> others;
  // By command.
  std::int64_t promoted = 0;  // 0: none
  std::int64_t before = 0;    // what was promoted before that
  std::optional<std::map<std::string, std::int64_t>> labels;
  std::optional<std::map<std::int64_t, double>> split;

  // A JSON object.
  std::string to_text(const TrafficConfig& config) const;
  // What of `text` belongs to `config`; what cannot be read counts as nothing. `changed`: some of it does not.
  static TrafficMemory from_text(std::string_view text, const TrafficConfig& config, bool& changed);
};

}  // namespace penstock::infer
