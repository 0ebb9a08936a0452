#include "price/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

namespace penstock::price {
namespace {

constexpr std::int64_t kMicros = 1'000'000;
constexpr std::size_t kDecimals = 6;
constexpr std::size_t kWholeDigits = 12;

// A number of dollars as written, in whole micro-dollars.
struct Dollars {
  std::int64_t micros = 0;
  double value = 0;   // of everything written, for hints
  bool exact = true;  // no digit was lost
  bool negative = false;
  std::string_view unit;  // what follows the number
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t count_digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
}

// Nothing when `text` does not start with a number of at most kWholeDigits before the point.
std::optional<Dollars> read_dollars(std::string_view text) {
  Dollars read;
  read.negative = text.starts_with('-');
  if (read.negative) text.remove_prefix(1);
  std::size_t whole = count_digits(text);
  if (whole == 0 || whole > kWholeDigits) return std::nullopt;
  std::from_chars(text.data(), text.data() + whole, read.micros);
  read.micros *= kMicros;
  std::size_t end = whole;
  if (text.substr(whole).starts_with('.')) {
    std::size_t decimals = count_digits(text.substr(whole + 1));
    if (decimals == 0) return std::nullopt;
    std::string_view fraction = text.substr(whole + 1, decimals);
    std::int64_t scale = kMicros / 10;
    for (char c : fraction.substr(0, kDecimals)) {
      read.micros += (c - '0') * scale;
      scale /= 10;
    }
    read.exact = fraction.substr(std::min(decimals, kDecimals)).find_first_not_of('0') == std::string_view::npos;
    end += 1 + decimals;
  }
  std::from_chars(text.data(), text.data() + end, read.value, std::chars_format::fixed);
  read.unit = text.substr(end);
  while (read.unit.starts_with(' ')) read.unit.remove_prefix(1);
  return read;
}

struct OtherUnit {
  std::string_view name;
  double to_million;
};

// What prices are also given in elsewhere.
constexpr std::array<OtherUnit, 9> kOtherUnits{{{"USD/1K", 1e3},
                                                {"USD/1k", 1e3},
                                                {"USD/K", 1e3},
                                                {"USD/k", 1e3},
                                                {"USD/token", 1e6},
                                                {"USD/M", 1},
                                                {"USD/1m", 1},
                                                {"USD/Mtok", 1},
                                                {"USD/1000000", 1}}};

constexpr std::string_view kRateForm = "write what a million tokens cost, like 2.50USD/1M";

std::unexpected<Error> wrong_unit(std::string_view text, const Dollars& read) {
  for (const OtherUnit& other : kOtherUnits) {
    if (other.name != read.unit) continue;
    return fail(Errc::invalid_argument, fmt::format("'{}': prices are per million tokens here; write {:.6g}USD/1M",
                                                    text, read.value * other.to_million));
  }
  // Less than a cent per million tokens is nobody's price, but it is a usual one for a single token.
  if (read.unit == "USD" && read.value > 0 && read.value < 0.001) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' looks like the price of one token; write what a million cost: {:.6g}USD/1M", text,
                            read.value * 1e6));
  }
  return fail(Errc::invalid_argument, fmt::format("'{}' is not a price of tokens; {}", text, kRateForm));
}

Result<std::int64_t> checked(std::string_view text, const Dollars& read, std::int64_t most, std::string_view unit) {
  if (read.negative)
    return fail(Errc::out_of_range, fmt::format("'{}' is negative; a price is 0USD{} or more", text, unit));
  if (read.micros > most) {
    return fail(Errc::out_of_range,
                fmt::format("'{}' is more than {}USD{}; check the unit", text, most / kMicros, unit));
  }
  if (!read.exact) {
    return fail(Errc::out_of_range, fmt::format("'{}' has more than six digits after the point", text));
  }
  return read.micros;
}

// Millionths as a decimal number without needless digits.
std::string decimal(std::int64_t micros) {
  std::string out = fmt::format("{}.{:06}", micros / kMicros, micros % kMicros);
  while (out.ends_with('0')) out.pop_back();
  if (out.ends_with('.')) out.pop_back();
  return out;
}

}  // namespace

Result<std::int64_t> parse_rate(std::string_view text) {
  auto read = read_dollars(text);
  if (!read) return fail(Errc::invalid_argument, fmt::format("'{}' is not a price of tokens; {}", text, kRateForm));
  if (read->unit != "USD/1M") return wrong_unit(text, *read);
  return checked(text, *read, kRateMax, "/1M");
}

Result<std::int64_t> parse_amount(std::string_view text) {
  auto read = read_dollars(text);
  if (!read || read->unit != "USD") {
    return fail(Errc::invalid_argument, fmt::format("'{}' is not an amount of money; write 0.04USD", text));
  }
  return checked(text, *read, kAmountMax, "");
}

Result<std::int64_t> parse_share(std::string_view text) {
  std::int64_t percent = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (ec != std::errc{} || std::string_view(end, text.data() + text.size()) != "%" || percent < 1 || percent > 1000) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is not a share of the price; write a whole percentage, 1% to 1000%", text));
  }
  return percent;
}

Result<std::int64_t> parse_day(std::string_view text) {
  auto number = [&](std::size_t at, std::size_t size) {
    int value = -1;
    std::string_view part = text.substr(at, size);
    auto [end, ec] = std::from_chars(part.data(), part.data() + part.size(), value);
    return ec == std::errc{} && end == part.data() + part.size() ? value : -1;
  };
  bool shaped = text.size() == 10 && text[4] == '-' && text[7] == '-';
  int year = shaped ? number(0, 4) : -1;
  int month = shaped ? number(5, 2) : -1;
  int day = shaped ? number(8, 2) : -1;
  if (year >= 1970 && month > 0 && day > 0) {
    std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                     std::chrono::day(static_cast<unsigned>(day))};
    if (date.ok()) return std::chrono::microseconds(std::chrono::sys_days(date).time_since_epoch()).count();
  }
  return fail(Errc::invalid_argument, fmt::format("'{}' is not a day; write it like 2026-01-31", text));
}

std::string format_rate(std::int64_t rate) { return decimal(rate) + "USD/1M"; }
std::string format_amount(std::int64_t micros) { return decimal(micros) + "USD"; }

}  // namespace penstock::price
