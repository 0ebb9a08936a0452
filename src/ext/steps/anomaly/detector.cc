#include "ext/steps/anomaly/detector.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace penstock::ext::anomaly {
namespace {

constexpr std::int64_t kWarmUp = 256;  // values without a score: the tails have their first 8 blocks then
constexpr double kConfidence = 50;     // surprises count n / (n + kConfidence) after n values
constexpr std::size_t kRecent = 16;
constexpr std::size_t kLong = 144;  // half a day at 5 minutes, 2.4 minutes at a second
constexpr double kLevelGain = 0.01;
constexpr double kSlowLevelMemory = 2000;
constexpr double kStepMemory = 500;
constexpr double kScatterMemory = 6;
constexpr double kIntervalGain = 0.02;
constexpr double kResolutionSteps = 2;  // differences below this many usual steps are never the scale of a tail
constexpr double kLogResolution = 0.2;
constexpr double kSeasonError = 0.3;  // a profile is used when its squared error is this share of the level's
constexpr double kViewShare = 0.05;   // of the block maxima that count as tail
constexpr double kOwnShare = 0.1;
constexpr double kFadeMemory = 600;   // values over which a surprise fades to 1/e
constexpr double kNewsFactor = 1.05;  // above the fading surprise: one alarm for one event that builds up
constexpr double kGapIntervals = 20;
constexpr double kLimit = 1e15;
constexpr double kTiny = 1e-12;

// What counts as an anomaly: the surprise in itself, and how far above what the series often shows.
struct AlarmLevel {
  double surprise;
  double own_margin;
};

AlarmLevel alarm_level(Sensitivity sensitivity) {
  switch (sensitivity) {
    case Sensitivity::low: return {13, 3};
    case Sensitivity::normal: break;
    case Sensitivity::high: return {8, 0.5};
  }
  return {10, 1.5};
}

template <std::size_t... kIndex>
std::array<TwoTails, sizeof...(kIndex)> tails(std::index_sequence<kIndex...>) {
  return {((void)kIndex, TwoTails(kViewShare))...};
}

std::vector<Profile> profiles(const Settings& settings) {
  using namespace std::chrono_literals;
  std::vector<Profile> result;
  if (settings.season == Settings::Season::automatic) {
    result.emplace_back(24h, 288);
    result.emplace_back(168h, 336);
    result.emplace_back(1h, 60);
  } else if (settings.season == Settings::Season::fixed) {
    result.emplace_back(settings.period, 288);
  }
  return result;
}

}  // namespace

Detector::Detector(const Settings& settings)
    : alarm_surprise_(alarm_level(settings.sensitivity).surprise),
      own_margin_(alarm_level(settings.sensitivity).own_margin),
      tails_(tails(std::make_index_sequence<kViews>{})),
      own_(kOwnShare),
      profiles_(profiles(settings)),
      shapes_(6, 1, 64),
      long_shapes_(8, 6, 64),
      recent_(kRecent),
      long_(kLong),
      season_distance_(kLong) {}

double Detector::score(base::WallMicros at, double value) {
  surprises_.fill(0);
  if (!std::isfinite(value)) return 0;
  value = std::clamp(value, -kLimit, kLimit);
  if (seen_ == 0) start(at, value);
  notice_gap(at);
  judge_level(value);
  judge_season(at, value);
  slow_level_ += (value - slow_level_) / std::min(static_cast<double>(seen_ + 1), kSlowLevelMemory);
  last_ = value;
  last_at_ = at;
  ++seen_;
  if (seen_ < kWarmUp) return 0;
  const auto n = static_cast<double>(seen_);
  return against_alarm_level(combined() * n / (n + kConfidence));
}

void Detector::start(base::WallMicros at, double value) {
  last_at_ = at;
  last_ = level_ = slow_level_ = value;
}

// After a long silence the recent past says nothing about now: the short windows start again, what was learned stays.
void Detector::notice_gap(base::WallMicros at) {
  // In floating point: strange clocks may be further apart than the integers reach.
  const auto interval = static_cast<double>(at) - static_cast<double>(last_at_);
  if (interval <= 0) return;
  if (usual_interval_ > 0 && interval > kGapIntervals * usual_interval_) {
    recent_.clear();
    long_.clear();
    season_distance_.clear();
    return;
  }
  usual_interval_ = usual_interval_ > 0 ? usual_interval_ + kIntervalGain * (interval - usual_interval_) : interval;
}

void Detector::judge(View view, double feature, double resolution) {
  surprises_[view] = tails_[view].surprise(feature, resolution);
  tails_[view].add(feature);
}

void Detector::judge_level(double value) {
  const double step = std::abs(value - last_);
  if (step > 0) {
    ++steps_seen_;
    usual_step_ += (step - usual_step_) / std::min(static_cast<double>(steps_seen_), kStepMemory);
  }
  const double least = kResolutionSteps * usual_step_;
  const double log_least = 0.05 * usual_step_ + kTiny;
  const double off = value - level_;
  level_ += kLevelGain * off;
  recent_.add(value);
  long_.add(value);
  const auto n = static_cast<double>(seen_ + 1);
  log_scatter_ += (std::log(std::abs(off) + log_least) - log_scatter_) / std::min(n, kScatterMemory);

  judge(level, value, least);
  judge(departure, off, least);
  if (recent_.full()) judge(recent_mean, recent_.mean() - long_.mean(), least / 2);
  if (long_.full()) judge(long_mean, long_.mean(), least / 2);
  if (n > kScatterMemory) judge(scatter, log_scatter_, kLogResolution);
  if (const auto distance = shapes_.observe(value)) judge(shape, *distance, least);
  if (const auto distance = long_shapes_.observe(value)) judge(long_shape, *distance, least / 2);
}

void Detector::judge_season(base::WallMicros at, double value) {
  const Profile* best = nullptr;
  double least_error = kSeasonError;
  for (const Profile& profile : profiles_) {
    const auto ratio = profile.knows(at) ? profile.error_ratio() : std::nullopt;
    if (!ratio || *ratio >= least_error) continue;
    least_error = *ratio;
    best = &profile;
  }
  if (best != nullptr) {
    const double least = kResolutionSteps * usual_step_;
    const double distance = best->distance(at, value);
    judge(season, distance, least);
    season_distance_.add(distance);
    if (season_distance_.full()) judge(long_season, season_distance_.mean(), least / 2);
  }
  for (Profile& profile : profiles_) profile.learn(at, value, slow_level_);
}

// A power mean without the division: near the largest, and more when several views agree.
double Detector::combined() const {
  double cubes = 0;
  for (const double surprise : surprises_) cubes += surprise * surprise * surprise;
  return std::cbrt(cubes);
}

double Detector::against_alarm_level(double surprise) {
  double alarm = std::max(alarm_surprise_, kNewsFactor * fading_);
  if (own_.ready()) alarm = std::max(alarm, own_.threshold() + own_margin_);
  own_.add(surprise);
  fading_ = std::max(fading_ * (1 - 1 / kFadeMemory), surprise);
  const double ratio = surprise / alarm;
  return ratio < 1 ? ratio / 2 : 1 - 1 / (2 * ratio);
}

}  // namespace penstock::ext::anomaly
