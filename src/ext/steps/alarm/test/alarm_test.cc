#include "ext/steps/alarm/alarm.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::AlarmChange;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepContext;
using ingest::StepHarness;

constexpr const char* kWear =
    "{ name: wear, raise: \"score > 0.8 for 3s\", clear: \"score < 0.6 for 10s\", severity: critical }";

TEST(Alarm, RaisesAfterTheHoldTimeAndClearsAfterItsOwn) {
  StepHarness harness(make_alarm, kWear);
  for (int second = 0; second <= 30; ++second) {
    double score = second < 5 ? 0.1 : second < 15 ? 0.9 : 0.5;
    harness.push(sample_at(second * 1000, "score", score));
  }
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_TRUE(harness.changes[0].raised);
  EXPECT_EQ(harness.changes[0].at, sample_at(8000, "x", 0.0).event_time);
  EXPECT_EQ(harness.changes[0].severity, "critical");
  EXPECT_EQ(harness.changes[0].why, "score > 0.8 for 3s; score = 0.9");
  EXPECT_FALSE(harness.changes[1].raised);
  EXPECT_EQ(harness.changes[1].at, sample_at(25000, "x", 0.0).event_time);
  // Every sample passes; two carry a change.
  ASSERT_EQ(harness.out.size(), 31U);
  EXPECT_TRUE(harness.out[8].alarm && harness.out[8].alarm->raised);
  EXPECT_TRUE(harness.out[25].alarm && !harness.out[25].alarm->raised);
  EXPECT_FALSE(harness.out[9].alarm);
}

TEST(Alarm, AnInterruptionStartsTheHoldAnew) {
  StepHarness harness(make_alarm, kWear);
  for (int second = 0; second < 20; ++second)
    harness.push(sample_at(second * 1000, "score", second % 3 == 2 ? 0.7 : 0.9));
  EXPECT_TRUE(harness.changes.empty());
}

TEST(Alarm, StaysRaisedBetweenTheTwoThresholds) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80degC, clear: temp < 75degC }");
  for (double value : {70.0, 81.0, 79.0, 81.0, 76.0, 74.0, 79.0}) harness.push(sample_at(0, "temp", value));
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_TRUE(harness.changes[0].raised);
  EXPECT_FALSE(harness.changes[1].raised);
}

TEST(Alarm, WithoutClearEndsWhenTheConditionDoes) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 }");
  harness.push(sample_at(0, "temp", 81.0));
  harness.push(sample_at(1, "other", 1.0));  // says nothing about the condition
  harness.push(sample_at(2, "temp", 80.0));
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_EQ(harness.changes[1].why, "no longer temp > 80; temp = 80");
}

TEST(Alarm, SilenceLetsTheHoldTimeEnd) {
  StepHarness harness(make_alarm, kWear);
  auto sample = sample_at(0, "score", 0.9);
  sample.ingest_time += 500'000;  // half a second on the way
  harness.push(sample);
  harness.tick(sample.ingest_time + 2'900'000);
  EXPECT_TRUE(harness.changes.empty());
  harness.tick(sample.ingest_time + 3'000'000);
  ASSERT_EQ(harness.changes.size(), 1U);
  EXPECT_EQ(harness.changes[0].at, sample.event_time + 3'000'000);
  ASSERT_EQ(harness.out.size(), 2U);
  EXPECT_TRUE(harness.out[1].alarm);
  EXPECT_EQ(harness.out[1].event_time, sample.event_time) << "it is as old as it is";
  harness.tick(sample.ingest_time + 9'000'000);
  EXPECT_EQ(harness.changes.size(), 1U);
}

TEST(Alarm, ABrokenSensorClearsNothing) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 and run > 0 }");
  auto sample = sample_at(0, "temp", 90.0);
  sample.set("run", 1.0);
  harness.push(sample);
  ASSERT_EQ(harness.changes.size(), 1U);
  sample.set("temp", std::numeric_limits<double>::quiet_NaN());
  harness.push(sample);
  harness.push(sample_at(1, "run", 1.0));
  EXPECT_EQ(harness.changes.size(), 1U);
  harness.push(sample_at(2, "run", 0.0));  // whatever the temperature is
  EXPECT_EQ(harness.changes.size(), 2U);
}

TEST(Alarm, DoesNotFlapWhereBothConditionsAreMet) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp >= 80, clear: temp <= 80 }");
  for (double value : {80.0, 80.0, 80.0, 80.0}) harness.push(sample_at(0, "temp", value));
  EXPECT_EQ(harness.changes.size(), 1U);
  harness.push(sample_at(0, "temp", 79.0));
  EXPECT_EQ(harness.changes.size(), 2U);
}

TEST(Alarm, WatchesEveryDeviceByItself) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 }");
  harness.push(sample_at(0, "temp", 81.0, "a"));
  harness.push(sample_at(0, "temp", 70.0, "b"));
  harness.push(sample_at(0, "temp", 81.0, "b"));
  ASSERT_EQ(harness.changes.size(), 2U);
  EXPECT_EQ(harness.changes[0].device, "a");
  EXPECT_EQ(harness.changes[1].device, "b");
}

TEST(Alarm, GoesOnOverAHotSwap) {
  StepHarness before(make_alarm, kWear);
  before.push(sample_at(0, "score", 0.9, "a"));
  before.push(sample_at(5000, "score", 0.9, "a"));  // raised
  before.push(sample_at(5000, "score", 0.9, "b"));  // holds
  StepHarness same(make_alarm, kWear);
  same.step->adopt(*before.step);
  same.push(sample_at(8000, "score", 0.9, "b"));
  same.push(sample_at(8000, "score", 0.9, "a"));
  ASSERT_EQ(same.changes.size(), 1U);
  EXPECT_EQ(same.changes[0].device, "b");
  // Other conditions: what is raised stays so, and holds begin anew.
  StepHarness other(make_alarm, "{ name: wear, raise: score > 0.95 for 3s, clear: score < 0.7 }");
  other.step->adopt(*same.step);
  other.push(sample_at(9000, "score", 0.65, "a"));
  ASSERT_EQ(other.changes.size(), 1U);
  EXPECT_FALSE(other.changes[0].raised);
  StepHarness another(make_alarm, "{ name: wrong, raise: score > 0.8 }");
  another.step->adopt(*other.step);
  another.push(sample_at(9000, "score", 0.9, "b"));
  EXPECT_EQ(another.changes.size(), 1U);
}

TEST(Alarm, AskedWhetherItStandsTheBoardDecides) {
  StepContext context;
  context.raised = [](const std::string& name) {
    AlarmChange stands;
    stands.name = name;
    stands.device = "a";
    return std::vector<AlarmChange>{stands};
  };
  context.alarms = std::make_shared<ingest::AlarmTable>();
  std::vector<AlarmChange> changes;
  context.alarm_changed = [&](const AlarmChange& change) { changes.push_back(change); };
  auto document =
      config::Document::parse("step: { name: hot, raise: temp > 80, clear: temp < 75, acknowledge: true }\n", "t");
  auto step = make_alarm(document->root().map().get("step"), context);
  ASSERT_TRUE(step);
  EXPECT_TRUE(context.alarms->at("hot").acknowledge);
  struct Out : ingest::Output {
    void emit(Sample) override {}
  } out;
  step->push(sample_at(0, "temp", 90.0, "a"), out);
  EXPECT_TRUE(changes.empty());
  step->push(sample_at(1, "temp", 70.0, "a"), out);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_FALSE(changes[0].raised);
}

TEST(Alarm, TravelsWithTheGroundsOfItsReason) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 and tags.line == 'A' }");
  auto sample = sample_at(0, "temp", 90.0);
  sample.set("badge", std::string("AB1234"));
  sample.tags = {{"line", "A"}, {"shift", "night"}};
  harness.push(sample);
  ASSERT_TRUE(harness.out.at(0).alarm && harness.out[0].alarm->grounds);
  const Sample& grounds = *harness.out[0].alarm->grounds;
  ASSERT_EQ(grounds.fields.size(), 1U);
  EXPECT_EQ(grounds.fields[0].name, "temp");
  EXPECT_THAT(grounds.tags, testing::ElementsAre(testing::Pair("line", "A")));
  EXPECT_EQ(harness.changes.at(0).grounds, nullptr) << "nobody else keeps them";
}

TEST(Alarm, TwoAlarmsOfOneSampleTravelWithOneEach) {
  StepHarness harness(make_alarm, "{ name: hot, raise: temp > 80 }");
  auto sample = sample_at(0, "temp", 90.0);
  auto other = std::make_shared<AlarmChange>();
  other->name = "warm";
  sample.alarm = other;
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 2U);
  EXPECT_EQ(harness.out[0].alarm->name, "warm");
  EXPECT_EQ(harness.out[1].alarm->name, "hot");
}

TEST(Alarm, OneOfSeveralThatOneSampleDecidesHasItsName) {
  StepHarness harness(make_alarm, "{ name: hot, raise: 'score > 0.5' }");
  auto sample = sample_at(0, "score", 0.9);
  sample.alarm = std::make_shared<ingest::AlarmChange>();
  sample.sequence = 3;
  sample.origin = std::make_shared<const std::string>("press/1/p");
  harness.push(std::move(sample));
  ASSERT_EQ(harness.out.size(), 2U);
  EXPECT_EQ(harness.out[0].origin, nullptr);
  EXPECT_EQ(harness.out[1].sequence, 3U);
}

TEST(Alarm, AHoldKeepsNoReceipt) {
  StepHarness harness(make_alarm, kWear);
  auto sample = sample_at(0, "score", 0.9);
  sample.receipt = std::make_shared<ingest::Receipt>();
  std::weak_ptr<const ingest::Receipt> receipt = sample.receipt;
  harness.push(std::move(sample));
  harness.out.clear();
  EXPECT_TRUE(receipt.expired());
}

TEST(Alarm, PlansWhatComesOutAndItsMemory) {
  StepHarness harness(make_alarm, kWear);
  ingest::Shape shape;
  shape.fields["score"] = {.kind = ingest::FieldType::Kind::number, .unit = ""};
  ingest::StepPlan plan = harness.step->plan(shape);
  EXPECT_EQ(plan.out, shape);
  EXPECT_GT(plan.memory_bytes_max, 1'000'000U);
}

TEST(Alarm, RefusesIncompleteSettings) {
  EXPECT_THAT(StepHarness(make_alarm, "{ name: x }").report, testing::HasSubstr("'raise' is missing"));
  EXPECT_THAT(StepHarness(make_alarm, "{ name: x, raise: temp > 3, cleer: temp < 2 }").report,
              testing::HasSubstr("did you mean 'clear'"));
}

TEST(Alarm, TheWayHereIsNoHoldTime) {
  StepHarness harness(make_alarm, kWear);
  // An hour in a journal; the device was back to normal a second later.
  auto now = sample_at(0, "score", 0.0).ingest_time + 3'600'000'000;
  harness.step->tick(now, harness);
  for (int i = 0; i < 10; ++i) {
    harness.step->push(sample_at(i * 1000, "score", i % 2 == 0 ? 0.9 : 0.1), harness);
    harness.step->tick(now += 100'000, harness);
  }
  EXPECT_TRUE(harness.changes.empty());
}

}  // namespace
}  // namespace penstock::ext::steps
