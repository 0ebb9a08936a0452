#include "token/calibration.h"

#include <algorithm>
#include <cmath>

namespace penstock::token {

double Calibration::tokens_per_byte() const {
  return static_cast<double>(state_.load(std::memory_order_relaxed).ratio);
}

std::int64_t Calibration::estimate(std::int64_t bytes) const {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(bytes) * tokens_per_byte()));
}

void Calibration::learn(std::int64_t bytes, std::int64_t reported) {
  constexpr std::uint32_t kWindow = 16;
  if (bytes < kBytesMin || reported <= 0) return;
  double sample = std::clamp(static_cast<double>(reported) / static_cast<double>(bytes), kLeast, kMost);
  State old = state_.load(std::memory_order_relaxed);
  for (;;) {
    State next = old;
    next.samples = std::min(old.samples + 1, kWindow);
    // The start counts as one sample.
    double weight = 1.0 / (std::min(next.samples, kWindow - 1) + 1);
    next.ratio = static_cast<float>(old.ratio + (sample - old.ratio) * weight);
    if (state_.compare_exchange_weak(old, next, std::memory_order_relaxed)) return;
  }
}

}  // namespace penstock::token
