#include "http/origin_health.h"

#include <algorithm>

namespace penstock::http {
namespace {

std::int64_t nanos(base::SteadyTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

}  // namespace

OriginHealth::Change OriginHealth::failed(const OutlierPolicy& policy, base::SteadyTime now) {
  std::int64_t in_a_row = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  std::int64_t until = until_.load(std::memory_order_relaxed);
  if (policy.failures == 0 || now < at(until)) return Change::none;
  bool on_trial = until != 0;
  if (!on_trial && in_a_row < policy.failures) return Change::none;
  // Well again for as long as the longest ejection: what was before does not count.
  bool long_ago = !on_trial && now - at(back_since_.load(std::memory_order_relaxed)) > policy.eject_max;
  std::int64_t times = long_ago ? 1 : times_.load(std::memory_order_relaxed) + 1;
  base::Duration time = std::min(policy.eject * times, std::max(policy.eject, policy.eject_max));
  if (!until_.compare_exchange_strong(until, nanos(now + time))) return Change::none;
  times_.store(times, std::memory_order_relaxed);
  failures_.store(0, std::memory_order_relaxed);
  ejections_.fetch_add(1, std::memory_order_relaxed);
  return Change::out;
}

OriginHealth::Change OriginHealth::succeeded(base::SteadyTime now) {
  if (failures_.load(std::memory_order_relaxed) != 0) failures_.store(0, std::memory_order_relaxed);
  std::int64_t until = until_.load(std::memory_order_relaxed);
  if (until == 0 || now < at(until) || !until_.compare_exchange_strong(until, 0)) return Change::none;
  back_since_.store(nanos(now), std::memory_order_relaxed);
  return Change::back;
}

OriginHealth::Change OriginHealth::checked(const HealthCheck& check, bool good) {
  if (good != down()) {
    checks_in_a_row_ = 0;
    return Change::none;
  }
  if (++checks_in_a_row_ < (good ? check.healthy_after : check.unhealthy_after)) return Change::none;
  checks_in_a_row_ = 0;
  down_.store(!good, std::memory_order_relaxed);
  if (!good) ejections_.fetch_add(1, std::memory_order_relaxed);
  return good ? Change::back : Change::out;
}

}  // namespace penstock::http
