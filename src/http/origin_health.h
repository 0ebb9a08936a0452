// Whether an origin is worth asking. Shared by every core: atomics only, and two relaxed loads per good answer.
//
// Passive: failures in a row eject the origin for a while that grows with each ejection (Envoy's outlier detection).
// After that time it is asked again; the next answer decides. Active: a checker that calls it says up or down.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace penstock::http {

struct OutlierPolicy {
  std::int64_t failures = 5;                           // in a row; 0 never ejects
  base::Duration eject = std::chrono::seconds(30);     // times the number of ejections
  base::Duration eject_max = std::chrono::minutes(5);  // never longer, unless `eject` is
  bool operator==(const OutlierPolicy&) const = default;
};

struct HealthCheck {
  base::Duration interval = std::chrono::seconds(10);
  base::Duration timeout = std::chrono::seconds(2);
  std::int64_t unhealthy_after = 3;  // bad checks in a row
  std::int64_t healthy_after = 2;    // good ones
  bool operator==(const HealthCheck&) const = default;
};

class OriginHealth {
 public:
  enum class Change { none, out, back };

  // A call failed for a reason of the origin's. `out` to the one caller whose failure ejected it.
  Change failed(const OutlierPolicy& policy, base::SteadyTime now);
  // It answered. `back` to the one caller whose answer ended an ejection that is over.
  Change succeeded(base::SteadyTime now);
  // A check ended; one checker at a time.
  Change checked(const HealthCheck& check, bool good);
  // Nobody checks any more: what was found counts no longer.
  void unchecked() { down_.store(false, std::memory_order_relaxed); }

  // Neither ejected nor found down.
  bool usable(base::SteadyTime now) const { return !down() && now >= ejected_until(); }
  bool down() const { return down_.load(std::memory_order_relaxed); }
  // In the past or zero when it is not ejected.
  base::SteadyTime ejected_until() const { return at(until_.load(std::memory_order_relaxed)); }
  std::uint64_t ejections() const { return ejections_.load(std::memory_order_relaxed); }

 private:
  static base::SteadyTime at(std::int64_t nanos) { return base::SteadyTime(std::chrono::nanoseconds(nanos)); }

  std::atomic<std::int64_t> failures_{0};  // in a row
  std::atomic<std::int64_t> until_{0};     // end of the ejection; 0 without one, kept until a success
  std::atomic<std::int64_t> times_{0};     // ejections in short order
  std::atomic<std::int64_t> back_since_{0};
  std::atomic<std::uint64_t> ejections_{0};
  std::atomic<bool> down_{false};
  std::int64_t checks_in_a_row_ = 0;  // the checker's: with the outcome that is not the present one
};

}  // namespace penstock::http
