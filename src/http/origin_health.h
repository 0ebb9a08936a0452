// Whether an origin is worth asking. Shared by every core: atomics only, and two relaxed loads per good answer.
//
// Passive: failures in a row eject the origin for a while that grows with each ejection (Envoy's outlier detection).
// After that time one call at a time tries it (half open, as circuit breakers say); how one ends decides. Active: a
// checker that calls it says up or down.
#pragma once

#include <atomic>
#include <utility>

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

  // The right to try an origin whose ejection is over; the next one may have it when this is destroyed. The origin
  // outlives it.
  class Trial {
   public:
    Trial() = default;
    explicit Trial(OriginHealth& health) : health_(&health) {}
    Trial(Trial&& other) noexcept : health_(std::exchange(other.health_, nullptr)) {}
    Trial& operator=(Trial&& other) noexcept {
      std::swap(health_, other.health_);
      return *this;
    }
    ~Trial() {
      if (health_ != nullptr) health_->tried_.store(false, std::memory_order_release);
    }
    explicit operator bool() const { return health_ != nullptr; }

   private:
    OriginHealth* health_ = nullptr;
  };

  // A call failed for a reason of the origin's. `out` to the one caller whose failure ejected it.
  Change failed(const OutlierPolicy& policy, base::SteadyTime now);
  // It answered. `back` to the one caller whose answer ended an ejection that is over.
  Change succeeded(base::SteadyTime now);
  // A check ended; one checker at a time.
  Change checked(const HealthCheck& check, bool good);
  // Nobody checks any more: what was found counts no longer.
  void unchecked() { down_.store(false, std::memory_order_relaxed); }

  // Neither ejected, nor tried by somebody after that, nor found down.
  bool usable(base::SteadyTime now) const {
    return !down() && (until_.load(std::memory_order_relaxed) == 0 || (on_trial(now) && !tried_.load()));
  }
  // Its ejection is over, and nothing shows yet that it is well.
  bool on_trial(base::SteadyTime now) const {
    std::int64_t until = until_.load(std::memory_order_relaxed);
    return until != 0 && now >= at(until);
  }
  // Empty while another call tries it.
  Trial begin_trial() { return tried_.exchange(true, std::memory_order_acquire) ? Trial() : Trial(*this); }
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
  std::atomic<bool> tried_{false};
  std::int64_t checks_in_a_row_ = 0;  // the checker's: with the outcome that is not the present one
};

}  // namespace penstock::http
