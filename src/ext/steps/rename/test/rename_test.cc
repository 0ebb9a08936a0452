#include "ext/steps/rename/rename.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;

TEST(Rename, NamesAndStars) {
  StepHarness harness(make_rename, "{ t1: temp, \"motor.*\": \"m_*\", \"*.raw\": raw }");
  auto sample = sample_at(0, "t1", 1.0);
  sample.set("motor.vib", 2.0, "mm/s");
  sample.set("axis.raw", 3.0);
  sample.set("rest", 4.0);
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const auto& out = harness.out[0];
  EXPECT_EQ(number(out, "temp"), 1.0);
  EXPECT_EQ(number(out, "m_vib"), 2.0);
  EXPECT_EQ(out.find("m_vib")->unit, "mm/s");
  EXPECT_EQ(number(out, "raw"), 3.0);
  EXPECT_EQ(number(out, "rest"), 4.0);
  EXPECT_EQ(out.fields.size(), 4U);
}

TEST(Rename, TheLaterOfTwoStays) {
  StepHarness harness(make_rename, "{ a: x, b: x }");
  auto sample = sample_at(0, "a", 1.0);
  sample.set("b", 2.0);
  harness.push(sample);
  ASSERT_EQ(harness.out[0].fields.size(), 1U);
  EXPECT_EQ(number(harness.out[0], "x"), 2.0);
}

TEST(Rename, CanSwap) {
  StepHarness harness(make_rename, "{ a: b, b: a }");
  auto sample = sample_at(0, "a", 1.0);
  sample.set("b", 2.0);
  harness.push(sample);
  EXPECT_EQ(number(harness.out[0], "a"), 2.0);
  EXPECT_EQ(number(harness.out[0], "b"), 1.0);
}

TEST(Rename, PlansTheNewNames) {
  StepHarness harness(make_rename, "{ a: b, c: d }");
  ingest::Shape in;
  in.fields["a"] = {ingest::FieldType::Kind::number, "degC"};
  in.open = false;
  auto plan = harness.step->plan(in);
  EXPECT_EQ(plan.out.fields.at("b").unit, "degC");
  ASSERT_EQ(plan.problems.size(), 1U);
  EXPECT_THAT(plan.problems[0], testing::HasSubstr("no field 'c'"));
}

TEST(Rename, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_rename, "{ }").report, testing::HasSubstr("renames nothing"));
  EXPECT_THAT(StepHarness(make_rename, "{ a: \"b*\" }").report, testing::HasSubstr("has a star"));
}

}  // namespace
}  // namespace penstock::ext::steps
