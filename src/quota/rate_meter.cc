#include "quota/rate_meter.h"

#include <algorithm>

namespace penstock::quota {
namespace {

using Wide = __int128;

constexpr std::int64_t kDebtMax = std::chrono::nanoseconds(std::chrono::days(1)).count();
// More than any limit allows: what is beyond is a figure gone wrong, and a day of debt anyway.
constexpr std::int64_t kUnitsMax = 10'000'000'000'000;

std::int64_t nanos(base::SteadyTime time) { return time.time_since_epoch().count(); }

struct Division {
  Wide quotient;
  std::int64_t rest;  // never negative
};

Division divide(Wide value, std::int64_t by) {
  if (value >= 0 && value <= INT64_MAX) {
    auto narrow = static_cast<std::int64_t>(value);
    return {narrow / by, narrow % by};
  }
  Wide quotient = value / by;
  auto rest = static_cast<std::int64_t>(value % by);
  if (rest < 0) return {quotient - 1, rest + by};
  return {quotient, rest};
}

}  // namespace

RateMeter::Full RateMeter::full(base::SteadyTime now) const {
  if (full_at_ < nanos(now)) return {nanos(now), 0};
  return {full_at_, part_};
}

base::Duration RateMeter::delay(base::SteadyTime now, std::int64_t units, const RateLimit& limit) const {
  Full state = full(now);
  units = std::clamp<std::int64_t>(units, 0, limit.amount);
  Wide over = Wide(state.at - nanos(now) - limit.window.count()) * limit.amount + state.part +
              Wide(units) * limit.window.count();
  if (over <= 0) return {};
  Division time = divide(over, limit.amount);
  return base::Duration(static_cast<std::int64_t>(time.quotient) + (time.rest > 0 ? 1 : 0));
}

void RateMeter::charge(base::SteadyTime now, std::int64_t units, const RateLimit& limit) {
  if (units == 0) return;
  Full state = full(now);
  units = std::clamp(units, -kUnitsMax, kUnitsMax);
  Division time = divide(Wide(units) * limit.window.count() + state.part, limit.amount);
  std::int64_t latest = nanos(now) + limit.window.count() + kDebtMax;
  Wide at = Wide(state.at) + time.quotient;
  full_at_ = at >= latest ? latest : static_cast<std::int64_t>(std::max<Wide>(at, 0));
  part_ = at >= latest ? 0 : time.rest;
}

std::int64_t RateMeter::remaining(base::SteadyTime now, const RateLimit& limit) const {
  Full state = full(now);
  Wide left = Wide(nanos(now) + limit.window.count() - state.at) * limit.amount - state.part;
  return left <= 0 ? 0 : static_cast<std::int64_t>(divide(left, limit.window.count()).quotient);
}

bool RateMeter::in_debt(base::SteadyTime now, const RateLimit& limit) const {
  Full state = full(now);
  return state.at + (state.part > 0 ? 1 : 0) > nanos(now) + limit.window.count();
}

base::Duration RateMeter::full_after(base::SteadyTime now) const {
  Full state = full(now);
  return base::Duration(state.at - nanos(now) + (state.part > 0 ? 1 : 0));
}

void RateMeter::rescale() {
  if (part_ > 0) ++full_at_;
  part_ = 0;
}

}  // namespace penstock::quota
