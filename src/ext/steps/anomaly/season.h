// Does the hour of the day, or the day of the week, say what to expect?
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace penstock::ext::anomaly {

// The usual value at each phase of one period, learned online: a mean over about the last 8 visits per slot.
class Profile {
 public:
  Profile(base::Duration period, int slots);

  bool knows(base::WallMicros at) const { return visits_[slot(at)] > 0; }
  double mean(base::WallMicros at) const { return mean_[slot(at)]; }
  // How far `value` is from what the slot and its two neighbours expect; 0 between them, so that a step that comes a
  // slot early or late is no news.
  double distance(base::WallMicros at, double value) const;
  // Compares with what a plain level predicts, then learns the value. Only a finite value.
  void learn(base::WallMicros at, double value, double level);
  // Mean squared error against the plain level's; nothing until most of a period was judged.
  std::optional<double> error_ratio() const;

 private:
  std::size_t slot(base::WallMicros at) const;

  std::int64_t period_micros_;
  std::vector<float> mean_;
  std::vector<std::uint8_t> visits_;
  double own_error_ = 0;
  double level_error_ = 0;
  std::int64_t judged_ = 0;
};

}  // namespace penstock::ext::anomaly
