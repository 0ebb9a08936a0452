#include "quota/zone.h"

#include <date/tz.h>

namespace penstock::quota {
namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;

const date::time_zone& zone_of(const Zone* zone) { return *reinterpret_cast<const date::time_zone*>(zone); }

seconds to_local(const Zone* zone, seconds time) {
  if (zone == nullptr) return time;
  return time + zone_of(zone).get_info(date::sys_seconds(time)).offset;
}

// The first moment of that local day: where midnight is skipped, the moment the clocks go on; where it comes twice, the
// earlier one.
seconds first_moment(const Zone* zone, sys_days day) {
  if (zone == nullptr) return day.time_since_epoch();
  date::local_seconds midnight{seconds(day.time_since_epoch())};
  return zone_of(zone).to_sys(midnight, date::choose::earliest).time_since_epoch();
}

sys_days first_day(BudgetRule::Period period, sys_days day) {
  if (period == BudgetRule::Period::week) {
    return day - (std::chrono::weekday(day) - std::chrono::Monday);
  }
  if (period == BudgetRule::Period::month) {
    std::chrono::year_month_day date(day);
    return sys_days(date.year() / date.month() / 1);
  }
  return day;
}

sys_days day_after(BudgetRule::Period period, sys_days first) {
  if (period == BudgetRule::Period::week) return first + days(7);
  if (period == BudgetRule::Period::month) {
    std::chrono::year_month_day date(first);
    return sys_days(date.year() / date.month() / 1 + std::chrono::months(1));
  }
  return first + days(1);
}

base::WallMicros micros(seconds time) { return std::chrono::microseconds(time).count(); }

// Far enough for every clock, near enough for every calendar.
constexpr base::WallMicros kLatest = 250'000'000'000'000'000;  // in the year 9892

}  // namespace

Result<const Zone*> find_zone(const std::string& name) {
  if (name == "UTC" || name == "Etc/UTC") return nullptr;
  try {
    return reinterpret_cast<const Zone*>(date::locate_zone(name));
  } catch (const std::exception&) {
  }
  std::vector<std::string> names;
  try {
    for (const date::time_zone& zone : date::get_tzdb().zones) names.push_back(zone.name());
  } catch (const std::exception&) {
  }
  if (names.size() < 2) {
    return fail(Errc::unavailable,
                fmt::format("time zone '{}': this machine has no time zone database; install the package tzdata, or "
                            "use UTC",
                            name));
  }
  auto hint = base::closest(name, names);
  return fail(Errc::not_found, fmt::format("there is no time zone '{}'{}", name,
                                           hint ? fmt::format("; did you mean '{}'?", *hint)
                                                : "; write an IANA name, for example Europe/Berlin or UTC"));
}

Span calendar_period(BudgetRule::Period period, const Zone* zone, base::WallMicros time) {
  time = std::clamp<base::WallMicros>(time, 0, kLatest);
  auto now = std::chrono::floor<seconds>(std::chrono::microseconds(time));
  sys_days first = first_day(period, std::chrono::floor<days>(sys_days::clock::time_point(to_local(zone, now))));
  Span span{micros(first_moment(zone, first)), micros(first_moment(zone, day_after(period, first)))};
  // Clocks that go back over midnight make the end of a day come twice: the second one belongs to the day begun.
  if (time >= span.end) {
    first = day_after(period, first);
    span = {span.end, micros(first_moment(zone, day_after(period, first)))};
  }
  return span;
}

}  // namespace penstock::quota
