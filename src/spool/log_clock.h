// Log time: microseconds that only run forward, at the speed of the steady clock, whatever the wall clock does.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace penstock::spool {

// What the wall clock must at least show to be believed: machines without a battery start in 1970 or when they were
// made.
inline constexpr base::WallMicros kBelievableWall = 1'577'836'800'000'000;  // 2020-01-01

// What the time between two runs counts as, at most: more is rather a clock that was set, on a machine without a
// battery that had no link to ask for the time, and would make everything too old at once.
inline constexpr std::int64_t kOffMost = std::int64_t{31} * 24 * 3600 * 1'000'000;

class LogClock {
 public:
  explicit LogClock(const base::Clock& clock) : clock_(&clock), begun_(clock.steady()) {}

  // Goes on where `log_time` was reached when the wall clock showed `wall`: the time between counts if both ends of it
  // are believable and it is kOffMost or less. `newest` is the latest log time known otherwise. Both 0: a new log.
  void resume(std::int64_t log_time, base::WallMicros wall, std::int64_t newest) {
    base::WallMicros now = clock_->wall();
    bool believable = wall >= kBelievableWall && now > wall && now - wall <= kOffMost;
    base_ = std::max(log_time + (believable ? now - wall : 0), newest);
    if (base_ == 0) base_ = std::max<std::int64_t>(now, 1);
    begun_ = clock_->steady();
  }
  std::int64_t now() const {
    return base_ + std::chrono::duration_cast<std::chrono::microseconds>(clock_->steady() - begun_).count();
  }

 private:
  const base::Clock* clock_;
  base::SteadyTime begun_;
  std::int64_t base_ = 0;
};

}  // namespace penstock::spool
