#include "ext/steps/anomaly/season.h"

#include <gtest/gtest.h>

#include <chrono>

namespace penstock::ext::anomaly {
namespace {

using namespace std::chrono_literals;

constexpr base::WallMicros kHour = 3'600'000'000;

TEST(Profile, LearnsTheUsualValueOfEachPhase) {
  Profile profile(24h, 24);
  for (int hour = 0; hour < 240; ++hour) profile.learn(hour * kHour, hour % 24 < 12 ? 1 : 5, 3);
  EXPECT_DOUBLE_EQ(profile.mean(250 * kHour), 1) << "10:00";
  EXPECT_DOUBLE_EQ(profile.mean(258 * kHour), 5) << "18:00";
  ASSERT_TRUE(profile.error_ratio());
  EXPECT_LT(*profile.error_ratio(), 0.01);
}

TEST(Profile, MeasuresTheDistanceOutsideTheNeighbouringSlots) {
  Profile profile(24h, 24);
  for (int hour = 0; hour < 240; ++hour) profile.learn(hour * kHour, hour % 24 < 12 ? 1 : 5, 3);
  EXPECT_DOUBLE_EQ(profile.distance(240 * kHour + 6 * kHour, 5), 4) << "far from the step";
  EXPECT_DOUBLE_EQ(profile.distance(240 * kHour + 11 * kHour, 5), 0) << "the step an hour early";
  EXPECT_DOUBLE_EQ(profile.distance(240 * kHour + 11 * kHour, 7), 2);
  EXPECT_DOUBLE_EQ(profile.distance(240 * kHour + 12 * kHour, -1), -2);
}

TEST(Profile, IsNoBetterThanTheLevelWithoutASeason) {
  Profile profile(24h, 24);
  for (int hour = 0; hour < 960; ++hour) profile.learn(hour * kHour, (hour * 7919) % 101, 50);
  ASSERT_TRUE(profile.error_ratio());
  EXPECT_GT(*profile.error_ratio(), 0.8);
}

TEST(Profile, NeedsMostOfAPeriodTwiceBeforeItJudges) {
  Profile profile(24h, 288);
  for (int i = 0; i < 288 + 190; ++i) profile.learn(i * 5 * kHour / 60, i % 288, 0);
  EXPECT_FALSE(profile.error_ratio());
  for (int i = 288 + 190; i < 2 * 288; ++i) profile.learn(i * 5 * kHour / 60, i % 288, 0);
  EXPECT_TRUE(profile.error_ratio());
}

TEST(Profile, TakesTimesBeforeTheEpoch) {
  Profile profile(24h, 24);
  profile.learn(-kHour, 7, 0);
  EXPECT_TRUE(profile.knows(23 * kHour));
  EXPECT_DOUBLE_EQ(profile.mean(23 * kHour), 7);
}

}  // namespace
}  // namespace penstock::ext::anomaly
