#include "ext/steps/clamp/clamp.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Quality;
using ingest::sample_at;
using ingest::StepHarness;

TEST(Clamp, CutsAndMarks) {
  StepHarness harness(make_clamp, "{ x: [0, 10], low: { min: 5 }, high: { max: 5 } }");
  for (double value : {-1.0, 5.0, 11.0}) harness.push(sample_at(0, "x", value));
  harness.push(sample_at(0, "low", std::int64_t{3}));
  harness.push(sample_at(0, "high", std::int64_t{3}));
  ASSERT_EQ(harness.out.size(), 5U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "x"), 0);
  EXPECT_EQ(harness.out[0].quality, Quality::uncertain);
  EXPECT_EQ(number(harness.out[1], "x"), 5);
  EXPECT_EQ(harness.out[1].quality, Quality::good);
  EXPECT_EQ(number(harness.out[2], "x"), 10);
  EXPECT_EQ(number(harness.out[3], "low"), 5);
  EXPECT_EQ(harness.out[4].find("high")->value, ingest::Value(std::int64_t{3}));
}

TEST(Clamp, ComparesInTheFieldsUnit) {
  StepHarness harness(make_clamp, "{ temp: [0degC, 100degC], mark: false }");
  ingest::Sample sample = sample_at(0, "x", 1.0);
  sample.set("temp", 500.0, "degF");
  harness.push(sample);
  sample.set("temp", 1.0, "bar");
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_NEAR(number(harness.out[0], "temp"), 212, 1e-9);
  EXPECT_EQ(harness.out[0].quality, Quality::good);
  EXPECT_EQ(harness.errors.size(), 1U);
}

TEST(Clamp, CutsArraysAndLeavesTexts) {
  StepHarness harness(make_clamp, "{ v: [0, 2] }");
  harness.push(sample_at(0, "v", std::vector<double>{-1, 1, 3}));
  harness.push(sample_at(0, "v", std::string("text")));
  ASSERT_EQ(harness.out.size(), 2U);
  EXPECT_EQ(harness.out[0].find("v")->value, ingest::Value(std::vector<double>{0, 1, 2}));
  EXPECT_EQ(harness.out[1].quality, Quality::good);
}

TEST(Clamp, RefusesNonsense) {
  const auto report = [](const char* yaml) { return StepHarness(make_clamp, yaml).report; };
  EXPECT_THAT(report("{ }"), testing::HasSubstr("clamps nothing"));
  EXPECT_THAT(report("{ x: [3, 1] }"), testing::HasSubstr("below the lower"));
  EXPECT_THAT(report("{ x: [1] }"), testing::HasSubstr("two ends"));
  EXPECT_THAT(report("{ x: { } }"), testing::HasSubstr("has no end"));
  EXPECT_THAT(report("{ x: [0degC, 3bar] }"), testing::HasSubstr("different kinds"));
  EXPECT_THAT(report("{ x: [0degc, 3] }"), testing::HasSubstr("did you mean 'degC'"));
}

TEST(Clamp, PlansProblems) {
  StepHarness harness(make_clamp, "{ temp: [0degC, 1degC] }");
  ingest::Shape in;
  in.fields["temp"] = {ingest::FieldType::Kind::number, "bar"};
  EXPECT_EQ(harness.step->plan(in).problems.size(), 1U);
}

}  // namespace
}  // namespace penstock::ext::steps
