#include "ext/steps/anonymise/anonymise.h"

#include <gmock/gmock.h>

#include "ingest/alarm_reason.h"
#include "ingest/expr.h"
#include "ingest/sample_bytes.h"
#include "ingest/sample_json.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;
using ingest::Value;

ingest::Sample person() {
  auto sample = sample_at(0, "lat", 48.13743);
  sample.set("badge", std::string("AB1234"));
  sample.set("pin", std::int64_t{987654});
  sample.set("operator", std::string("somebody"));
  sample.tags = {{"shift", "night"}, {"line", "A-17"}};
  return sample;
}

TEST(Anonymise, HidesWhatItIsTold) {
  StepHarness harness(make_anonymise,
                      "{ drop: [operator, tags.shift], mask: { badge: 2, pin: 0, tags.line: 1 }, round: { lat: 2 }, "
                      "time: 1h, device: true }");
  harness.push(person());
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const auto& out = harness.out[0];
  EXPECT_EQ(out.find("operator"), nullptr);
  EXPECT_EQ(out.find("badge")->value, Value(std::string("****34")));
  EXPECT_EQ(out.find("pin")->value, Value(std::string("******")));
  EXPECT_EQ(number(out, "lat"), 48.14);
  EXPECT_THAT(out.tags, testing::ElementsAre(testing::Pair("line", "***7")));
  EXPECT_EQ(out.event_time % 3'600'000'000, 0);
  EXPECT_LE(out.event_time, person().event_time);
  EXPECT_EQ(out.device, "anonymous");
}

TEST(Anonymise, MasksCharactersNotBytes) {
  StepHarness harness(make_anonymise, "{ mask: { name: 1, short: 3, v: 1 } }");
  auto sample = sample_at(0, "v", std::vector<double>{1});
  sample.set("name", std::string("Jürgö"));
  sample.set("short", std::string("abc"));
  harness.push(sample);
  EXPECT_EQ(harness.out[0].find("name")->value, Value(std::string("****ö")));
  EXPECT_EQ(harness.out[0].find("short")->value, Value(std::string("***")));
  EXPECT_EQ(harness.out[0].find("v")->value, Value(std::string("*")));
}

TEST(Anonymise, RoundsUpwardsOfTheCommaToo) {
  StepHarness harness(make_anonymise, "{ round: { x: -3 } }");
  harness.push(sample_at(0, "x", std::int64_t{12'345}));
  EXPECT_EQ(number(harness.out[0], "x"), 12'000);
}

TEST(Anonymise, PlansWhatIsLeft) {
  StepHarness harness(make_anonymise, "{ drop: [a, c], mask: { b: 1 } }");
  ingest::Shape in;
  in.fields["a"] = {};
  in.fields["b"] = {ingest::FieldType::Kind::number, "bar"};
  in.open = false;
  const auto plan = harness.step->plan(in);
  EXPECT_EQ(plan.out.fields.size(), 1U);
  EXPECT_EQ(plan.out.fields.at("b").kind, ingest::FieldType::Kind::text);
  EXPECT_EQ(plan.problems.size(), 1U);
}

TEST(Anonymise, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_anonymise, "{ }").report, testing::HasSubstr("hides nothing"));
  EXPECT_THAT(StepHarness(make_anonymise, "{ mask: { a: -1 } }").report, testing::HasSubstr("0"));
}

ingest::Sample alarmed(const std::string& device) {
  auto sample = sample_at(1'234'567, "vib", 5.25, device);
  sample.set("badge", std::string("AB1234"));
  sample.set("message", std::string("bearing of " + device + " is hot"));
  sample.tags = {{"topic", "plant/" + device + "/vib"}, {"other", device + "0"}};
  auto alarm = std::make_shared<ingest::AlarmChange>();
  alarm->pipeline = "p";
  alarm->name = "wear";
  alarm->device = device;
  alarm->raised = true;
  alarm->at = sample.event_time;
  alarm->why = "vib > 5 and device == '" + device + "'; vib = 5.25, device = " + device;
  alarm->grounds = std::make_shared<const ingest::Sample>(ingest::Expression::compile("vib > 5")->grounds(sample));
  sample.alarm = std::move(alarm);
  sample.sequence = 7;
  sample.origin = std::make_shared<const std::string>("journals/" + device + "-17");
  return sample;
}

TEST(Anonymise, NamesTheDeviceNowhere) {
  StepHarness harness(make_anonymise, "{ device: true, time: 1h }");
  harness.push(alarmed("press-1"));
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const std::string told = ingest::to_json(harness.out[0]) + ingest::to_json(*harness.out[0].alarm);
  std::string bytes;
  ingest::append_bytes(bytes, harness.out[0]);
  for (const std::string& emitted : {told, bytes}) {
    EXPECT_THAT(emitted, testing::Not(testing::ContainsRegex("press-1[^0]"))) << emitted;
    EXPECT_THAT(emitted, testing::HasSubstr("anonymous"));
  }
  EXPECT_THAT(told, testing::HasSubstr("bearing of anonymous is hot"));
  EXPECT_EQ(harness.out[0].tags[1].second, "press-10") << "another word";
  EXPECT_EQ(harness.out[0].alarm->at % 3'600'000'000, 0);
}

std::string reason_behind(const char* yaml, ingest::Sample sample) {
  StepHarness harness(make_anonymise, yaml);
  harness.push(std::move(sample));
  return harness.out.at(0).alarm->why;
}

TEST(Anonymise, AnAlarmDoesNotTellHiddenValues) {
  for (const char* hides : {"{ mask: { vib: 0 } }", "{ drop: vib }", "{ round: { vib: 1 } }"}) {
    EXPECT_EQ(reason_behind(hides, alarmed("d")), ingest::kWithheld) << hides;
  }
  EXPECT_THAT(reason_behind("{ mask: { badge: 0 } }", alarmed("d")), testing::HasSubstr("vib = 5.25"));
  EXPECT_THAT(reason_behind("{ mask: { badge: 0 }, device: true }", alarmed("d")), testing::HasSubstr("vib = 5.25"));
}

TEST(Anonymise, AnAlarmDoesNotTellHiddenValuesByNamesTheyHadBefore) {
  auto renamed = alarmed("d");
  renamed.fields[0].name = "swing";
  EXPECT_EQ(reason_behind("{ mask: { swing: 0 } }", renamed), ingest::kWithheld);
  auto dropped = alarmed("d");
  dropped.fields.erase(dropped.fields.begin());
  EXPECT_EQ(reason_behind("{ drop: vib }", dropped), ingest::kWithheld);
  auto moved = alarmed("d");
  moved.set("swing", moved.fields[0].value);
  moved.set("vib", 0.0);
  EXPECT_EQ(reason_behind("{ mask: { swing: 0 } }", moved), ingest::kWithheld) << "another value has its name";
}

TEST(Anonymise, HidingTheDeviceOrTheTimeLeavesTheRestOfAReason) {
  auto renamed = alarmed("press-1");
  renamed.fields[0].name = "swing";
  EXPECT_THAT(reason_behind("{ device: true, time: 1h }", renamed),
              testing::EndsWith("vib = 5.25, device = anonymous"));
}

TEST(Anonymise, AReasonWhoseGroundsAreUnknownIsWithheld) {
  auto sample = alarmed("d");
  auto alarm = std::make_shared<ingest::AlarmChange>(*sample.alarm);
  alarm->grounds = nullptr;
  sample.alarm = alarm;
  EXPECT_EQ(reason_behind("{ mask: { badge: 0 } }", sample), ingest::kWithheld);
}

}  // namespace
}  // namespace penstock::ext::steps
