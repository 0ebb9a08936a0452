// Calendar periods in a time zone.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "quota/rules.h"

namespace penstock::quota {

// A time zone of the system's database (package tzdata). Lives as long as the program.
class Zone;

// Null stands for UTC, which needs no database. Errors: not_found (with the name that was likely meant), unavailable
// when the machine has no time zone database. Any thread.
Result<const Zone*> find_zone(const std::string& name);

// From `begin` on, before `end`.
struct Span {
  base::WallMicros begin = 0;
  base::WallMicros end = 0;
};

// The day, week or month that `time` lies in. A day on which clocks change has 23 or 25 hours.
Span calendar_period(BudgetRule::Period period, const Zone* zone, base::WallMicros time);

}  // namespace penstock::quota
