// How much of one rate is used: the generic cell rate algorithm (ITU-T I.371), the rule of flow::RateBucket too, here
// in exact integers behind its account's lock.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "quota/rules.h"

namespace penstock::quota {

// Two words say when everything will have been given back. Not thread-safe.
class RateMeter {
 public:
  // How long until `units` (more than the whole amount count as the amount) can be taken; zero: now.
  base::Duration delay(base::SteadyTime now, std::int64_t units, const RateLimit& limit) const;
  // Takes what delay() let through; negative gives back, and more than there is goes into debt: at most a day of it.
  void charge(base::SteadyTime now, std::int64_t units, const RateLimit& limit);
  // What could be taken now.
  std::int64_t remaining(base::SteadyTime now, const RateLimit& limit) const;
  // More was charged than there is.
  bool in_debt(base::SteadyTime now, const RateLimit& limit) const;
  base::Duration full_after(base::SteadyTime now) const;
  // The limit has another amount: the share that is used stays.
  void rescale();
  void restore(base::SteadyTime full_at) { full_at_ = full_at.time_since_epoch().count(); }

 private:
  struct Full {
    std::int64_t at;
    std::int64_t part;
  };
  Full full(base::SteadyTime now) const;

  std::int64_t full_at_ = 0;  // nanoseconds of the steady clock,
  std::int64_t part_ = 0;     // and so many of the `amount` parts of one
};

}  // namespace penstock::quota
