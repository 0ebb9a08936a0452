// The words limits and budgets are written with.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "quota/rules.h"

namespace penstock::quota {

struct WindowName {
  std::string_view name;
  base::Duration window;
};
constexpr std::array<WindowName, 4> kWindows{{{"s", std::chrono::seconds(1)},
                                              {"min", std::chrono::minutes(1)},
                                              {"h", std::chrono::hours(1)},
                                              {"day", std::chrono::days(1)}}};
// In the order of BudgetRule::Period, without `rolling`.
constexpr std::array<std::string_view, 3> kPeriods{"day", "week", "month"};

std::string_view window_name(base::Duration window);
std::string_view period_name(BudgetRule::Period period);
std::string rate_text(const RateLimit& rate);                         // 600/min
std::string amount_text(BudgetRule::Unit unit, std::int64_t amount);  // 5USD, 0.15USD, 2000tokens

}  // namespace penstock::quota
