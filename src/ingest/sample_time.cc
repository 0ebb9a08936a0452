// The times people and devices write, to microseconds.
#include <charconv>
#include <cmath>

#include "ingest/sample_json.h"

namespace penstock::ingest {
namespace {

constexpr std::int64_t kMicros = 1'000'000;
// The years 0000 to 9999: others cannot be written as RFC 3339.
constexpr std::int64_t kEarliest = -62'167'219'200 * kMicros;
constexpr std::int64_t kLatest = 253'402'300'799 * kMicros;

// Reads `digits` digits at the front of `text` and removes them; -1 when they are not there.
int take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    number = number * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

// Days since 1970-01-01; nothing for a day that does not exist.
std::optional<std::int64_t> take_date(std::string_view& text) {
  int year = take_digits(text, 4);
  bool dashes = take(text, '-');
  int month = take_digits(text, 2);
  dashes = take(text, '-') && dashes;
  int day = take_digits(text, 2);
  if (year < 1 || month < 1 || day < 1 || !dashes) return std::nullopt;
  std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

// Microseconds of a fraction such as .123456789, rounded down.
std::int64_t take_fraction(std::string_view& text) {
  std::int64_t micros = 0;
  std::int64_t scale = kMicros / 10;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    micros += (text.front() - '0') * scale;
    scale /= 10;
    text.remove_prefix(1);
  }
  return micros;
}

std::optional<std::int64_t> take_clock(std::string_view& text) {
  int hour = take_digits(text, 2);
  bool colon = take(text, ':');
  int minute = take_digits(text, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || !colon) return std::nullopt;
  int second = 0;
  std::int64_t micros = 0;
  if (take(text, ':')) {
    second = take_digits(text, 2);
    if (second < 0 || second > 60) return std::nullopt;
    if (take(text, '.') || take(text, ',')) micros = take_fraction(text);
  }
  return (hour * 3600 + minute * 60 + second) * kMicros + micros;
}

// The offset from UTC in microseconds; none written is UTC.
std::optional<std::int64_t> take_offset(std::string_view& text) {
  if (text.empty() || take(text, 'Z') || take(text, 'z')) return 0;
  bool west = text.front() == '-';
  if (!west && text.front() != '+') return std::nullopt;
  text.remove_prefix(1);
  int hours = take_digits(text, 2);
  take(text, ':');
  int minutes = text.empty() ? 0 : take_digits(text, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
  std::int64_t offset = (hours * 3600 + minutes * 60) * kMicros;
  return west ? -offset : offset;
}

}  // namespace

void append_time(std::string& out, base::WallMicros time) {
  constexpr std::int64_t kDay = 86400 * kMicros;
  std::int64_t days = time / kDay - (time % kDay < 0 ? 1 : 0);
  std::int64_t rest = time - days * kDay;
  std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  std::int64_t seconds = rest / kMicros;
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.", static_cast<int>(date.year()),
                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), seconds / 3600,
                 seconds / 60 % 60, seconds % 60);
  std::int64_t micros = rest % kMicros;
  if (micros % 1000 == 0) {
    fmt::format_to(std::back_inserter(out), "{:03}Z", micros / 1000);
  } else {
    fmt::format_to(std::back_inserter(out), "{:06}Z", micros);
  }
}

Result<base::WallMicros> time_from_epoch(double number) {
  double size = std::abs(number);
  double micros = size < 1e11 ? number * 1e6 : size < 1e14 ? number * 1e3 : size < 1e17 ? number : number / 1e3;
  if (!(micros >= static_cast<double>(kEarliest) && micros <= static_cast<double>(kLatest))) {
    return fail(Errc::out_of_range, "is no time: expected seconds, ms, us or ns since 1970");
  }
  return static_cast<base::WallMicros>(std::llround(micros));
}

Result<base::WallMicros> parse_time(std::string_view text) {
  double number = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec == std::errc{} && end == text.data() + text.size()) return time_from_epoch(number);
  std::string_view rest = text;
  auto days = take_date(rest);
  std::optional<std::int64_t> clock = 0;
  std::optional<std::int64_t> offset = 0;
  if (days && !rest.empty()) {
    bool separated = take(rest, 'T') || take(rest, 't') || take(rest, ' ');
    clock = separated ? take_clock(rest) : std::nullopt;
    if (clock) offset = take_offset(rest);
  }
  if (!days || !clock || !offset || !rest.empty()) {
    return fail(Errc::invalid_argument,
                "is no time; write 2026-01-31T12:00:00Z or a number since 1970 (s, ms, us, ns)");
  }
  const std::int64_t time = *days * 86400 * kMicros + *clock - *offset;
  if (time < kEarliest || time > kLatest) return fail(Errc::out_of_range, "is a time outside the years 0000 to 9999");
  return time;
}

}  // namespace penstock::ingest
