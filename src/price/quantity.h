// Prices as people write them: "2.50USD/1M" for tokens, "0.04USD" for one call or image, "50%" of the whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::price {

// 10,000 USD a million tokens, and 1,000 USD an image: more is a slip.
constexpr std::int64_t kRateMax = 10'000'000'000;
constexpr std::int64_t kAmountMax = 1'000'000'000;

// "0.15USD/1M" is 150,000: micro-dollars per million tokens, exactly; at most six digits after the point. Every other
// unit is refused with the right way to write it.
Result<std::int64_t> parse_rate(std::string_view text);
// "0.04USD" is 40,000 micro-dollars, exactly.
Result<std::int64_t> parse_amount(std::string_view text);
// "50%" is 50: a whole percentage between 1 and 1,000.
Result<std::int64_t> parse_share(std::string_view text);
// "2026-01-31" in UTC, as microseconds since 1970.
Result<std::int64_t> parse_day(std::string_view text);

// The shortest exact form: 2.5USD/1M, 0.04USD.
std::string format_rate(std::int64_t rate);
std::string format_amount(std::int64_t micros);

}  // namespace penstock::price
