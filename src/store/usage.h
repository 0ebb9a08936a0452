// What was used, and how the ledger is asked for it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::store {

struct UsageSums {
  std::int64_t requests = 0;
  std::int64_t errors = 0;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t cached_tokens = 0;       // of the input, read from the provider's cache
  std::int64_t cache_write_tokens = 0;  // of the input, written to it
  std::int64_t reasoning_tokens = 0;    // of the output
  std::int64_t cost_micros = 0;         // millionths of a US dollar, as far as prices are known
  std::int64_t unpriced_requests = 0;   // whose cost is not, or not wholly, in cost_micros
  std::int64_t estimated_requests = 0;  // whose tokens were not told by the provider
  std::int64_t waited_micros = 0;       // for their turn, before they were sent on

  UsageSums& operator+=(const UsageSums& other);
  bool operator==(const UsageSums&) const = default;
};

// One of the sums, as columns of the table and of exports are made from it.
struct UsageColumn {
  std::string_view name;
  std::int64_t UsageSums::* member;
};
constexpr std::array<UsageColumn, 11> kUsageColumns{{
    {"requests", &UsageSums::requests},
    {"errors", &UsageSums::errors},
    {"input_tokens", &UsageSums::input_tokens},
    {"output_tokens", &UsageSums::output_tokens},
    {"cached_tokens", &UsageSums::cached_tokens},
    {"cache_write_tokens", &UsageSums::cache_write_tokens},
    {"reasoning_tokens", &UsageSums::reasoning_tokens},
    {"cost_micros", &UsageSums::cost_micros},
    {"unpriced_requests", &UsageSums::unpriced_requests},
    {"estimated_requests", &UsageSums::estimated_requests},
    {"waited_micros", &UsageSums::waited_micros},
}};

struct UsageRow {
  base::WallMicros at = 0;  // written: when the call came in; read: the begin of the minute, hour or day, 0 without
  std::string key, team, model, target, api;
  UsageSums used;
};

// Whom or what usage is of.
struct UsageDimension {
  std::string_view name;
  std::string UsageRow::* member;
};
constexpr std::array<UsageDimension, 5> kUsageDimensions{{
    {"key", &UsageRow::key},
    {"team", &UsageRow::team},
    {"model", &UsageRow::model},
    {"target", &UsageRow::target},
    {"api", &UsageRow::api},
}};

enum class UsageGrain : std::uint8_t { whole, day, hour, minute };  // days are of UTC
enum class UsageOrder : std::uint8_t { name, requests, tokens, cost };

struct UsageQuery {
  base::WallMicros since = 0;  // to the minute; 0: from the first
  base::WallMicros until = 0;  // exclusive, to the minute; 0: to the last
  // Rows are apart by these; others are summed up.
  std::array<bool, kUsageDimensions.size()> by{};  // in the order of kUsageDimensions
  UsageGrain per = UsageGrain::whole;
  // Only usage of exactly these; an empty name is one, too: of calls without a key, for instance.
  std::array<std::optional<std::string>, kUsageDimensions.size()> only{};
  // Rows come by time, then in this order: names alphabetically, figures largest first.
  UsageOrder order = UsageOrder::name;
  std::int64_t limit = 0;  // rows; 0: all of them
};

// What an answer covers: the ends of a query move outwards to whole hours, or days, where finer rows are kept no
// longer.
struct UsageRange {
  base::WallMicros since = 0;
  base::WallMicros until = 0;
};

// How long rows are kept.
struct UsageRetention {
  base::Duration minutes = std::chrono::days(14);
  base::Duration hours = std::chrono::days(90);
  base::Duration days = std::chrono::days(400);
};

// "key", "team,model,day": sets `by` and `per`. Errors: invalid_argument, naming what there is.
Result<void> parse_group_by(std::string_view text, UsageQuery& query);
// "name", "requests", "tokens", "cost". Errors: invalid_argument.
Result<UsageOrder> parse_order(std::string_view text);
// The index in `only` and `by` of a dimension's name; nothing when there is none of that name.
std::optional<std::size_t> usage_dimension(std::string_view name);

}  // namespace penstock::store
