#include "ext/steps/window/aggregate.h"

#include <charconv>
#include <cmath>

#include "base/quantity.h"

namespace penstock::ext::steps {

void Accumulator::add(Point point, bool keep_point) {
  ++count;
  sum += point.value;
  double distance = point.value - mean;
  mean += distance / static_cast<double>(count);
  squares += distance * (point.value - mean);
  least = count == 1 ? point.value : std::min(least, point.value);
  most = count == 1 ? point.value : std::max(most, point.value);
  if (count == 1 || point.at < first.at) first = point;
  if (count == 1 || point.at >= last.at) last = point;
  if (keep_point) points.push_back(point);
}

void Accumulator::merge(const Accumulator& other) {
  points.insert(points.end(), other.points.begin(), other.points.end());
  if (other.count == 0) return;
  if (count == 0) {
    std::vector<Point> kept = std::move(points);
    *this = other;
    points = std::move(kept);
    return;
  }
  auto mine = static_cast<double>(count);
  auto theirs = static_cast<double>(other.count);
  double distance = other.mean - mean;
  mean += distance * theirs / (mine + theirs);
  squares += other.squares + distance * distance * mine * theirs / (mine + theirs);
  count += other.count;
  sum += other.sum;
  least = std::min(least, other.least);
  most = std::max(most, other.most);
  if (other.first.at < first.at) first = other.first;
  if (other.last.at >= last.at) last = other.last;
}

namespace {

struct Name {
  std::string_view name;
  Aggregate aggregate;
};
constexpr std::array kNames = std::to_array<Name>({
    {"avg", Aggregate::avg},
    {"count", Aggregate::count},
    {"first", Aggregate::first},
    {"last", Aggregate::last},
    {"max", Aggregate::max},
    {"median", Aggregate::median},
    {"min", Aggregate::min},
    {"percentile", Aggregate::percentile},
    {"rate", Aggregate::rate},
    {"stddev", Aggregate::stddev},
    {"sum", Aggregate::sum},
});

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::optional<double> percentile(const std::vector<Point>& sorted, double percent) {
  if (sorted.empty()) return std::nullopt;
  double rank = percent / 100 * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<std::size_t>(rank);
  std::size_t above = std::min(below + 1, sorted.size() - 1);
  double share = rank - static_cast<double>(below);
  return sorted[below].value + (sorted[above].value - sorted[below].value) * share;
}

}  // namespace

Result<AggregateCall> parse_aggregate(std::string_view text) {
  std::string_view whole = trim(text);
  std::size_t open = whole.find('(');
  if (open == std::string_view::npos || !whole.ends_with(')')) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no aggregate; write avg(vib), percentile(vib, 95) or count()", text));
  }
  std::string_view name = trim(whole.substr(0, open));
  auto known = std::find_if(kNames.begin(), kNames.end(), [&](const Name& entry) { return entry.name == name; });
  if (known == kNames.end()) {
    std::vector<std::string> names;
    for (const Name& entry : kNames) names.emplace_back(entry.name);
    auto hint = base::closest(name, names);
    return fail(Errc::invalid_argument, fmt::format("unknown aggregate '{}'; {}", name,
                                                    hint ? fmt::format("did you mean '{}'?", *hint)
                                                         : fmt::format("there are {}", fmt::join(names, ", "))));
  }
  AggregateCall call;
  call.aggregate = known->aggregate;
  std::string_view inside = whole.substr(open + 1, whole.size() - open - 2);
  std::size_t comma = inside.find(',');
  std::string_view field = trim(inside.substr(0, comma));
  if (field.size() >= 2 && field.starts_with('`') && field.ends_with('`')) field = field.substr(1, field.size() - 2);
  call.field = field;
  if (field.empty() && call.aggregate != Aggregate::count) {
    return fail(Errc::invalid_argument, fmt::format("'{}' names no field; write {}(vib)", text, name));
  }
  bool wants_percent = call.aggregate == Aggregate::percentile;
  if (wants_percent != (comma != std::string_view::npos)) {
    return fail(Errc::invalid_argument,
                wants_percent ? fmt::format("'{}' needs a percentage; write percentile({}, 95)", text, field)
                              : fmt::format("'{}' takes one field only", text));
  }
  if (wants_percent) {
    std::string_view number = trim(inside.substr(comma + 1));
    auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), call.percent);
    if (ec != std::errc{} || end != number.data() + number.size() || !(call.percent >= 0 && call.percent <= 100)) {
      return fail(Errc::invalid_argument, fmt::format("'{}' is not between 0 and 100", number));
    }
  }
  return call;
}

std::optional<double> compute(const AggregateCall& call, const Accumulator& values) {
  if (call.aggregate == Aggregate::count) return static_cast<double>(values.count);
  if (call.aggregate == Aggregate::sum) return values.sum;
  if (values.count == 0) return std::nullopt;
  switch (call.aggregate) {
    case Aggregate::avg: return values.mean;
    case Aggregate::min: return values.least;
    case Aggregate::max: return values.most;
    case Aggregate::first: return values.first.value;
    case Aggregate::last: return values.last.value;
    case Aggregate::stddev: return std::sqrt(std::max(0.0, values.squares / static_cast<double>(values.count)));
    case Aggregate::median:
    case Aggregate::percentile: return percentile(values.points, call.percent);
    default: break;
  }
  base::WallMicros span = values.last.at - values.first.at;
  if (span <= 0) return std::nullopt;
  return (values.last.value - values.first.value) / (static_cast<double>(span) / 1e6);
}

}  // namespace penstock::ext::steps
