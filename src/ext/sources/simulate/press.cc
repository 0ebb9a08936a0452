#include "ext/sources/simulate/press.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace penstock::ext {
namespace {

constexpr double kNoise = 0.35;   // mm/s
constexpr double kTurning = 0.6;  // mm/s, of the shaft's imbalance
constexpr double kBurst = 9;      // mm/s, of one hit when worn out
constexpr double kRingSeconds = 0.0015;
constexpr double kCold = 24;  // degC
constexpr double kWarm = 46;
constexpr double kHotter = 30;  // more when worn out
constexpr double kWarmingSeconds = 40;

// Nothing is heard for the first third; then it goes ever faster.
double wear_after(double share) {
  const double since = std::clamp((share - 0.33) / 0.67, 0.0, 1.0);
  return since * since;
}

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

SimulatedPress::SimulatedPress(base::Duration life, base::Duration repair, std::uint64_t seed)
    : life_(life), repair_(repair), random_(seed) {}

void SimulatedPress::go_on(base::SteadyTime now) {
  if (seen_ == base::SteadyTime{}) seen_ = now;
  const base::Duration passed = std::max<base::Duration>(now - seen_, base::Duration{});
  seen_ = std::max(seen_, now);
  if (!stopped_) ran_ += passed;
  if (stopped_ && now - stopped_at_ >= repair_) {
    stopped_ = false;
    ran_ = now - stopped_at_ - repair_;
  }
  const double wear = wear_after(seconds(ran_) / seconds(life_));
  const double towards = stopped_ ? kCold : kWarm + kHotter * wear;
  temp_ += (towards - temp_) * (1 - std::exp(-seconds(passed) / kWarmingSeconds));
}

double SimulatedPress::vibration(std::size_t index, double wear) {
  const double at = turn_ + static_cast<double>(index) / kValuesPerSecond;
  const double noise = kNoise * noise_(random_);
  if (stopped_) return noise * 0.1;
  const double since_hit = std::fmod(at, 1 / kBallPassHz);
  const double ringing = std::exp(-since_hit / kRingSeconds) * std::sin(2 * std::numbers::pi * kRingHz * since_hit);
  return noise + kTurning * std::sin(2 * std::numbers::pi * kShaftHz * at) + kBurst * wear * ringing;
}

SimulatedPress::Reading SimulatedPress::read(base::SteadyTime now) {
  go_on(now);
  Reading reading;
  reading.wear = wear_after(seconds(ran_) / seconds(life_));
  reading.vib.reserve(kValues);
  for (std::size_t i = 0; i < kValues; ++i) reading.vib.push_back(vibration(i, reading.wear));
  turn_ = std::fmod(turn_ + static_cast<double>(kValues) / kValuesPerSecond, 1000.0);
  reading.temp = temp_ + 0.2 * noise_(random_);
  reading.speed = stopped_ ? 0 : kShaftHz + 0.05 * noise_(random_);
  return reading;
}

void SimulatedPress::stop(base::SteadyTime now) {
  go_on(now);
  if (stopped_) return;
  stopped_ = true;
  stopped_at_ = now;
}

}  // namespace penstock::ext
