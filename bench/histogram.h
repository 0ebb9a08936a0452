// Log-linear histogram of durations, after HdrHistogram: every value is kept to within 1/128 of itself, in fixed
// memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bench {

class Histogram {
 public:
  // Nanoseconds; negative counts as 0.
  void add(std::int64_t ns) {
    auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(0, ns));
    ++counts_[index(value)];
    ++total_;
    sum_ += static_cast<double>(value);
    max_ = std::max(max_, value);
  }

  std::uint64_t total() const { return total_; }
  double mean_us() const { return total_ == 0 ? 0 : sum_ / static_cast<double>(total_) / 1e3; }
  double max_us() const { return static_cast<double>(max_) / 1e3; }

  // The smallest duration that `share` (0 to 1) of all values do not exceed, in microseconds; 0 without values.
  double quantile_us(double share) const {
    auto rank = static_cast<std::uint64_t>(share * static_cast<double>(total_) + 0.999999);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank && seen > 0) return std::min(upper(i), static_cast<double>(max_)) / 1e3;
    }
    return 0;
  }

 private:
  static constexpr unsigned kBits = 7;

  static std::size_t index(std::uint64_t value) {
    auto width = static_cast<unsigned>(std::bit_width(value));
    unsigned shift = width > kBits + 1 ? width - kBits - 1 : 0;
    return (std::size_t{shift} << kBits) + static_cast<std::size_t>(value >> shift);
  }

  static double upper(std::size_t index) {
    std::size_t shift = index < (2U << kBits) ? 0 : (index >> kBits) - 1;
    return static_cast<double>(((index - (shift << kBits) + 1) << shift) - 1);
  }

  std::array<std::uint64_t, std::size_t{58} << kBits> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace bench
