#include "ext/steps/priority/priority.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::Priority;
using ingest::sample_at;
using ingest::StepHarness;
using testing::HasSubstr;

TEST(PriorityStep, GivesOneToAllThatPasses) {
  StepHarness harness(make_priority, "bulk");
  ASSERT_EQ(harness.report, "");
  harness.push(sample_at(0, "temp", 1.0));
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(harness.out[0].priority, Priority::bulk);
}

TEST(PriorityStep, TheHighestWhoseConditionHoldsCounts) {
  StepHarness harness(make_priority, "{ bulk: \"temp < 60\", alarm: \"temp < 10\" }");
  ASSERT_EQ(harness.report, "");
  for (const double temp : {70.0, 50.0, 5.0}) harness.push(sample_at(0, "temp", temp));
  ASSERT_EQ(harness.out.size(), 3U);
  EXPECT_EQ(harness.out[0].priority, Priority::normal) << "none holds: as it was";
  EXPECT_EQ(harness.out[1].priority, Priority::bulk);
  EXPECT_EQ(harness.out[2].priority, Priority::alarm);
}

TEST(PriorityStep, WhatTellsOfAnAlarmStaysOne) {
  StepHarness harness(make_priority, "bulk");
  auto sample = sample_at(0, "temp", 1.0);
  sample.alarm = std::make_shared<ingest::AlarmChange>();
  sample.priority = Priority::alarm;
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(harness.out[0].priority, Priority::alarm);
}

TEST(PriorityStep, ReportsMistakes) {
  EXPECT_THAT(StepHarness(make_priority, "high").report, HasSubstr("bulk"));
  EXPECT_THAT(StepHarness(make_priority, "{ low: \"true\" }").report, HasSubstr("low"));
  EXPECT_THAT(StepHarness(make_priority, "{}").report, HasSubstr("gives none"));
  EXPECT_THAT(StepHarness(make_priority, "{ bulk: \"temp + 1\" }").report, HasSubstr("column"));
}

}  // namespace
}  // namespace penstock::ext::steps
