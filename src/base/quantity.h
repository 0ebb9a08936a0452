// Quantities as people write them in configuration: every number with its unit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::base {

// "250us" "20ms" "1.5s" "5m" "2h" "7d" "2w"; "0" alone is allowed. Never negative.
Result<Duration> parse_duration(std::string_view text);
// Shortest exact form: 90s, 1500ms, 2h.
std::string format_duration(Duration value);

// "512" is refused; "512B" "64KiB" "64KB" "10MB" "2GB" "1GiB". K/M/G/T are powers of 1000, Ki/Mi/Gi/Ti of 1024.
Result<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

// "5%" is 0.05; "0.5%" 0.005. Between 0 % and 100 %.
Result<double> parse_percent(std::string_view text);

// "1/min" "2000/s" "10/h" "5/d": events per second.
Result<double> parse_rate(std::string_view text);

// "5USD" "0.15USD": millionths of a US dollar, at most 9 digits before the point.
Result<std::int64_t> parse_usd_micros(std::string_view text);

// An amount per period: "5USD/day" "20USD/month".
struct Budget {
  std::int64_t micros = 0;
  std::string period;  // day, week or month
};
Result<Budget> parse_budget(std::string_view text);

// The candidate closest to `word` by edit distance, when it is close enough to be a likely slip.
std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace penstock::base
