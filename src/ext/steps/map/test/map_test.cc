#include "ext/steps/map/map.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;

TEST(Map, AddsFieldsInOrderAndKeepsTheOthers) {
  StepHarness harness(make_map, "{ twice: temp * 2, four: twice * 2, f: 'to(temp, \"degF\")' }");
  auto sample = sample_at(0, "temp", 100.0);
  sample.fields[0].unit = "degC";
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "temp"), 100);
  EXPECT_EQ(number(harness.out[0], "four"), 400);
  EXPECT_DOUBLE_EQ(number(harness.out[0], "f"), 212);
  EXPECT_EQ(harness.out[0].find("f")->unit, "degF");
}

TEST(Map, OnlyKeepsWhatItMakes) {
  StepHarness harness(make_map, "{ only: true, twice: temp * 2 }");
  harness.push(sample_at(0, "temp", 1.0));
  ASSERT_EQ(harness.out[0].fields.size(), 1U);
  EXPECT_EQ(harness.out[0].fields[0].name, "twice");
}

TEST(Map, NullRemovesAField) {
  StepHarness harness(make_map, "{ temp: missing + 1 }");
  harness.push(sample_at(0, "temp", 1.0));
  EXPECT_TRUE(harness.out[0].fields.empty());
}

TEST(Map, SetsDeviceAndTags) {
  StepHarness harness(make_map, "{ device: name, tags.line: '\"A\"' }");
  harness.push(sample_at(0, "name", std::string("press-9")));
  EXPECT_EQ(harness.out[0].device, "press-9");
  ASSERT_EQ(harness.out[0].tags.size(), 1U);
  EXPECT_EQ(harness.out[0].tags[0].second, "A");
}

TEST(Map, RefusesAnEmptyMap) {
  StepHarness harness(make_map, "{ only: true }");
  EXPECT_EQ(harness.step, nullptr);
  EXPECT_THAT(harness.report, testing::HasSubstr("makes nothing"));
}

}  // namespace
}  // namespace penstock::ext::steps
