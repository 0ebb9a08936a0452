#include "ext/steps/throttle/throttle.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;

std::vector<double> values(const StepHarness& harness) {
  std::vector<double> result;
  for (const auto& sample : harness.out) result.push_back(number(sample, "x"));
  return result;
}

TEST(Throttle, FirstOfEachInterval) {
  StepHarness harness(make_throttle, "{ every: 1s }");
  for (int i = 0; i <= 20; ++i) harness.push(sample_at(i * 100, "x", i));
  EXPECT_EQ(values(harness), (std::vector<double>{0, 10, 20}));
  EXPECT_EQ(harness.dropped, 18U);
}

TEST(Throttle, RateIsTheSame) {
  StepHarness harness(make_throttle, "{ rate: 2/s }");
  for (int i = 0; i <= 10; ++i) harness.push(sample_at(i * 100, "x", i));
  EXPECT_EQ(values(harness), (std::vector<double>{0, 5, 10}));
}

TEST(Throttle, LastComesWhenItsTimeComes) {
  StepHarness harness(make_throttle, "{ every: 1s, keep: last }");
  for (int i = 0; i < 5; ++i) harness.push(sample_at(i * 100, "x", i));
  const auto start = sample_at(0, "x", 0.0).ingest_time;
  harness.tick(start + 900'000);
  EXPECT_EQ(values(harness), (std::vector<double>{0}));
  harness.tick(start + 1'000'000);
  EXPECT_EQ(values(harness), (std::vector<double>{0, 4}));
  // The next one waits for the end of the interval that began with it.
  harness.push(sample_at(1500, "x", 5));
  EXPECT_EQ(harness.out.size(), 2U);
  harness.flush();
  EXPECT_EQ(values(harness), (std::vector<double>{0, 4, 5}));
  EXPECT_EQ(harness.dropped, 3U);
}

TEST(Throttle, DevicesAndAlarmsAreApart) {
  StepHarness harness(make_throttle, "{ every: 1h }");
  harness.push(sample_at(0, "x", 1.0, "a"));
  harness.push(sample_at(1, "x", 2.0, "b"));
  auto told = sample_at(2, "x", 3.0, "a");
  told.alarm = std::make_shared<ingest::AlarmChange>();
  harness.push(told);
  EXPECT_EQ(harness.out.size(), 3U);
}

TEST(Throttle, GoesOnAfterAClockWasSetBack) {
  StepHarness harness(make_throttle, "{ every: 1s }");
  harness.push(sample_at(1'000'000, "x", 1.0));
  harness.push(sample_at(0, "x", 2.0));
  EXPECT_EQ(harness.out.size(), 2U);
}

TEST(Throttle, KeepsItsGatesOverAReload) {
  StepHarness before(make_throttle, "{ every: 10s }");
  before.push(sample_at(0, "x", 1.0));
  StepHarness after(make_throttle, "{ every: 5s }");
  after.step->adopt(*before.step);
  after.push(sample_at(4'000, "x", 2.0));
  EXPECT_TRUE(after.out.empty());
  after.push(sample_at(5'000, "x", 3.0));
  EXPECT_EQ(after.out.size(), 1U);
}

TEST(Throttle, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_throttle, "{ }").report, testing::HasSubstr("how often"));
  EXPECT_THAT(StepHarness(make_throttle, "{ every: 1s, rate: 1/s }").report, testing::HasSubstr("one of"));
  EXPECT_THAT(StepHarness(make_throttle, "{ every: 0s }").report, testing::HasSubstr("more than nothing"));
}

TEST(Throttle, LastOfABacklogWaitsForItsOwnTime) {
  StepHarness harness(make_throttle, "{ every: 10s, keep: last }");
  auto now = sample_at(0, "x", 0.0).ingest_time + 7'200'000'000;
  for (int i = 0; i < 1000; ++i) {
    harness.step->push(sample_at(i * 100, "x", i), harness);
    harness.step->tick(now += 100'000, harness);
  }
  EXPECT_EQ(values(harness), (std::vector<double>{0, 100, 200, 300, 400, 500, 600, 700, 800, 900}));
}

}  // namespace
}  // namespace penstock::ext::steps
