// Has this shape been seen before? A small memory of the recent course of a series.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::ext::anomaly {

// Follows the last `length` means of `stride` values each and keeps at most `prototypes` typical ones, as adaptive
// resonance does (Carpenter and Grossberg 1991): a course close to a prototype moves it, a distant one becomes a
// prototype and the one unused longest is forgotten.
class PatternMemory {
 public:
  PatternMemory(int length, int stride, int prototypes);
  // The distance (root mean square, in the unit of the series) of the course ending here from the nearest prototype;
  // nothing while a mean is not complete or there is nothing to compare with.
  std::optional<double> observe(double value);

 private:
  struct Nearest {
    std::size_t index = 0;
    double squares = 0;
  };
  Nearest nearest();
  void remember(std::size_t index, double distance);
  void store(std::size_t row);

  std::size_t length_;
  std::size_t most_;
  int stride_;
  int in_mean_ = 0;
  double sum_ = 0;
  std::size_t filled_ = 0;
  std::int64_t courses_ = 0;
  double usual_distance_ = 0;
  std::vector<float> course_;
  std::vector<float> prototypes_;       // column after column, so that all rows are compared at once
  std::vector<float> squares_;          // one per row, scratch of nearest()
  std::vector<std::int64_t> last_use_;  // one per row
};

}  // namespace penstock::ext::anomaly
