// The rates the README states: how often the detector is wrong where nothing happens, and what seasons change.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numbers>
#include <random>

#include "ext/steps/anomaly/detector.h"

namespace penstock::ext::anomaly {
namespace {

constexpr base::WallMicros kStart = 1'700'000'000'000'000;
constexpr base::WallMicros kMinute = 60'000'000;
constexpr double kAlarm = 0.5;
constexpr int kSettle = 1000;

using Generator = std::function<double(std::mt19937_64&)>;

Generator autoregressive() {
  return [state = 0.0](std::mt19937_64& random) mutable {
    return state = 0.9 * state + std::normal_distribution<double>(0, 1)(random);
  };
}

// False alarms per 10,000 values over 8 series of 20,000.
double false_alarm_rate(const std::function<Generator()>& make, Settings settings = {}) {
  std::mt19937_64 random(4711);
  int alarms = 0;
  int judged = 0;
  for (int series = 0; series < 8; ++series) {
    Detector detector(settings);
    const Generator next = make();
    for (int i = 0; i < 20'000; ++i) {
      const double score = detector.score(kStart + i * kMinute, next(random));
      if (i < kSettle) continue;
      ++judged;
      alarms += score >= kAlarm ? 1 : 0;
    }
  }
  return 1e4 * alarms / judged;
}

template <class Distribution>
std::function<Generator()> independent(Distribution distribution) {
  return [distribution] {
    return [own = distribution](std::mt19937_64& random) mutable { return static_cast<double>(own(random)); };
  };
}

void expect_rate(const char* name, const std::function<Generator()>& make, double most) {
  const double rate = false_alarm_rate(make);
  std::printf("%-28s %.2f false alarms per 10,000\n", name, rate);
  EXPECT_LE(rate, most) << name;
}

TEST(FalseAlarms, AreRareOnLightTailedNoise) {
  expect_rate("normal", independent(std::normal_distribution<double>(20, 3)), 4);
  expect_rate("uniform", independent(std::uniform_real_distribution<double>(0, 1)), 4);
  expect_rate("integers 0 to 9", independent(std::uniform_int_distribution<int>(0, 9)), 4);
}

TEST(FalseAlarms, AreFewOnSkewedCountedAndBinaryNoise) {
  expect_rate("poisson 3", independent(std::poisson_distribution<int>(3)), 6);
  expect_rate("exponential", independent(std::exponential_distribution<double>(1)), 6);
  expect_rate("binary, one in ten", independent(std::bernoulli_distribution(0.1)), 6);
}

TEST(FalseAlarms, StayBoundedOnHeavyTailsAndDrift) {
  expect_rate("lognormal", independent(std::lognormal_distribution<double>(0, 1)), 12);
  expect_rate("student t, 3 degrees", independent(std::student_t_distribution<double>(3)), 12);
  expect_rate("autoregressive 0.9", autoregressive, 12);
}

TEST(FalseAlarms, FollowTheSensitivity) {
  const auto noise = independent(std::exponential_distribution<double>(1));
  const auto rate = [&](Sensitivity sensitivity) {
    Settings settings;
    settings.sensitivity = sensitivity;
    return false_alarm_rate(noise, settings);
  };
  const double low = rate(Sensitivity::low);
  const double normal = rate(Sensitivity::normal);
  const double high = rate(Sensitivity::high);
  std::printf("exponential: low %.2f, normal %.2f, high %.2f\n", low, normal, high);
  EXPECT_LT(low, normal);
  EXPECT_LT(normal, high);
  EXPECT_LT(high, 40);
}

double daily(base::WallMicros at) {
  const double turn = static_cast<double>(at % (1440 * kMinute)) / static_cast<double>(1440 * kMinute);
  return 50 + 20 * std::sin(2 * std::numbers::pi * turn);
}

// Two weeks of a day's course at 5 minutes, then a value that is usual for noon at midnight's place.
struct DailySeries {
  explicit DailySeries(Settings settings) : detector(settings) {
    for (; step < 14 * 288; ++step) last_score = push(daily(at()));
  }
  base::WallMicros at() const { return kStart - kStart % (1440 * kMinute) + step * 5 * kMinute; }
  double push(double value) { return detector.score(at(), value + std::normal_distribution<double>(0, 0.5)(random)); }

  std::mt19937_64 random{5};
  int step = 0;
  double last_score = 0;
  Detector detector;
};

TEST(Season, IsLearnedSoThatTheUsualHourIsNoNews) {
  DailySeries series(Settings{});
  int alarms = 0;
  for (int i = 0; i < 7 * 288; ++i, ++series.step) alarms += series.push(daily(series.at())) >= kAlarm ? 1 : 0;
  EXPECT_LE(alarms, 1);
}

TEST(Season, ShowsAValueAtTheWrongHour) {
  for (const bool known : {false, true}) {
    Settings settings;
    if (known) settings = {Settings::Season::fixed, std::chrono::hours(24), Sensitivity::normal};
    DailySeries series(settings);
    series.step += 72;  // the daily peak: 70 is usual here
    for (int i = 0; i < 3; ++i, ++series.step) series.push(50);
    EXPECT_GT(series.detector.surprises()[Detector::season], 10) << "an everyday value, but not at this hour";
  }
}

TEST(Season, IsNotJudgedWhenSwitchedOff) {
  DailySeries series(Settings{Settings::Season::none, {}, Sensitivity::normal});
  series.step += 72;
  series.push(50);
  EXPECT_EQ(series.detector.surprises()[Detector::season], 0);
}

TEST(Spacing, MayBeIrregularAndHaveHoles) {
  std::mt19937_64 random(6);
  std::exponential_distribution<double> wait(1.0 / 30e6);
  std::normal_distribution<double> noise(10, 1);
  Detector detector(Settings{});
  base::WallMicros at = kStart;
  int alarms = 0;
  for (int i = 0; i < 20'000; ++i) {
    at += 1 + static_cast<base::WallMicros>(wait(random)) + (i % 4000 == 3999 ? 6 * 60 * kMinute : 0);
    const double score = detector.score(at, noise(random));
    if (i >= kSettle) alarms += score >= kAlarm ? 1 : 0;
  }
  EXPECT_LE(alarms, 8) << "4 per 10,000";
  EXPECT_GE(detector.score(at + kMinute, 30), kAlarm) << "and a spike is still found";
}

}  // namespace
}  // namespace penstock::ext::anomaly
