#include "ext/steps/anomaly/tail.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace penstock::ext::anomaly {
namespace {

constexpr int kShortestBlock = 16;
constexpr int kLongestBlock = 64;
constexpr std::size_t kBlocksMost = 256;
constexpr std::size_t kBlocksLeast = 8;
constexpr double kTailShare = 0.1;   // of the block maxima
constexpr double kPriorWeight = 4;   // as many maxima as the prior scale counts for

}  // namespace

Tail::Tail() : block_length_(kShortestBlock) {}

double Tail::surprise(double value, double resolution) const {
  if (!fitted_) return 0;
  const double beyond = value - threshold_;
  if (!(beyond > 0)) return 0;
  const double scale = std::max(scale_, resolution);
  if (scale <= 0) return kSurpriseMax;
  return std::min(base_surprise_ + beyond / scale, kSurpriseMax);
}

void Tail::add(double value) {
  block_max_ = std::max(block_max_, static_cast<float>(value));
  if (++in_block_ >= block_length_) close_block();
}

void Tail::close_block() {
  if (maxima_.size() < kBlocksMost) {
    maxima_.push_back(block_max_);
  } else if (block_length_ < kLongestBlock) {
    for (std::size_t i = 0; i < kBlocksMost / 2; ++i) maxima_[i] = std::max(maxima_[2 * i], maxima_[2 * i + 1]);
    maxima_.resize(kBlocksMost / 2);
    block_length_ *= 2;
    maxima_.push_back(block_max_);
  } else {
    maxima_[oldest_] = block_max_;
    oldest_ = (oldest_ + 1) % kBlocksMost;
  }
  in_block_ = 0;
  block_max_ = -std::numeric_limits<float>::infinity();
  fit();
}

void Tail::fit() {
  const std::size_t count = maxima_.size();
  if (count < kBlocksLeast) return;
  std::array<float, kBlocksMost> work;
  const auto end = std::copy(maxima_.begin(), maxima_.end(), work.begin());
  const auto cut = work.begin() + static_cast<std::ptrdiff_t>((1 - kTailShare) * static_cast<double>(count - 1));
  std::nth_element(work.begin(), cut, end);
  threshold_ = *cut;
  double excess = 0;
  for (auto it = cut + 1; it != end; ++it) excess += static_cast<double>(*it) - threshold_;
  const auto above = static_cast<double>(end - cut - 1);
  const auto middle = work.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(work.begin(), middle, cut + 1);
  const double predicted = (threshold_ - static_cast<double>(*middle)) / std::log(0.5 / kTailShare);
  scale_ = (excess + kPriorWeight * predicted) / (above + kPriorWeight);
  base_surprise_ = -std::log(kTailShare / block_length_);
  fitted_ = true;
}

}  // namespace penstock::ext::anomaly
