// What a window makes of the values of one field.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::ext::steps {

struct Point {
  base::WallMicros at = 0;
  double value = 0;
};

// Running figures of one field in one piece of time; pieces merge into windows. Values of equal time keep their order
// of arrival. Mean and variance after Welford; merged after Chan, Golub and LeVeque (1979).
struct Accumulator {
  std::uint64_t count = 0;
  double sum = 0;
  double mean = 0;
  double squares = 0;  // sum of squared distances from the mean
  double least = 0;
  double most = 0;
  Point first;
  Point last;
  std::vector<Point> points;  // only where asked for

  void add(Point point, bool keep_point);
  void merge(const Accumulator& other);  // `other` came later in arrival; points are appended
};

enum class Aggregate : std::uint8_t { avg, count, first, last, max, median, min, percentile, rate, stddev, sum };

struct AggregateCall {
  Aggregate aggregate = Aggregate::count;
  std::string field;    // empty: count() of samples
  double percent = 50;  // of percentile

  bool needs_points() const { return aggregate == Aggregate::median || aggregate == Aggregate::percentile; }
};

// "avg(vib)" "percentile(vib, 95)" "count()". The error has a hint.
Result<AggregateCall> parse_aggregate(std::string_view text);

// Nothing where the values do not suffice: an average of none, a rate of one. `points` must be sorted by value for
// median and percentile; both interpolate linearly between the closest ranks.
std::optional<double> compute(const AggregateCall& call, const Accumulator& values);

}  // namespace penstock::ext::steps
