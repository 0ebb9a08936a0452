#include "ext/steps/dedupe/dedupe.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::sample_at;
using ingest::StepHarness;

TEST(Dedupe, DropsTheSameSampleAgain) {
  StepHarness harness(make_dedupe, "{ }");
  auto sample = sample_at(0, "x", 1.0);
  sample.set("y", std::string("a"));
  auto turned = sample_at(0, "y", std::string("a"));
  turned.set("x", std::int64_t{1});
  harness.push(sample);
  harness.push(sample);
  harness.push(turned);
  EXPECT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(harness.dropped, 2U);
  harness.push(sample_at(1, "x", 1.0));
  sample.set("y", std::string("b"));
  harness.push(sample);
  sample.device = "other";
  harness.push(sample);
  EXPECT_EQ(harness.out.size(), 4U);
}

TEST(Dedupe, ForgetsAfterTheTime) {
  StepHarness harness(make_dedupe, "{ within: 10s, key: id }");
  const auto push = [&](std::int64_t millis, ingest::Value id) {
    harness.push(sample_at(millis, "id", std::move(id)));
  };
  push(0, std::int64_t{7});
  push(10'000, std::int64_t{7});
  EXPECT_EQ(harness.out.size(), 1U);
  push(10'001, std::int64_t{7});
  EXPECT_EQ(harness.out.size(), 2U);
  push(10'002, std::string("7"));
  EXPECT_EQ(harness.out.size(), 3U);
}

TEST(Dedupe, TheAlarmOfASampleThatWentByIsNoDuplicate) {
  for (const std::string yaml : {"{ }", "{ key: x }"}) {
    StepHarness harness(make_dedupe, yaml);
    auto sample = sample_at(0, "x", 1.0);
    harness.push(sample);
    ingest::AlarmChange alarm{.pipeline = "line", .name = "hot", .device = "d", .raised = true, .at = 3, .why = ""};
    for (const std::string name : {"hot", "wear"}) {
      alarm.name = name;
      sample.alarm = std::make_shared<ingest::AlarmChange>(alarm);
      harness.push(sample);
      harness.push(sample);  // but the same alarm is
    }
    EXPECT_EQ(harness.out.size(), 3U);
    EXPECT_EQ(harness.dropped, 2U);
    alarm.raised = false;
    sample.alarm = std::make_shared<ingest::AlarmChange>(alarm);
    harness.push(sample);
    EXPECT_EQ(harness.out.size(), 4U);
  }
}

TEST(Dedupe, PassesSamplesWithoutAKey) {
  StepHarness harness(make_dedupe, "{ key: id }");
  harness.push(sample_at(0, "x", 1.0));
  harness.push(sample_at(0, "x", 1.0));
  EXPECT_EQ(harness.out.size(), 2U);
}

TEST(Dedupe, RemembersABoundedNumber) {
  StepHarness harness(make_dedupe, "{ within: 1h, key: id }");
  for (std::int64_t id = 0; id < 5000; ++id) harness.push(sample_at(0, "id", id));
  harness.push(sample_at(0, "id", std::int64_t{4999}));
  EXPECT_EQ(harness.out.size(), 5000U);
  harness.push(sample_at(0, "id", std::int64_t{0}));
  EXPECT_EQ(harness.out.size(), 5001U);
}

TEST(Dedupe, KeepsWhatItKnowsOverAReload) {
  StepHarness before(make_dedupe, "{ within: 1m, key: id }");
  before.push(sample_at(0, "id", 1.0));
  StepHarness same(make_dedupe, "{ within: 2m, key: id }");
  same.step->adopt(*before.step);
  same.push(sample_at(1, "id", 1.0));
  EXPECT_EQ(same.out.size(), 0U);
  StepHarness other(make_dedupe, "{ key: x }");
  other.step->adopt(*same.step);
  other.push(sample_at(1, "x", 1.0));
  EXPECT_EQ(other.out.size(), 1U);
}

TEST(Dedupe, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_dedupe, "{ within: 0s }").report, testing::HasSubstr("more than nothing"));
  EXPECT_THAT(StepHarness(make_dedupe, "{ key: \"a +\" }").report, testing::HasSubstr("column"));
}

}  // namespace
}  // namespace penstock::ext::steps
