#include "base/quantity.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace penstock::base {
namespace {

struct Number {
  double value = 0;
  std::string_view unit;
};

std::optional<Number> split_number(std::string_view text) {
  Number number;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number.value, std::chars_format::fixed);
  if (ec != std::errc{} || !std::isfinite(number.value) || number.value < 0) return std::nullopt;
  number.unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!number.unit.empty() && number.unit.front() == ' ') number.unit.remove_prefix(1);
  return number;
}

struct Unit {
  std::string_view name;
  double factor;
};

// Null when the unit is not in the table.
const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

constexpr double kNanosPerSecond = 1e9;
constexpr std::array<Unit, 8> kTimeUnits{{{"ns", 1},
                                          {"us", 1e3},
                                          {"ms", 1e6},
                                          {"s", kNanosPerSecond},
                                          {"m", 60 * kNanosPerSecond},
                                          {"h", 3600 * kNanosPerSecond},
                                          {"d", 86400 * kNanosPerSecond},
                                          {"w", 7 * 86400 * kNanosPerSecond}}};
constexpr std::array<Unit, 9> kSizeUnits{{{"B", 1},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12},
                                          {"KiB", 1024},
                                          {"MiB", 1048576},
                                          {"GiB", 1073741824},
                                          {"TiB", 1099511627776.0}}};
constexpr std::array<Unit, 6> kRateUnits{
    {{"/s", 1}, {"/min", 1.0 / 60}, {"/m", 1.0 / 60}, {"/h", 1.0 / 3600}, {"/d", 1.0 / 86400}, {"/day", 1.0 / 86400}}};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration::zero();
  auto number = split_number(text);
  const Unit* unit = number ? find_unit(kTimeUnits, number->unit) : nullptr;
  if (unit == nullptr) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is not a duration; write a number with a unit: 250us, 20ms, 1.5s, 5m, 2h, 7d", text));
  }
  double nanos = number->value * unit->factor;
  // 100 years: anything longer is a slip, and the sum with any clock still fits.
  if (nanos > 3.2e18) return fail(Errc::out_of_range, fmt::format("'{}' is longer than 100 years", text));
  return Duration(static_cast<std::int64_t>(std::llround(nanos)));
}

std::string format_duration(Duration value) {
  std::int64_t nanos = value.count();
  if (nanos == 0) return "0";
  for (auto unit = kTimeUnits.rbegin(); unit != kTimeUnits.rend(); ++unit) {
    auto factor = static_cast<std::int64_t>(unit->factor);
    if (unit->name != "w" && nanos % factor == 0) return fmt::format("{}{}", nanos / factor, unit->name);
  }
  return fmt::format("{}ns", nanos);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  auto number = split_number(text);
  const Unit* unit = number ? find_unit(kSizeUnits, number->unit) : nullptr;
  if (unit == nullptr) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is not a size; write a number with a unit: 512B, 64KiB, 10MB, 2GB", text));
  }
  double bytes = number->value * unit->factor;
  if (bytes > 9e15) return fail(Errc::out_of_range, fmt::format("'{}' is more than 9000 TB", text));
  return static_cast<std::uint64_t>(std::llround(bytes));
}

std::string format_size(std::uint64_t bytes) {
  for (auto unit = kSizeUnits.rbegin(); unit != kSizeUnits.rend(); ++unit) {
    auto factor = static_cast<std::uint64_t>(unit->factor);
    if (bytes >= factor && bytes % factor == 0) return fmt::format("{}{}", bytes / factor, unit->name);
  }
  return fmt::format("{}B", bytes);
}

Result<double> parse_percent(std::string_view text) {
  auto number = split_number(text);
  if (!number || number->unit != "%" || number->value > 100) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is not a percentage; write 0% to 100%, for example 2.5%", text));
  }
  return number->value / 100;
}

Result<double> parse_rate(std::string_view text) {
  auto number = split_number(text);
  const Unit* unit = number ? find_unit(kRateUnits, number->unit) : nullptr;
  if (unit == nullptr) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is not a rate; write 2000/s, 1/min, 10/h or 5/d", text));
  }
  return number->value * unit->factor;
}

Result<std::int64_t> parse_usd_micros(std::string_view text) {
  auto number = split_number(text);
  if (!number || number->unit != "USD" || number->value >= 1e9) {
    return fail(Errc::invalid_argument, fmt::format("'{}' is not an amount of money; write 5USD or 0.15USD", text));
  }
  return static_cast<std::int64_t>(std::llround(number->value * 1e6));
}

Result<Budget> parse_budget(std::string_view text) {
  std::size_t slash = text.find('/');
  std::string_view period = slash == std::string_view::npos ? "" : text.substr(slash + 1);
  if (period != "day" && period != "week" && period != "month") {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is not a budget; write 5USD/day, 20USD/week or 50USD/month", text));
  }
  auto micros = parse_usd_micros(text.substr(0, slash));
  if (!micros) return std::unexpected(micros.error());
  return Budget{*micros, std::string(period)};
}

namespace {

// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment, Damerau 1964): swapped
// letters are the commonest slip of all.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string> closest(std::string_view word, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  // A third of the word may differ, and always at least one letter.
  std::size_t allowed = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Long inputs cannot be a slip of a short name, and the distance costs their product.
    if (candidate.size() > word.size() + allowed || word.size() > candidate.size() + allowed) continue;
    std::size_t distance = edit_distance(word, candidate);
    if (distance < allowed) {
      allowed = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace penstock::base
