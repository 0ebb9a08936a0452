#include "ext/steps/pseudonymise/pseudonymise.h"

#include <gmock/gmock.h>

#include "base/secret.h"
#include "ingest/alarm_reason.h"
#include "ingest/expr.h"
#include "ingest/sample_json.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::sample_at;
using ingest::StepHarness;
using ingest::Value;

constexpr const char* kAll = "{ key: 0123456789abcdef, device: true, fields: [operator, number], tags: [badge] }";

TEST(Pseudonymise, IsHmacUnderTheKey) {
  StepHarness harness(make_pseudonymise, kAll);
  auto sample = sample_at(0, "operator", std::string("somebody"), "press-1");
  sample.set("number", std::int64_t{42}, "bar");
  sample.set("temp", 20.0, "degC");
  sample.tags = {{"badge", "somebody"}, {"line", "A"}};
  harness.push(sample);
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 2U) << harness.report;
  const auto& out = harness.out[1];
  const auto hash = [](const char* of) { return base::hmac_sha256_hex("0123456789abcdef", of).substr(0, 32); };
  EXPECT_EQ(out.device, hash("press-1"));
  EXPECT_EQ(out.find("operator")->value, Value(hash("somebody")));
  EXPECT_EQ(out.find("number")->value, Value(hash("42")));
  EXPECT_EQ(out.find("number")->unit, "");
  EXPECT_EQ(out.tags[0].second, hash("somebody"));
  EXPECT_EQ(out.tags[1].second, "A");
  EXPECT_EQ(out.find("temp")->value, Value(20.0));
}

TEST(Pseudonymise, AnotherKeyGivesOtherNames) {
  StepHarness one(make_pseudonymise, "{ key: 0123456789abcdef, device: true }");
  StepHarness two(make_pseudonymise, "{ key: fedcba9876543210, device: true }");
  one.push(sample_at(0, "x", 1.0));
  two.push(sample_at(0, "x", 1.0));
  EXPECT_NE(one.out[0].device, two.out[0].device);
}

TEST(Pseudonymise, IsRightForMoreNamesThanItRemembers) {
  StepHarness harness(make_pseudonymise, "{ key: 0123456789abcdef, device: true }");
  for (int i = 0; i < 20'001; ++i) harness.push(sample_at(0, "x", 1.0, std::to_string(i % 10'500)));
  EXPECT_EQ(harness.out[0].device, harness.out[10'500].device);
}

TEST(Pseudonymise, RefusesNonsense) {
  const auto report = [](const char* yaml) { return StepHarness(make_pseudonymise, yaml).report; };
  EXPECT_THAT(report("{ key: 0123456789abcdef }"), testing::HasSubstr("names nothing"));
  EXPECT_THAT(report("{ device: true }"), testing::HasSubstr("key"));
  const std::string weak = report("{ key: short-key, device: true }");
  EXPECT_THAT(weak, testing::HasSubstr("too short"));
  EXPECT_THAT(weak, testing::Not(testing::HasSubstr("short-key")));
}

TEST(Pseudonymise, NamesTheDeviceNowhere) {
  StepHarness harness(make_pseudonymise, "{ key: 0123456789abcdef0123456789abcdef, device: true, fields: [badge] }");
  auto sample = sample_at(0, "badge", std::string("AB1234"), "press-1");
  sample.set("message", std::string("press-1: bearing is hot"));
  sample.tags = {{"topic", "plant/press-1/vib"}};
  auto alarm = std::make_shared<ingest::AlarmChange>();
  alarm->device = "press-1";
  alarm->why = "badge == 'AB1234'; badge = AB1234";
  sample.alarm = alarm;
  sample.sequence = 7;
  sample.origin = std::make_shared<const std::string>("journals/press-1");
  harness.push(std::move(sample));
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const ingest::Sample& out = harness.out[0];
  const std::string told = ingest::to_json(out) + ingest::to_json(*out.alarm);
  EXPECT_THAT(told, testing::Not(testing::HasSubstr("press")));
  EXPECT_THAT(told, testing::Not(testing::HasSubstr("AB1234")));
  EXPECT_EQ(out.alarm->device, out.device);
  EXPECT_EQ(out.tags[0].second, "plant/" + out.device + "/vib");
}

TEST(Pseudonymise, AReasonTellsOnlyWhatTheSampleStillDoes) {
  const auto reason_behind = [](const char* yaml, bool renamed) {
    auto sample = sample_at(0, "badge", std::string("AB1234"));
    sample.tags = {{"line", "A"}, {"shift", "night"}};
    auto alarm = std::make_shared<ingest::AlarmChange>();
    alarm->why = "badge == 'AB1234' and tags.line == 'A'; badge = AB1234, line = A";
    alarm->grounds = std::make_shared<const ingest::Sample>(
        ingest::Expression::compile("badge == 'AB1234' and tags.line == 'A'")->grounds(sample));
    sample.alarm = alarm;
    if (renamed) sample.fields[0].name = "worker";
    StepHarness harness(make_pseudonymise, yaml);
    harness.push(std::move(sample));
    return harness.out.at(0).alarm->why;
  };
  EXPECT_EQ(reason_behind("{ key: 0123456789abcdef, fields: worker }", true), ingest::kWithheld);
  EXPECT_EQ(reason_behind("{ key: 0123456789abcdef, fields: badge }", false), ingest::kWithheld);
  EXPECT_EQ(reason_behind("{ key: 0123456789abcdef, tags: line }", false), ingest::kWithheld);
  EXPECT_THAT(reason_behind("{ key: 0123456789abcdef, tags: shift }", false), testing::HasSubstr("badge = AB1234"));
}

}  // namespace
}  // namespace penstock::ext::steps
