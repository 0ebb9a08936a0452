// What of one budget is spent and held.
//
// Calendar budgets: a call belongs to the period in which it was admitted, also when it settles in the next one. The
// last few periods are remembered by their begin, so that a wall clock that is set back, or forth and back, finds its
// periods again as they were. A period earlier than all that are known begins with what the earliest of them has spent
// and holds: setting the clock back never makes money.
//
// Rolling budgets go by the steady clock, in 60 parts: what was spent counts from its settlement until its whole part
// has left the window, so that no window of that length ever holds more than the amount. Held amounts always count.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "quota/account.h"
#include "quota/zone.h"

namespace penstock::quota {

// A budget and the zone of its calendar, found.
struct BudgetPlan {
  BudgetRule rule;
  const Zone* zone = nullptr;
  bool calendar() const { return rule.period != BudgetRule::Period::rolling; }
};

struct BudgetPeriod {
  base::WallMicros begin = 0;
  base::WallMicros end = 0;  // before which it is the present one; both 0: none yet
  std::int64_t spent = 0;
  std::int64_t held = 0;
  std::int64_t extra = 0;     // given on top of the amount, or taken off
  std::uint32_t alerted = 0;  // bit i: alert i of the rule was raised
};

// Not thread-safe: behind its account's lock.
class BudgetMeter {
 public:
  BudgetMeter() = default;
  ~BudgetMeter();
  BudgetMeter(BudgetMeter&&) noexcept;
  BudgetMeter& operator=(BudgetMeter&&) noexcept;

  // Makes the period of `now` the present one. First of all.
  void advance(const BudgetPlan& plan, const Now& now);
  const BudgetPeriod& present() const { return present_; }
  std::int64_t amount(const BudgetPlan& plan) const;
  // What is neither spent nor held.
  std::int64_t free(const BudgetPlan& plan) const { return amount(plan) - present_.spent - present_.held; }
  // When the present period ends; of a rolling one when some of what was spent counts no more; 0: never.
  base::WallMicros renews(const BudgetPlan& plan, const Now& now) const;

  void hold(std::int64_t amount);
  // What was held becomes used. A period that is known no more counts as the present one.
  struct Settlement {
    const Now& admitted;
    const Now& now;
    std::int64_t held = 0;
    std::int64_t used = 0;
  };
  // True: in the present period.
  bool settle(const BudgetPlan& plan, const Settlement& settled);
  // A call admitted at `admitted` holds so much more.
  // True: in the present period.
  bool raise(const BudgetPlan& plan, const Now& admitted, std::int64_t by);
  void spend(std::int64_t amount);
  // More for the present period; of a rolling one until a whole length has passed.
  void give(std::int64_t amount);
  // The alerts that were reached and not yet raised: bits of the rule's list. Raises them.
  std::uint32_t take_alerts(const BudgetPlan& plan);

  // --- to keep and restore ---
  // Nothing spent, held or given, now or in what is remembered.
  bool blank() const;
  std::vector<BudgetPeriod> periods() const;  // of a calendar
  // Of a rolling one: when each part that counts has ended, and what was spent in it.
  using Parts = std::vector<std::pair<base::SteadyTime, std::int64_t>>;
  Parts parts(const BudgetPlan& plan) const;
  // So much more (or less) was spent in a period and given to it elsewhere. One that is not known is skipped.
  void add(const BudgetPeriod& more);
  void restore(std::span<const BudgetPeriod> periods);
  void restore(const BudgetPlan& plan, const Parts& parts, std::uint32_t alerted);

 private:
  static constexpr std::size_t kPast = 3;
  static constexpr std::size_t kParts = 60;
  struct Past {
    std::array<BudgetPeriod, kPast> periods{};  // those with an `end`
  };
  struct Ring {
    std::array<std::int64_t, kParts + 1> spent{};
    std::int64_t latest = 0;  // number of the newest part since the steady clock's begin
    std::int64_t& at(std::int64_t part);
  };
  static std::int64_t part_width(const BudgetPlan& plan);
  void advance_calendar(const BudgetPlan& plan, base::WallMicros wall);
  void advance_ring(const BudgetPlan& plan, base::SteadyTime now);
  BudgetPeriod* find(base::WallMicros time);
  BudgetPeriod next(const BudgetPlan& plan, base::WallMicros wall) const;
  void put_away(const BudgetPeriod& period);

  BudgetPeriod present_;
  std::unique_ptr<Past> past_;
  std::unique_ptr<Ring> ring_;
};

}  // namespace penstock::quota
