#include "ext/steps/anomaly/detector.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <random>
#include <string>

namespace penstock::ext::anomaly {
namespace {

constexpr base::WallMicros kStart = 1'700'000'000'000'000;
constexpr base::WallMicros kMinute = 60'000'000;
constexpr double kAlarm = 0.5;

using Series = std::function<double(int)>;

// Feeds values [from, to) a minute apart and returns the number of anomalies.
int anomalies(Detector& detector, const Series& series, int from, int to, base::WallMicros interval = kMinute) {
  int count = 0;
  for (int i = from; i < to; ++i) count += detector.score(kStart + i * interval, series(i)) >= kAlarm ? 1 : 0;
  return count;
}

Series normal_noise(unsigned seed, double mean, double deviation) {
  return [random = std::mt19937(seed), noise = std::normal_distribution<double>(mean, deviation)](int) mutable {
    return noise(random);
  };
}

TEST(Detector, FindsASpike) {
  Detector detector(Settings{});
  anomalies(detector, normal_noise(1, 20, 1), 0, 3000);
  EXPECT_GE(detector.score(kStart + 3000 * kMinute, 60), kAlarm);
}

TEST(Detector, FindsADropAsWellAsARise) {
  Detector detector(Settings{});
  anomalies(detector, normal_noise(2, 20, 1), 0, 3000);
  EXPECT_GE(detector.score(kStart + 3000 * kMinute, -20), kAlarm);
}

TEST(Detector, FindsALevelShiftOnceAndThenAdapts) {
  Detector detector(Settings{});
  anomalies(detector, normal_noise(3, 20, 1), 0, 3000);
  EXPECT_GE(anomalies(detector, normal_noise(4, 35, 1), 3000, 3010), 1) << "the shift itself";
  anomalies(detector, normal_noise(5, 35, 1), 3010, 3500);
  EXPECT_LE(anomalies(detector, normal_noise(6, 35, 1), 3500, 6000), 2) << "the new level is the normal one";
}

TEST(Detector, FindsAChangeOfTheNoiseLevel) {
  Detector detector(Settings{});
  anomalies(detector, normal_noise(7, 20, 1), 0, 3000);
  EXPECT_GE(anomalies(detector, normal_noise(8, 20, 6), 3000, 3030), 1);
}

TEST(Detector, FindsASensorThatFroze) {
  Detector detector(Settings{});
  anomalies(detector, normal_noise(9, 20, 1), 0, 3000);
  EXPECT_GE(anomalies(detector, [](int) { return 20.0; }, 3000, 3200), 1);
}

TEST(Detector, FindsTheFirstMoveOfAFlatLine) {
  Detector detector(Settings{});
  EXPECT_EQ(anomalies(detector, [](int) { return 5.0; }, 0, 2000), 0);
  EXPECT_GE(detector.score(kStart + 2000 * kMinute, 6), kAlarm);
}

TEST(Detector, IsSilentDuringWarmUp) {
  Detector detector(Settings{});
  auto noise = normal_noise(10, 0, 1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(detector.score(kStart + i * kMinute, i == 50 ? 1e6 : noise(i)), 0);
}

TEST(Detector, IsDeterministic) {
  Detector one(Settings{});
  Detector two(Settings{});
  auto noise = normal_noise(11, 0, 1);
  for (int i = 0; i < 5000; ++i) {
    const double value = noise(i);
    ASSERT_EQ(one.score(kStart + i * kMinute, value), two.score(kStart + i * kMinute, value));
  }
}

TEST(Detector, IgnoresValuesThatAreNotFinite) {
  Detector with(Settings{});
  Detector without(Settings{});
  auto noise = normal_noise(12, 0, 1);
  for (int i = 0; i < 3000; ++i) {
    const double value = noise(i);
    EXPECT_EQ(with.score(kStart + i * kMinute, std::numeric_limits<double>::quiet_NaN()), 0);
    EXPECT_EQ(with.score(kStart + i * kMinute, -std::numeric_limits<double>::infinity()), 0);
    ASSERT_EQ(with.score(kStart + i * kMinute, value), without.score(kStart + i * kMinute, value));
  }
}

TEST(Detector, SurvivesHugeValuesAndStrangeTimes) {
  Detector detector(Settings{});
  std::mt19937_64 random(13);
  for (int i = 0; i < 20000; ++i) {
    const auto bits = random();
    const double value = i % 3 == 0 ? std::bit_cast<double>(bits) : static_cast<double>(bits % 100);
    const double score = detector.score(static_cast<base::WallMicros>(random()), value);
    ASSERT_GE(score, 0);
    ASSERT_LE(score, 1);
  }
}

}  // namespace
}  // namespace penstock::ext::anomaly
