#include "store/usage.h"

namespace penstock::store {

UsageSums& UsageSums::operator+=(const UsageSums& other) {
  for (const UsageColumn& column : kUsageColumns) this->*column.member += other.*column.member;
  return *this;
}

std::optional<std::size_t> usage_dimension(std::string_view name) {
  for (std::size_t i = 0; i < kUsageDimensions.size(); ++i)
    if (kUsageDimensions[i].name == name) return i;
  return std::nullopt;
}

Result<void> parse_group_by(std::string_view text, UsageQuery& query) {
  constexpr std::array<std::pair<std::string_view, UsageGrain>, 3> kGrains{
      {{"minute", UsageGrain::minute}, {"hour", UsageGrain::hour}, {"day", UsageGrain::day}}};
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const auto* grain = std::find_if(kGrains.begin(), kGrains.end(), [&](const auto& g) { return g.first == word; });
    if (auto dimension = usage_dimension(word)) {
      query.by[*dimension] = true;
    } else if (grain != kGrains.end()) {
      if (query.per != UsageGrain::whole && query.per != grain->second)
        return fail(Errc::invalid_argument, "usage is grouped by one of minute, hour and day");
      query.per = grain->second;
    } else {
      return fail(Errc::invalid_argument,
                  fmt::format("usage is not grouped by '{}': write some of key, team, model, target, api, and one of "
                              "minute, hour, day, with commas between",
                              word));
    }
  }
  return {};
}

Result<UsageOrder> parse_order(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, UsageOrder>, 4> kOrders{{{"name", UsageOrder::name},
                                                                            {"requests", UsageOrder::requests},
                                                                            {"tokens", UsageOrder::tokens},
                                                                            {"cost", UsageOrder::cost}}};
  for (const auto& [name, order] : kOrders)
    if (name == text) return order;
  return fail(Errc::invalid_argument,
              fmt::format("usage is not ordered by '{}': write name, requests, tokens or cost", text));
}

}  // namespace penstock::store
