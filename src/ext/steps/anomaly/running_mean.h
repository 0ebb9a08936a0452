// The mean of the last so many values.
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace penstock::ext::anomaly {

// The sum is taken afresh each time the window has turned over once, so that one huge value leaves no rounding behind
// after it is gone.
class RunningMean {
 public:
  explicit RunningMean(std::size_t width) : width_(width) { values_.reserve(width); }

  void add(double value) {
    if (values_.size() < width_) {
      values_.push_back(value);
      sum_ += value;
      return;
    }
    sum_ += value - values_[next_];
    values_[next_] = value;
    if (++next_ == width_) {
      next_ = 0;
      sum_ = std::accumulate(values_.begin(), values_.end(), 0.0);
    }
  }
  void clear() {
    values_.clear();
    next_ = 0;
    sum_ = 0;
  }
  bool full() const { return values_.size() == width_; }
  double mean() const { return values_.empty() ? 0 : sum_ / static_cast<double>(values_.size()); }

 private:
  std::size_t width_;
  std::size_t next_ = 0;
  double sum_ = 0;
  std::vector<double> values_;
};

}  // namespace penstock::ext::anomaly
