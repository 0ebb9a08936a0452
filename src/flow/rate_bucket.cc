#include "flow/rate_bucket.h"

#include <algorithm>

namespace penstock::flow {
namespace {

constexpr std::int64_t kMinuteNanos = 60'000'000'000;

// A day: whatever a provider reports, its caller waits no longer than that for the next call.
constexpr std::int64_t kDebtNanosMax = 24 * 60 * kMinuteNanos;

// Time it takes to give back `units`, at most a day either way; in floating point because units * minute overflows for
// large token limits.
std::int64_t cost(std::int64_t units, std::int64_t per_minute) {
  double nanos = static_cast<double>(units) * static_cast<double>(kMinuteNanos) / static_cast<double>(per_minute);
  return static_cast<std::int64_t>(
      std::clamp(nanos, -static_cast<double>(kDebtNanosMax), static_cast<double>(kDebtNanosMax)));
}

}  // namespace

RateBucket::Answer RateBucket::take(base::SteadyTime now_time, std::int64_t units, std::int64_t per_minute) {
  std::int64_t now = now_time.time_since_epoch().count();
  units = std::min(units, per_minute);
  std::int64_t seen = full_at_nanos_.load(std::memory_order_relaxed);
  while (true) {
    std::int64_t full_at = std::max(seen, now);
    std::int64_t wanted = full_at + cost(units, per_minute);
    Answer answer;
    answer.granted = wanted - now <= kMinuteNanos;
    if (!answer.granted) {
      answer.retry_after = base::Duration(wanted - now - kMinuteNanos);
      wanted = full_at;
    }
    double free_share = 1.0 - static_cast<double>(wanted - now) / static_cast<double>(kMinuteNanos);
    answer.remaining =
        std::max<std::int64_t>(0, static_cast<std::int64_t>(free_share * static_cast<double>(per_minute) + 1e-6));
    answer.full_after = base::Duration(wanted - now);
    if (!answer.granted || units == 0) return answer;
    if (full_at_nanos_.compare_exchange_weak(seen, wanted, std::memory_order_relaxed)) return answer;
  }
}

void RateBucket::adjust(base::SteadyTime now_time, std::int64_t units, std::int64_t per_minute) {
  if (units == 0) return;
  std::int64_t now = now_time.time_since_epoch().count();
  std::int64_t change = cost(units, per_minute);
  std::int64_t seen = full_at_nanos_.load(std::memory_order_relaxed);
  while (!full_at_nanos_.compare_exchange_weak(seen, std::min(std::max(seen, now) + change, now + kDebtNanosMax),
                                               std::memory_order_relaxed)) {
  }
}

}  // namespace penstock::flow
