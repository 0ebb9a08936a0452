// For lines that strangers can cause: lets one through in a while, and says how many it held back.
#pragma once

#include <atomic>
#include <chrono>
#include <limits>
#include <optional>

#include "base/clock.h"

namespace penstock::obs {

// Any thread.
class LogLimit {
 public:
  static constexpr auto kInterval = std::chrono::seconds(10);
  // How many were held back since the last that passed; nothing when this one is to be held back too.
  std::optional<std::uint64_t> pass(base::SteadyTime now) {
    auto at = now.time_since_epoch().count();
    auto next = next_.load(std::memory_order_relaxed);
    if (at < next || !next_.compare_exchange_strong(next, at + base::Duration(kInterval).count())) {
      held_back_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    return held_back_.exchange(0, std::memory_order_relaxed);
  }

 private:
  std::atomic<base::Duration::rep> next_{std::numeric_limits<base::Duration::rep>::min()};
  std::atomic<std::uint64_t> held_back_{0};
};

}  // namespace penstock::obs
