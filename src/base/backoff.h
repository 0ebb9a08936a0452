// Waiting times between attempts: exponential growth with jitter, so that a thousand gateways do not knock at once when
// their broker comes back. Not thread-safe.
#pragma once

#include <algorithm>
#include <random>

#include "base/clock.h"

namespace penstock::base {

class Backoff {
 public:
  // Attempt n waits between half and all of least * 2^n, never longer than `most`.
  Backoff(Duration least, Duration most, std::uint64_t seed = std::random_device{}())
      : least_(least), most_(most), step_(least), random_(seed) {}

  Duration next() {
    const Duration step = step_;
    step_ = step > most_ / 2 ? most_ : step * 2;
    return step / 2 + Duration(std::uniform_int_distribution<Duration::rep>(0, step.count() / 2)(random_));
  }
  // After a success: the next failure starts small again.
  void reset() { step_ = std::min(least_, most_); }

 private:
  Duration least_;
  Duration most_;
  Duration step_;
  std::mt19937_64 random_;
};

}  // namespace penstock::base
