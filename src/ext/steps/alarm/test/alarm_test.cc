#include "ext/steps/alarm/alarm.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::sample_at;
using ingest::StepHarness;

constexpr const char* kWear =
    "{ name: wear, raise: \"score > 0.8 for 3s\", clear: \"score < 0.6 for 10s\", severity: critical }";

TEST(Alarm, RaisesAfterTheHoldTimeAndClearsAfterItsOwn) {
  StepHarness harness(make_alarm, kWear);
  for (int second = 0; second <= 30; ++second) {
    double score = second < 5 ? 0.1 : second < 15 ? 0.9 : 0.5;
    harness.push(sample_at(second * 1000, "score", score));
  }
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_TRUE(harness.changes[0].raised);
  EXPECT_EQ(harness.changes[0].at, sample_at(8000, "x", 0.0).event_time);
  EXPECT_EQ(harness.changes[0].severity, "critical");
  EXPECT_EQ(harness.changes[0].why, "score > 0.8 for 3s; score = 0.9");
  EXPECT_FALSE(harness.changes[1].raised);
  EXPECT_EQ(harness.changes[1].at, sample_at(25000, "x", 0.0).event_time);
  // Every sample passes; two carry a change.
  ASSERT_EQ(harness.out.size(), 31U);
  EXPECT_TRUE(harness.out[8].alarm && harness.out[8].alarm->raised);
  EXPECT_TRUE(harness.out[25].alarm && !harness.out[25].alarm->raised);
  EXPECT_FALSE(harness.out[9].alarm);
}

TEST(Alarm, AnInterruptionStartsTheHoldAnew) {
  StepHarness harness(make_alarm, kWear);
  for (int second = 0; second < 20; ++second)
    harness.push(sample_at(second * 1000, "score", second % 3 == 2 ? 0.7 : 0.9));
  EXPECT_TRUE(harness.changes.empty());
}

TEST(Alarm, StaysRaisedBetweenTheTwoThresholds) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80degC, clear: temp < 75degC }");
  for (double value : {70.0, 81.0, 79.0, 81.0, 76.0, 74.0, 79.0}) harness.push(sample_at(0, "temp", value));
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_TRUE(harness.changes[0].raised);
  EXPECT_FALSE(harness.changes[1].raised);
}

TEST(Alarm, WithoutClearEndsWhenTheConditionDoes) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 }");
  harness.push(sample_at(0, "temp", 81.0));
  harness.push(sample_at(1, "other", 1.0));  // says nothing about the condition
  harness.push(sample_at(2, "temp", 80.0));
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_EQ(harness.changes[1].why, "no longer temp > 80; temp = 80");
}

TEST(Alarm, SilenceLetsTheHoldTimeEnd) {
  StepHarness harness(make_alarm, kWear);
  auto sample = sample_at(0, "score", 0.9);
  sample.ingest_time += 500'000;  // half a second on the way
  harness.push(sample);
  harness.tick(sample.ingest_time + 2'900'000);
  EXPECT_TRUE(harness.changes.empty());
  harness.tick(sample.ingest_time + 3'000'000);
  ASSERT_EQ(harness.changes.size(), 1U);
  EXPECT_EQ(harness.changes[0].at, sample.event_time + 3'000'000);
  ASSERT_EQ(harness.out.size(), 2U);
  EXPECT_TRUE(harness.out[1].alarm);
  EXPECT_EQ(harness.out[1].event_time, sample.event_time + 3'000'000);
  harness.tick(sample.ingest_time + 9'000'000);
  EXPECT_EQ(harness.changes.size(), 1U);
}

TEST(Alarm, WatchesEveryDeviceByItself) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 }");
  harness.push(sample_at(0, "temp", 81.0, "a"));
  harness.push(sample_at(0, "temp", 70.0, "b"));
  harness.push(sample_at(0, "temp", 81.0, "b"));
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_EQ(harness.changes[0].device, "a");
  EXPECT_EQ(harness.changes[1].device, "b");
}

TEST(Alarm, RefusesIncompleteSettings) {
  EXPECT_THAT(StepHarness(make_alarm, "{ name: x }").report, testing::HasSubstr("'raise' is missing"));
  EXPECT_THAT(StepHarness(make_alarm, "{ name: x, raise: temp > 3, cleer: temp < 2 }").report,
              testing::HasSubstr("did you mean 'clear'"));
}

}  // namespace
}  // namespace penstock::ext::steps
