#include "ext/steps/select/select.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::sample_at;
using ingest::StepHarness;

std::string names(const ingest::Sample& sample) {
  std::string result;
  for (const ingest::Field& field : sample.fields) result += field.name + " ";
  return result;
}

ingest::Sample machine() {
  ingest::Sample sample = sample_at(0, "temp", 1.0);
  for (const char* name : {"motor.vib", "motor.rpm", "raw"}) sample.set(name, 2.0);
  return sample;
}

TEST(Select, KeepsWhatIsNamed) {
  StepHarness harness(make_select, "[temp, \"motor.*\"]");
  harness.push(machine());
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(names(harness.out[0]), "temp motor.vib motor.rpm ");
}

TEST(Select, DropWins) {
  StepHarness harness(make_select, "{ keep: \"m*\", drop: [\"*.rpm\"] }");
  harness.push(machine());
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(names(harness.out[0]), "motor.vib ");
}

TEST(Select, LeavesOutSamplesWithNothingLeftButNotAlarms) {
  StepHarness harness(make_select, "[temp]");
  harness.push(sample_at(0, "other", 1.0));
  auto told = sample_at(0, "other", 1.0);
  told.alarm = std::make_shared<ingest::AlarmChange>();
  harness.push(told);
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_TRUE(harness.out[0].alarm);
}

TEST(Select, PlansTheFieldsThatAreLeft) {
  StepHarness harness(make_select, "[temp, tmp]");
  ingest::Shape in;
  in.fields["temp"] = {ingest::FieldType::Kind::number, "degC"};
  in.fields["vib"] = {ingest::FieldType::Kind::number, ""};
  in.open = false;
  auto plan = harness.step->plan(in);
  EXPECT_THAT(plan.problems, testing::ElementsAre("there is no field 'tmp' here; did you mean 'temp'?"));
  EXPECT_EQ(plan.out.fields.at("temp").unit, "degC");
  EXPECT_FALSE(plan.out.fields.contains("vib"));
  in.open = true;
  plan = harness.step->plan(in);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_FALSE(plan.out.open);
}

TEST(Select, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_select, "{ }").report, testing::HasSubstr("names no field"));
  EXPECT_THAT(StepHarness(make_select, "[\"a*b*\"]").report, testing::HasSubstr("two stars"));
  EXPECT_THAT(StepHarness(make_select, "{ keep: [a], kep: [b] }").report, testing::HasSubstr("did you mean 'keep'"));
}

}  // namespace
}  // namespace penstock::ext::steps
