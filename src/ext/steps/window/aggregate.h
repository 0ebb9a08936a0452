// What a window makes of the values of one field.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ingest/expr.h"

namespace penstock::ext::steps {

struct Point {
  base::WallMicros at = 0;
  double value = 0;
};

// Running figures of one field in one piece of time; pieces merge into windows. Values of equal time keep their order
// of arrival. Mean and variance after Welford; merged after Chan, Golub and LeVeque (1979).
struct Accumulator {
  std::uint64_t count = 0;   // of numbers
  std::uint64_t others = 0;  // values that are none
  double sum = 0;
  double mean = 0;
  double squares = 0;  // sum of squared distances from the mean
  double least = 0;
  double most = 0;
  Point first;
  Point last;
  std::vector<Point> points;  // only where asked for

  void add(Point point, bool keep_point);
  void merge(const Accumulator& other);          // `other` came later in arrival; points are appended
  void merge_figures(const Accumulator& other);  // without the points
};

enum class Aggregate : std::uint8_t {
  avg,
  collect,
  count,
  deduplicate,
  first,
  last,
  max,
  median,
  merge_agg,
  min,
  percentile,
  percentile_cont,
  percentile_disc,
  range,
  rate,
  rms,
  stddev,
  stddevs,
  sum,
  var,
  vars,
  window_end,
  window_start,
};

struct AggregateCall {
  Aggregate aggregate = Aggregate::count;
  std::string field;                                     // as written; empty: of the window, count() or window_end()
  std::shared_ptr<const ingest::Expression> expression;  // null when `field` is the plain name of a field
  double percent = 50;                                   // of percentiles

  bool needs_points() const;
  bool makes_array() const { return aggregate == Aggregate::collect || aggregate == Aggregate::deduplicate; }
  // The unit of the result for values in `unit`.
  std::string unit(std::string_view unit) const;
};

// "avg(vib)" "avg(volts * amps)" "percentile(vib, 95)" "count()". The error has a hint.
Result<AggregateCall> parse_aggregate(std::string_view text);

// Nothing where the values do not suffice: an average of none, a rate of one. `points` must be in the order that
// sort_points() makes.
std::optional<ingest::Value> compute(const AggregateCall& call, const Accumulator& values);

// Brings points into the order of their time or, for percentiles, of their value.
void sort_by_time(std::vector<Point>& points);
void sort_by_value(std::vector<Point>& points);
bool wants_sorted_values(const AggregateCall& call);

}  // namespace penstock::ext::steps
