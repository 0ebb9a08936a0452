#include "quota/budget_meter.h"

#include <algorithm>
#include <utility>

namespace penstock::quota {
namespace {

std::int64_t plus(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return b > 0 ? INT64_MAX : INT64_MIN;
  return sum;
}

bool contains(const BudgetPeriod& period, base::WallMicros time) { return time >= period.begin && time < period.end; }

}  // namespace

BudgetMeter::~BudgetMeter() = default;
BudgetMeter::BudgetMeter(BudgetMeter&&) noexcept = default;
BudgetMeter& BudgetMeter::operator=(BudgetMeter&&) noexcept = default;

void BudgetMeter::advance(const BudgetPlan& plan, const Now& now) {
  if (plan.calendar()) {
    if (!contains(present_, now.wall)) advance_calendar(plan, now.wall);
  } else {
    advance_ring(plan, now.steady);
  }
}

void BudgetMeter::advance_calendar(const BudgetPlan& plan, base::WallMicros wall) {
  wall = std::max<base::WallMicros>(wall, 0);
  if (contains(present_, wall)) return;
  BudgetPeriod wanted;
  if (BudgetPeriod* known = find(wall)) {
    wanted = std::exchange(*known, {});
  } else {
    wanted = next(plan, wall);
  }
  if (present_.end != 0) put_away(present_);
  present_ = wanted;
}

// The period of `wall`, which is not known.
BudgetPeriod BudgetMeter::next(const BudgetPlan& plan, base::WallMicros wall) const {
  Span span = calendar_period(plan.rule.period, plan.zone, wall);
  BudgetPeriod period{.begin = span.begin, .end = std::max(span.end, wall + 1)};
  if (present_.end == 0) return period;
  const BudgetPeriod* earliest = &present_;
  if (past_) {
    for (const BudgetPeriod& past : past_->periods) {
      if (past.end != 0 && past.begin < earliest->begin) earliest = &past;
    }
  }
  if (period.begin >= earliest->begin) return period;
  period.end = std::min(period.end, earliest->begin);
  period.spent = plus(earliest->spent, earliest->held);
  period.extra = earliest->extra;
  period.alerted = earliest->alerted;
  return period;
}

// In the place of the earliest one that is remembered, which is forgotten.
void BudgetMeter::put_away(const BudgetPeriod& period) {
  if (!past_) past_ = std::make_unique<Past>();
  auto earlier = [](const BudgetPeriod& a, const BudgetPeriod& b) {
    return std::pair(a.end != 0, a.begin) < std::pair(b.end != 0, b.begin);
  };
  *std::min_element(past_->periods.begin(), past_->periods.end(), earlier) = period;
}

BudgetPeriod* BudgetMeter::find(base::WallMicros time) {
  if (contains(present_, time)) return &present_;
  if (past_) {
    for (BudgetPeriod& past : past_->periods) {
      if (contains(past, time)) return &past;
    }
  }
  return nullptr;
}

std::int64_t BudgetMeter::part_width(const BudgetPlan& plan) {
  return (plan.rule.rolling.count() + static_cast<std::int64_t>(kParts) - 1) / static_cast<std::int64_t>(kParts);
}

// Parts from before the steady clock began have negative numbers.
std::int64_t& BudgetMeter::Ring::at(std::int64_t part) {
  auto size = static_cast<std::int64_t>(spent.size());
  return spent[static_cast<std::size_t>((part % size + size) % size)];
}

void BudgetMeter::advance_ring(const BudgetPlan& plan, base::SteadyTime now) {
  std::int64_t part = now.time_since_epoch().count() / part_width(plan);
  if (!ring_) {
    ring_ = std::make_unique<Ring>();
    ring_->latest = part;
    return;
  }
  std::int64_t over = std::min<std::int64_t>(part - ring_->latest, static_cast<std::int64_t>(ring_->spent.size()));
  for (std::int64_t i = 1; i <= over; ++i) {
    present_.spent -= std::exchange(ring_->at(ring_->latest + i), 0);
  }
  ring_->latest = std::max(ring_->latest, part);
}

std::int64_t BudgetMeter::amount(const BudgetPlan& plan) const { return plus(plan.rule.amount, present_.extra); }

base::WallMicros BudgetMeter::renews(const BudgetPlan& plan, const Now& now) const {
  if (plan.calendar()) return present_.end;
  if (!ring_) return 0;
  auto parts = static_cast<std::int64_t>(ring_->spent.size());
  for (std::int64_t part = ring_->latest - parts + 1; part <= ring_->latest; ++part) {
    if (ring_->at(part) == 0) continue;
    base::Duration gone((part + parts) * part_width(plan));
    auto ahead = std::chrono::ceil<std::chrono::microseconds>(gone - now.steady.time_since_epoch());
    return now.wall + std::max<base::WallMicros>(ahead.count(), 0);
  }
  return 0;
}

void BudgetMeter::hold(std::int64_t amount) { present_.held = plus(present_.held, amount); }

void BudgetMeter::spend(std::int64_t amount) {
  present_.spent = plus(present_.spent, amount);
  if (!ring_) return;
  std::int64_t& part = ring_->at(ring_->latest);
  part = plus(part, amount);
}

void BudgetMeter::give(std::int64_t amount) {
  if (ring_) {
    spend(-amount);
  } else {
    present_.extra = plus(present_.extra, amount);
  }
}

bool BudgetMeter::raise(const BudgetPlan& plan, const Now& admitted, std::int64_t by) {
  BudgetPeriod* period = plan.calendar() ? find(std::max<base::WallMicros>(admitted.wall, 0)) : &present_;
  if (period != nullptr) period->held = plus(period->held, by);
  return period == &present_;
}

bool BudgetMeter::settle(const BudgetPlan& plan, const Settlement& settled) {
  if (!plan.calendar()) {
    advance_ring(plan, settled.now.steady);
    present_.held -= settled.held;
    spend(settled.used);
    return true;
  }
  BudgetPeriod* period = find(std::max<base::WallMicros>(settled.admitted.wall, 0));
  if (period == nullptr) {
    advance_calendar(plan, settled.now.wall);
    present_.spent = plus(present_.spent, settled.used);
    return true;
  }
  period->held -= settled.held;
  period->spent = plus(period->spent, settled.used);
  return period == &present_;
}

std::uint32_t BudgetMeter::take_alerts(const BudgetPlan& plan) {
  std::uint32_t reached = 0;
  auto amount_now = static_cast<double>(amount(plan));
  for (std::size_t i = 0; i < plan.rule.alerts.size(); ++i) {
    // A millionth off: 80 % of 5 is not quite 4 in binary.
    if (static_cast<double>(present_.spent) >= plan.rule.alerts[i] * amount_now * (1 - 1e-12)) reached |= 1U << i;
  }
  // A rolling budget has no end at which alerts start anew: one that fell below its share may raise it again.
  if (!plan.calendar()) present_.alerted &= reached;
  std::uint32_t fresh = reached & ~present_.alerted;
  present_.alerted |= reached;
  return fresh;
}

bool BudgetMeter::blank() const {
  auto nothing = [](const BudgetPeriod& period) { return period.spent == 0 && period.held == 0 && period.extra == 0; };
  return nothing(present_) && (!past_ || std::ranges::all_of(past_->periods, nothing));
}

std::vector<BudgetPeriod> BudgetMeter::periods() const {
  std::vector<BudgetPeriod> periods;
  if (present_.end != 0) periods.push_back(present_);
  if (past_)
    std::ranges::copy_if(past_->periods, std::back_inserter(periods), [](auto& past) { return past.end != 0; });
  return periods;
}

BudgetMeter::Parts BudgetMeter::parts(const BudgetPlan& plan) const {
  Parts parts;
  if (!ring_) return parts;
  auto size = static_cast<std::int64_t>(ring_->spent.size());
  for (std::int64_t part = ring_->latest - size + 1; part <= ring_->latest; ++part) {
    std::int64_t spent = ring_->at(part);
    if (spent != 0) parts.emplace_back(base::Duration((part + 1) * part_width(plan) - 1), spent);
  }
  return parts;
}

void BudgetMeter::add(const BudgetPeriod& more) {
  BudgetPeriod* period = find(more.begin);
  if (period == nullptr) return;
  period->spent = plus(period->spent, more.spent);
  period->extra = plus(period->extra, more.extra);
}

void BudgetMeter::restore(std::span<const BudgetPeriod> periods) {
  for (const BudgetPeriod& period : periods) {
    if (present_.end != 0) put_away(present_);
    present_ = period;
  }
}

void BudgetMeter::restore(const BudgetPlan& plan, const Parts& parts, std::uint32_t alerted) {
  present_.alerted = alerted;
  for (const auto& [time, spent] : parts) {
    advance_ring(plan, time);
    spend(spent);
  }
}

}  // namespace penstock::quota
