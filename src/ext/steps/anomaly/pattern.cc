#include "ext/steps/anomaly/pattern.h"

#include <algorithm>
#include <cmath>

namespace penstock::ext::anomaly {
namespace {

constexpr double kVigilance = 1;  // a course this many usual distances away becomes a prototype of its own
constexpr float kLearningRate = 0.1F;
constexpr double kDistanceMemory = 200;
constexpr std::size_t kPrototypesLeast = 4;

}  // namespace

PatternMemory::PatternMemory(int length, int stride, int prototypes)
    : length_(static_cast<std::size_t>(length)),
      most_(static_cast<std::size_t>(prototypes)),
      stride_(stride),
      course_(length_),
      prototypes_(length_ * most_),
      squares_(most_) {}

std::optional<double> PatternMemory::observe(double value) {
  sum_ += value;
  if (++in_mean_ < stride_) return std::nullopt;
  std::rotate(course_.begin(), course_.begin() + 1, course_.end());
  course_.back() = static_cast<float>(sum_ / stride_);
  sum_ = 0;
  in_mean_ = 0;
  if (++filled_ < length_) return std::nullopt;
  ++courses_;
  if (last_use_.empty()) {
    last_use_.push_back(courses_);
    store(0);
    return std::nullopt;
  }
  const Nearest near = nearest();
  const double distance = std::sqrt(near.squares / static_cast<double>(length_));
  usual_distance_ += (distance - usual_distance_) / std::min(static_cast<double>(courses_), kDistanceMemory);
  remember(near.index, distance);
  return distance;
}

PatternMemory::Nearest PatternMemory::nearest() {
  const std::size_t rows = last_use_.size();
  std::fill_n(squares_.begin(), rows, 0.0F);
  for (std::size_t i = 0; i < length_; ++i) {
    const float* column = prototypes_.data() + i * most_;
    const float here = course_[i];
    float* squares = squares_.data();
    for (std::size_t row = 0; row < rows; ++row) squares[row] += (column[row] - here) * (column[row] - here);
  }
  const auto best = std::min_element(squares_.begin(), squares_.begin() + static_cast<std::ptrdiff_t>(rows));
  return {static_cast<std::size_t>(best - squares_.begin()), static_cast<double>(*best)};
}

void PatternMemory::remember(std::size_t index, double distance) {
  if (distance <= kVigilance * usual_distance_ && last_use_.size() >= kPrototypesLeast) {
    for (std::size_t i = 0; i < length_; ++i) {
      float& prototype = prototypes_[i * most_ + index];
      prototype += kLearningRate * (course_[i] - prototype);
    }
    last_use_[index] = courses_;
  } else if (last_use_.size() < most_) {
    last_use_.push_back(courses_);
    store(last_use_.size() - 1);
  } else {
    store(static_cast<std::size_t>(std::min_element(last_use_.begin(), last_use_.end()) - last_use_.begin()));
  }
}

void PatternMemory::store(std::size_t row) {
  for (std::size_t i = 0; i < length_; ++i) prototypes_[i * most_ + row] = course_[i];
  last_use_[row] = courses_;
}

}  // namespace penstock::ext::anomaly
