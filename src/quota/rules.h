// Limits and budgets as configuration and stored keys say them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/document.h"

namespace penstock::quota {

// So many requests or tokens per window, given back evenly: after a quiet window all of them may come at once.
struct RateLimit {
  enum class Unit : std::uint8_t { requests, tokens };
  Unit unit = Unit::requests;
  std::int64_t amount = 0;  // at least 1
  base::Duration window{};  // a second, a minute, an hour or a day
  bool operator==(const RateLimit&) const = default;
};

struct Limits {
  std::vector<RateLimit> rates;  // at most one for each unit and window
  std::int64_t concurrent = 0;   // requests under way; 0: no limit
  std::int64_t input_max = 0;    // tokens of one request's input; 0: no limit
  std::int64_t output_max = 0;   // tokens of one answer, to which larger wishes are lowered; 0: no limit
  base::Duration throttle{};     // how long a request may wait for its turn instead of being refused; 0: not at all
  bool operator==(const Limits&) const = default;
  bool empty() const { return *this == Limits{}; }
};

// An amount of money or of tokens per period.
struct BudgetRule {
  enum class Unit : std::uint8_t { micro_usd, tokens };
  enum class Period : std::uint8_t { day, week, month, rolling };  // weeks begin on Monday (ISO 8601)
  Unit unit = Unit::micro_usd;
  std::int64_t amount = 0;  // millionths of a US dollar, or tokens
  Period period = Period::day;
  base::Duration rolling{};         // the length of a rolling period
  std::string zone = "UTC";         // IANA name of the time zone calendar periods are of
  std::vector<double> alerts = {};  // shares of the amount, 0 < share <= 1, ascending: reaching one is an alert
  bool hard = true;                 // false: only alerts
  // 5USD/day, 2000000tokens/week, 5USD/30d: as people read it, the zone when it is not UTC.
  std::string text() const;
  bool operator==(const BudgetRule&) const = default;
};

struct Rules {
  Limits limits;
  std::vector<BudgetRule> budgets;
  bool empty() const { return limits.empty() && budgets.empty(); }
  bool operator==(const Rules&) const = default;
};

// Reads `limits:` and `budget:` of a map. Mistakes are reported on the nodes: unknown units, amounts that are negative,
// zero or absurd, two limits of one unit and window, unknown zones.
Rules parse_rules(config::Map& map);

// The same from text, as stored keys and teams keep it and the command line and the admin API take it: the YAML (or
// JSON) of a map with `limits` and `budget`. Empty: no rules. Errors: invalid_argument.
Result<Rules> parse_rules(std::string_view text);
// In one canonical form that parse_rules() reads: a JSON object; empty for no rules.
std::string to_text(const Rules& rules);

}  // namespace penstock::quota
