#include "ext/steps/window/aggregate.h"

#include <array>
#include <charconv>
#include <cmath>
#include <unordered_set>

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
  merge_figures(other);
}

void Accumulator::merge_figures(const Accumulator& other) {
  others += other.others;
  if (other.count == 0) return;
  bool empty = count == 0;
  auto mine = static_cast<double>(count);
  auto theirs = static_cast<double>(other.count);
  double distance = other.mean - mean;
  mean = empty ? other.mean : mean + distance * theirs / (mine + theirs);
  squares += other.squares + (empty ? 0 : distance * distance * mine * theirs / (mine + theirs));
  count += other.count;
  sum += other.sum;
  least = empty ? other.least : std::min(least, other.least);
  most = empty ? other.most : std::max(most, other.most);
  if (empty || other.first.at < first.at) first = other.first;
  if (empty || other.last.at >= last.at) last = other.last;
}

namespace {

struct Name {
  std::string_view name;
  Aggregate aggregate;
  bool field = true;         // takes a field or an expression
  double percent_limit = 0;  // of a second argument; 0: takes none
};
constexpr std::array kNames = std::to_array<Name>({
    {"avg", Aggregate::avg},
    {"collect", Aggregate::collect},
    {"count", Aggregate::count},
    {"deduplicate", Aggregate::deduplicate},
    {"first", Aggregate::first},
    {"last", Aggregate::last},
    {"last_value", Aggregate::last},
    {"max", Aggregate::max},
    {"median", Aggregate::median},
    {"merge_agg", Aggregate::merge_agg},
    {"min", Aggregate::min},
    {"percentile", Aggregate::percentile, true, 100},
    {"percentile_cont", Aggregate::percentile_cont, true, 1},
    {"percentile_disc", Aggregate::percentile_disc, true, 1},
    {"range", Aggregate::range},
    {"rate", Aggregate::rate},
    {"rms", Aggregate::rms},
    {"stddev", Aggregate::stddev},
    {"stddevs", Aggregate::stddevs},
    {"sum", Aggregate::sum},
    {"var", Aggregate::var},
    {"vars", Aggregate::vars},
    {"window_end", Aggregate::window_end, false},
    {"window_start", Aggregate::window_start, false},
});

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// The last comma that is not inside brackets or quotes.
std::size_t last_comma(std::string_view text) {
  std::size_t found = std::string_view::npos;
  int depth = 0;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote != 0) {
      if (c == '\\') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
      quote = c;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    } else if (c == ',' && depth == 0) {
      found = i;
    }
  }
  return found;
}

// vib, motor.temp, `flow-rate`: the name; empty for anything else.
std::string_view plain_name(std::string_view text) {
  if (text.size() >= 2 && text.starts_with('`') && text.find('`', 1) == text.size() - 1) {
    return text.substr(1, text.size() - 2);
  }
  auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; };
  bool name = !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) == 0 &&
              std::all_of(text.begin(), text.end(), fits) && text != "time" && text != "device" && text != "quality" &&
              !text.starts_with("tags.");
  return name ? text : std::string_view();
}

Result<void> read_field(AggregateCall& call, std::string_view text) {
  call.field = plain_name(text);
  if (!call.field.empty()) return {};
  auto expression = ingest::Expression::compile(text);
  if (!expression) return std::unexpected(expression.error());
  call.field = text;
  call.expression = std::make_shared<const ingest::Expression>(std::move(*expression));
  return {};
}

Result<void> read_percent(AggregateCall& call, std::string_view number, double limit) {
  auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), call.percent);
  if (ec == std::errc{} && end == number.data() + number.size() && call.percent >= 0 && call.percent <= limit) {
    call.percent *= 100 / limit;
    return {};
  }
  return fail(Errc::invalid_argument, fmt::format("'{}' is not between 0 and {}", number, limit));
}

Result<Name> find_name(std::string_view name) {
  auto known = std::find_if(kNames.begin(), kNames.end(), [&](const Name& entry) { return entry.name == name; });
  if (known != kNames.end()) return *known;
  std::vector<std::string> names;
  for (const Name& entry : kNames) names.emplace_back(entry.name);
  auto hint = base::closest(name, names);
  return fail(Errc::invalid_argument, fmt::format("unknown aggregate '{}'; {}", name,
                                                  hint ? fmt::format("did you mean '{}'?", *hint)
                                                       : fmt::format("there are {}", fmt::join(names, ", "))));
}

// Linear between the closest ranks.
double interpolated(const std::vector<Point>& sorted, double percent) {
  double rank = percent / 100 * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<std::size_t>(rank);
  std::size_t above = std::min(below + 1, sorted.size() - 1);
  double share = rank - static_cast<double>(below);
  return sorted[below].value + (sorted[above].value - sorted[below].value) * share;
}

// The first value whose share of the values up to it is at least `percent`.
double discrete(const std::vector<Point>& sorted, double percent) {
  double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()) - 1e-9);
  auto index = static_cast<std::size_t>(std::max(0.0, rank - 1));
  return sorted[std::min(index, sorted.size() - 1)].value;
}

ingest::Value array_of(const AggregateCall& call, const std::vector<Point>& in_time_order) {
  std::vector<double> values;
  std::unordered_set<double> seen;
  for (const Point& point : in_time_order) {
    if (call.aggregate == Aggregate::collect || seen.insert(point.value).second) values.push_back(point.value);
  }
  return values;
}

std::optional<double> rate_of(const Accumulator& values) {
  base::WallMicros span = values.last.at - values.first.at;
  if (span <= 0) return std::nullopt;
  return (values.last.value - values.first.value) / (static_cast<double>(span) / 1e6);
}

// Of the sample: divided by n - 1.
std::optional<double> sample_variance(const Accumulator& values) {
  if (values.count < 2) return std::nullopt;
  return std::max(0.0, values.squares) / static_cast<double>(values.count - 1);
}

std::optional<double> figure(const AggregateCall& call, const Accumulator& values) {
  const auto n = static_cast<double>(values.count);
  const double variance = std::max(0.0, values.squares) / n;
  switch (call.aggregate) {
    case Aggregate::avg: return values.mean;
    case Aggregate::min: return values.least;
    case Aggregate::max: return values.most;
    case Aggregate::range: return values.most - values.least;
    case Aggregate::first: return values.first.value;
    case Aggregate::last: return values.last.value;
    case Aggregate::stddev: return std::sqrt(variance);
    case Aggregate::var: return variance;
    case Aggregate::rms: return std::sqrt(values.mean * values.mean + variance);
    case Aggregate::vars: return sample_variance(values);
    case Aggregate::stddevs: {
      auto of_sample = sample_variance(values);
      return of_sample ? std::optional(std::sqrt(*of_sample)) : std::nullopt;
    }
    case Aggregate::rate: return rate_of(values);
    default: break;
  }
  if (values.points.empty()) return std::nullopt;
  return call.aggregate == Aggregate::percentile_disc ? discrete(values.points, call.percent)
                                                      : interpolated(values.points, call.percent);
}

}  // namespace

bool wants_sorted_values(const AggregateCall& call) {
  return call.aggregate == Aggregate::median || call.aggregate == Aggregate::percentile ||
         call.aggregate == Aggregate::percentile_cont || call.aggregate == Aggregate::percentile_disc;
}

bool AggregateCall::needs_points() const { return wants_sorted_values(*this) || makes_array(); }

std::string AggregateCall::unit(std::string_view unit) const {
  if (unit.empty() || aggregate == Aggregate::count) return {};
  if (aggregate == Aggregate::var || aggregate == Aggregate::vars) return {};  // a square, which has no name
  return std::string(unit) + (aggregate == Aggregate::rate ? "/s" : "");
}

Result<AggregateCall> parse_aggregate(std::string_view text) {
  std::string_view whole = trim(text);
  std::size_t open = whole.find('(');
  if (open == std::string_view::npos || !whole.ends_with(')')) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no aggregate; write avg(vib), percentile(vib, 95) or count()", text));
  }
  auto name = find_name(trim(whole.substr(0, open)));
  if (!name) return std::unexpected(name.error());
  AggregateCall call;
  call.aggregate = name->aggregate;
  std::string_view inside = trim(whole.substr(open + 1, whole.size() - open - 2));
  if (call.aggregate == Aggregate::merge_agg) {
    if (inside == "*" || inside.empty()) return call;
    return fail(Errc::invalid_argument, "merge_agg takes every field; write merge_agg(*)");
  }
  std::size_t comma = last_comma(inside);
  bool wants_percent = name->percent_limit > 0;
  if (wants_percent != (comma != std::string_view::npos)) {
    return fail(Errc::invalid_argument,
                wants_percent ? fmt::format("'{}' needs a rank from 0 to {}; write {}({}, {})", text,
                                            name->percent_limit, name->name, inside, 0.95 * name->percent_limit)
                              : fmt::format("'{}' takes one field or expression only", text));
  }
  std::string_view field = trim(inside.substr(0, comma));
  if (field == "*" && call.aggregate == Aggregate::count) field = {};
  if (field.empty() && name->field && call.aggregate != Aggregate::count) {
    return fail(Errc::invalid_argument, fmt::format("'{}' names no field; write {}(vib)", text, name->name));
  }
  if (!field.empty() && !name->field) {
    return fail(Errc::invalid_argument, fmt::format("{} takes nothing; write {}()", name->name, name->name));
  }
  if (!field.empty()) {
    if (auto read = read_field(call, field); !read) return std::unexpected(read.error());
  }
  if (wants_percent) {
    auto read = read_percent(call, trim(inside.substr(comma + 1)), name->percent_limit);
    if (!read) return std::unexpected(read.error());
  }
  return call;
}

std::optional<ingest::Value> compute(const AggregateCall& call, const Accumulator& values) {
  if (call.aggregate == Aggregate::count) return static_cast<double>(values.count + values.others);
  if (call.aggregate == Aggregate::sum) return values.sum;
  if (values.count == 0) return std::nullopt;
  if (call.makes_array()) return array_of(call, values.points);
  auto number = figure(call, values);
  if (!number || !std::isfinite(*number)) return std::nullopt;
  return *number;
}

void sort_by_time(std::vector<Point>& points) {
  auto earlier = [](const Point& a, const Point& b) { return a.at < b.at; };
  if (std::is_sorted(points.begin(), points.end(), earlier)) return;
  std::vector<std::size_t> order(points.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return points[a].at != points[b].at ? points[a].at < points[b].at : a < b;
  });
  std::vector<Point> sorted;
  sorted.reserve(points.size());
  for (std::size_t i : order) sorted.push_back(points[i]);
  points = std::move(sorted);
}

void sort_by_value(std::vector<Point>& points) {
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.value < b.value; });
}

}  // namespace penstock::ext::steps
