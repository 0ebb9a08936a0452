#include "ext/steps/convert/convert.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::StepHarness;

ingest::Sample measured(std::string_view name, ingest::Value value, std::string_view unit) {
  ingest::Sample sample = ingest::sample_at(0, "other", 1.0);
  sample.set(name, std::move(value), unit);
  return sample;
}

TEST(Convert, Converts) {
  StepHarness harness(make_convert, "{ temp: degC, speed: mm/s }");
  harness.push(measured("temp", 212.0, "degF"));
  harness.push(measured("speed", std::int64_t{2}, "m/s"));
  harness.push(measured("speed", std::vector<double>{1, 2}, "cm/s"));
  ASSERT_EQ(harness.out.size(), 3U) << harness.report;
  EXPECT_NEAR(number(harness.out[0], "temp"), 100, 1e-9);
  EXPECT_EQ(harness.out[0].find("temp")->unit, "degC");
  EXPECT_EQ(number(harness.out[1], "speed"), 2000);
  EXPECT_EQ(std::get<std::vector<double>>(harness.out[2].find("speed")->value), (std::vector<double>{10, 20}));
}

TEST(Convert, GivesAUnitToWhatHasNone) {
  StepHarness harness(make_convert, "{ temp: degC }");
  harness.push(measured("temp", std::int64_t{20}, ""));
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(number(harness.out[0], "temp"), 20);
  EXPECT_EQ(harness.out[0].find("temp")->unit, "degC");
}

TEST(Convert, FailsWhatDoesNotFit) {
  StepHarness harness(make_convert, "{ temp: degC }");
  harness.push(measured("temp", 1.0, "bar"));
  harness.push(measured("temp", 1.0, "fathoms"));
  harness.push(measured("temp", std::string("warm"), ""));
  EXPECT_TRUE(harness.out.empty());
  ASSERT_EQ(harness.errors.size(), 3U);
  EXPECT_THAT(harness.errors[0], testing::HasSubstr("'temp' in bar cannot be given in degC"));
}

TEST(Convert, PlansUnitsAndFindsWhatCannotBe) {
  StepHarness harness(make_convert, "{ temp: degC, flow: l/min }");
  ingest::Shape in;
  in.fields["temp"] = {ingest::FieldType::Kind::number, "degF"};
  in.fields["flow"] = {ingest::FieldType::Kind::number, "bar"};
  auto plan = harness.step->plan(in);
  EXPECT_EQ(plan.out.fields.at("temp").unit, "degC");
  ASSERT_EQ(plan.problems.size(), 1U);
  EXPECT_THAT(plan.problems[0], testing::HasSubstr("'flow' is in bar (pressure)"));
}

TEST(Convert, RefusesUnknownUnits) {
  EXPECT_THAT(StepHarness(make_convert, "{ temp: degc }").report, testing::HasSubstr("did you mean 'degC'"));
  EXPECT_THAT(StepHarness(make_convert, "{ }").report, testing::HasSubstr("converts nothing"));
}

}  // namespace
}  // namespace penstock::ext::steps
