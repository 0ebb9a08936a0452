#include "quota/rules.h"

namespace penstock::quota {

std::string BudgetRule::text() const {
  std::string figure = unit == Unit::tokens ? fmt::format("{}tokens", amount)
                                            : fmt::format("{}.{:06}", amount / 1'000'000, amount % 1'000'000);
  if (unit == Unit::micro_usd) {
    figure.erase(figure.find_last_not_of('0') + 1);
    if (figure.ends_with('.')) figure.pop_back();
    figure += "USD";
  }
  constexpr std::array<std::string_view, 3> kPeriods{"day", "week", "month"};
  std::string per = period == Period::rolling ? base::format_duration(rolling)
                                              : std::string(kPeriods[static_cast<std::size_t>(period)]);
  return fmt::format("{}/{}{}", figure, per, zone == "UTC" ? "" : fmt::format(" ({})", zone));
}

}  // namespace penstock::quota
