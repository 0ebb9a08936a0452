#include "ext/steps/anomaly/pattern.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace penstock::ext::anomaly {
namespace {

constexpr double kVigilance = 2;      // a course this many usual distances away becomes a prototype of its own
constexpr float kLearningRate = 0.1F;
constexpr double kDistanceMemory = 200;
constexpr std::size_t kPrototypesLeast = 4;

}  // namespace

PatternMemory::PatternMemory(int length, int stride, int prototypes)
    : length_(static_cast<std::size_t>(length)),
      most_(static_cast<std::size_t>(prototypes)),
      stride_(stride),
      course_(length_) {}

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
    prototypes_ = course_;
    last_use_.push_back(courses_);
    return std::nullopt;
  }
  const Nearest near = nearest();
  const double distance = std::sqrt(near.squares / static_cast<double>(length_));
  usual_distance_ += (distance - usual_distance_) / std::min(static_cast<double>(courses_), kDistanceMemory);
  remember(near.index, distance);
  return distance;
}

PatternMemory::Nearest PatternMemory::nearest() const {
  Nearest best{0, std::numeric_limits<double>::infinity()};
  for (std::size_t row = 0; row < last_use_.size(); ++row) {
    const float* prototype = prototypes_.data() + row * length_;
    float squares = 0;
    for (std::size_t i = 0; i < length_; ++i) {
      const float off = prototype[i] - course_[i];
      squares += off * off;
    }
    if (static_cast<double>(squares) < best.squares) best = {row, static_cast<double>(squares)};
  }
  return best;
}

void PatternMemory::remember(std::size_t index, double distance) {
  if (distance <= kVigilance * usual_distance_ && last_use_.size() >= kPrototypesLeast) {
    float* prototype = prototypes_.data() + index * length_;
    for (std::size_t i = 0; i < length_; ++i) prototype[i] += kLearningRate * (course_[i] - prototype[i]);
    last_use_[index] = courses_;
    return;
  }
  if (last_use_.size() < most_) {
    prototypes_.insert(prototypes_.end(), course_.begin(), course_.end());
    last_use_.push_back(courses_);
    return;
  }
  const auto row = std::min_element(last_use_.begin(), last_use_.end()) - last_use_.begin();
  std::copy(course_.begin(), course_.end(), prototypes_.begin() + row * static_cast<std::ptrdiff_t>(length_));
  last_use_[static_cast<std::size_t>(row)] = courses_;
}

}  // namespace penstock::ext::anomaly
