#include "ext/steps/anomaly/tail.h"

#include <algorithm>
#include <cmath>

namespace penstock::ext::anomaly {
namespace {

constexpr int kLongestBlock = 64;
constexpr std::size_t kBlocksMost = 256;
constexpr std::size_t kBlocksLeast = 8;
constexpr double kShape = 0.1;         // a little heavier than exponential
constexpr double kPredictedCount = 4;  // as many excesses as the predicted scale counts for
constexpr double kPredictedShare = 0.4;

}  // namespace

double Tail::surprise(double value, double resolution) const {
  if (!ready_) return 0;
  const double beyond = value - threshold_;
  if (!(beyond > 0)) return 0;
  const double scale = std::max(scale_, resolution);
  if (scale <= 0) return kSurpriseMost;
  return std::min(base_surprise_ + std::log1p(kShape * beyond / scale) / kShape, kSurpriseMost);
}

void Tail::add(double value) {
  block_max_ = std::max(block_max_, static_cast<float>(value));
  if (++in_block_ >= block_length_) close_block();
}

void Tail::close_block() {
  if (maxima_.size() == kBlocksMost && block_length_ < kLongestBlock) merge_blocks();
  if (maxima_.size() < kBlocksMost) {
    maxima_.push_back(block_max_);
    insert_sorted(block_max_);
  } else {
    replace_sorted(maxima_[oldest_], block_max_);
    maxima_[oldest_] = block_max_;
    oldest_ = (oldest_ + 1) % kBlocksMost;
  }
  in_block_ = 0;
  block_max_ = -std::numeric_limits<float>::infinity();
  fit();
}

void Tail::insert_sorted(float value) {
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), value), value);
}

void Tail::replace_sorted(float leaving, float value) {
  sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), leaving));
  insert_sorted(value);
}

void Tail::merge_blocks() {
  for (std::size_t i = 0; i < kBlocksMost / 2; ++i) maxima_[i] = std::max(maxima_[2 * i], maxima_[2 * i + 1]);
  maxima_.resize(kBlocksMost / 2);
  block_length_ *= 2;
  sorted_ = maxima_;
  std::sort(sorted_.begin(), sorted_.end());
}

void Tail::fit() {
  const std::size_t count = sorted_.size();
  if (count < kBlocksLeast) return;
  const auto cut = static_cast<std::size_t>((1 - share_) * static_cast<double>(count - 1));
  threshold_ = static_cast<double>(sorted_[cut]);
  double excess = 0;
  for (std::size_t i = cut + 1; i < count; ++i) excess += static_cast<double>(sorted_[i]) - threshold_;
  const double predicted = (threshold_ - static_cast<double>(sorted_[count / 2])) / std::log(0.5 / share_);
  scale_ = (excess + kPredictedCount * kPredictedShare * predicted) /
           (static_cast<double>(count - cut - 1) + kPredictedCount);
  base_surprise_ = std::log(block_length_ / share_);
  ready_ = true;
}

}  // namespace penstock::ext::anomaly
