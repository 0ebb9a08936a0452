// A limit of so many units per minute, shared by all cores without a lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace penstock::flow {

// The generic cell rate algorithm (ITU-T I.371): one word says when the bucket would be full again. A full bucket lets
// `per_minute` units pass at once; they come back evenly over a minute. Exact under races: every grant is one
// compare-and-swap.
class RateBucket {
 public:
  struct Answer {
    bool granted = false;
    std::int64_t remaining = 0;    // units that could be taken now
    base::Duration retry_after{};  // when refused: until `units` would be granted
    base::Duration full_after{};   // until the bucket is full again
  };

  // Takes `units` (at most a whole bucket; larger asks are treated as that) or none. `units` 0 only looks.
  Answer take(base::SteadyTime now, std::int64_t units, std::int64_t per_minute);
  // Corrects an earlier take: positive charges more (even into debt, at most a day of it), negative
  // gives back.
  void adjust(base::SteadyTime now, std::int64_t units, std::int64_t per_minute);

 private:
  std::atomic<std::int64_t> full_at_nanos_{0};
};

}  // namespace penstock::flow
