#include "ext/steps/anomaly/season.h"

#include <algorithm>

namespace penstock::ext::anomaly {
namespace {

constexpr int kVisitsMost = 8;
constexpr double kJudgeMemory = 500;  // values over which the two errors are averaged
constexpr std::int64_t kJudgedLeast = 100;

}  // namespace

Profile::Profile(base::Duration period, int slots)
    : period_micros_(std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::microseconds>(period).count())),
      mean_(static_cast<std::size_t>(slots)),
      visits_(static_cast<std::size_t>(slots)) {}

std::size_t Profile::slot(base::WallMicros at) const {
  std::int64_t phase = at % period_micros_;
  if (phase < 0) phase += period_micros_;
  const double turn = static_cast<double>(phase) / static_cast<double>(period_micros_);
  return std::min(mean_.size() - 1, static_cast<std::size_t>(turn * static_cast<double>(mean_.size())));
}

double Profile::distance(base::WallMicros at, double value) const {
  const std::size_t here = slot(at);
  const std::size_t count = mean_.size();
  float low = mean_[here];
  float high = low;
  for (const std::size_t other : {(here + 1) % count, (here + count - 1) % count}) {
    if (visits_[other] == 0) continue;
    low = std::min(low, mean_[other]);
    high = std::max(high, mean_[other]);
  }
  if (value > static_cast<double>(high)) return value - static_cast<double>(high);
  if (value < static_cast<double>(low)) return value - static_cast<double>(low);
  return 0;
}

void Profile::learn(base::WallMicros at, double value, double level) {
  const std::size_t here = slot(at);
  if (visits_[here] > 0) {
    ++judged_;
    const double gain = std::max(1 / kJudgeMemory, 1 / static_cast<double>(judged_));
    const double own = value - static_cast<double>(mean_[here]);
    own_error_ += gain * (own * own - own_error_);
    level_error_ += gain * ((value - level) * (value - level) - level_error_);
  }
  if (visits_[here] < kVisitsMost) ++visits_[here];
  mean_[here] += static_cast<float>((value - static_cast<double>(mean_[here])) / visits_[here]);
}

std::optional<double> Profile::error_ratio() const {
  const auto enough = std::max(kJudgedLeast, static_cast<std::int64_t>(0.7 * static_cast<double>(mean_.size())));
  if (judged_ < enough || level_error_ <= 0) return std::nullopt;
  return own_error_ / level_error_;
}

}  // namespace penstock::ext::anomaly
