#include "ext/steps/deadband/deadband.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;

TEST(Deadband, PassesChangesOfAtLeastTheWidth) {
  StepHarness harness(make_deadband, "{ temp: 0.5 }");
  // Binary fractions, so that the sums are exact.
  for (double value : {10.0, 10.25, 10.5, 10.75, 10.0, 10.0}) harness.push(sample_at(0, "temp", value));
  ASSERT_EQ(harness.out.size(), 3U);
  EXPECT_EQ(number(harness.out[1], "temp"), 10.5);
  EXPECT_EQ(number(harness.out[2], "temp"), 10.0);
}

TEST(Deadband, PercentIsOfTheLastReportedValue) {
  StepHarness harness(make_deadband, "{ vib: 10% }");
  for (double value : {100.0, 109.0, 111.0, 120.0, 123.0}) harness.push(sample_at(0, "vib", value));
  ASSERT_EQ(harness.out.size(), 3U);
  EXPECT_EQ(number(harness.out[2], "vib"), 123.0);
}

TEST(Deadband, ReportsAtLeastEvery) {
  StepHarness harness(make_deadband, "{ temp: 1, at_least_every: 30s }");
  for (int second = 0; second <= 65; second += 5) harness.push(sample_at(second * 1000, "temp", 20.0));
  EXPECT_EQ(harness.out.size(), 3U);  // at 0, 30 and 60 s
}

TEST(Deadband, KeepsDevicesApart) {
  StepHarness harness(make_deadband, "{ temp: 1 }");
  for (const char* device : {"a", "b", "a", "b"}) harness.push(sample_at(0, "temp", 20.0, device));
  EXPECT_EQ(harness.out.size(), 2U);
}

TEST(Deadband, PassesAChangeOfQualityAndSamplesItDoesNotConcern) {
  StepHarness harness(make_deadband, "{ temp: 1 }");
  harness.push(sample_at(0, "temp", 20.0));
  auto bad = sample_at(0, "temp", 20.0);
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  harness.push(sample_at(0, "other", 1.0));
  EXPECT_EQ(harness.out.size(), 2U + 1U);
}

TEST(Deadband, KeepsWhatItReportedOverAReload) {
  StepHarness before(make_deadband, "{ temp: 1 }");
  before.push(sample_at(0, "temp", 20.0));
  StepHarness after(make_deadband, "{ temp: 2 }");
  after.step->adopt(*before.step);
  after.push(sample_at(1, "temp", 21.5));
  EXPECT_TRUE(after.out.empty());
  after.push(sample_at(2, "temp", 22.0));
  EXPECT_EQ(after.out.size(), 1U);
}

TEST(Deadband, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_deadband, "{ temp: -1 }").report, testing::HasSubstr("must not be negative"));
  EXPECT_THAT(StepHarness(make_deadband, "{ at_least_every: 3s }").report, testing::HasSubstr("names no field"));
  EXPECT_THAT(StepHarness(make_deadband, "{ temp: much }").report, testing::HasSubstr("'much' is not a number"));
}

TEST(Deadband, AClockThatWasSetBackDoesNotSilenceItsDevice) {
  StepHarness harness(make_deadband, "{ temp: 1, at_least_every: 10s }");
  harness.push(sample_at(3'600'000, "temp", 20.0));
  harness.push(sample_at(0, "temp", 20.0));
  harness.push(sample_at(5'000, "temp", 20.0));
  harness.push(sample_at(10'000, "temp", 20.0));
  EXPECT_EQ(harness.out.size(), 3U);
}

}  // namespace
}  // namespace penstock::ext::steps
