#include "ext/steps/anomaly/anomaly_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace penstock::ext::anomaly {
namespace {

using testing::HasSubstr;

class Collected : public ingest::Output {
 public:
  void emit(ingest::Sample sample) override { samples.push_back(std::move(sample)); }
  std::vector<ingest::Sample> samples;
};

// The step from one line of configuration; the report of mistakes when there is none.
struct Made {
  explicit Made(const std::string& yaml) : document(*config::Document::parse(yaml, "test.yaml")) {
    step = make_step(document.root());
    report = document.report();
  }
  config::Document document;
  std::unique_ptr<ingest::Step> step;
  std::string report;
};

ingest::Sample sample(std::string device, int minute, ingest::Value value) {
  ingest::Sample result;
  result.device = std::move(device);
  result.event_time = 1'700'000'000'000'000 + minute * std::int64_t{60'000'000};
  result.set("cpu", std::move(value));
  return result;
}

// A fixed saw tooth, so that a jump of it is news.
double usual(int minute) { return minute % 7; }

double score_of(const ingest::Sample& scored, std::string_view field = "cpu_anomaly") {
  const ingest::Field* found = scored.find(field);
  return found == nullptr ? -1 : std::get<double>(found->value);
}

TEST(AnomalyStep, AddsAScoreUnderTheDefaultName) {
  Made made("{field: cpu}");
  ASSERT_NE(made.step, nullptr) << made.report;
  Collected out;
  for (int i = 0; i < 1000; ++i) made.step->push(sample("press", i, usual(i)), out);
  made.step->push(sample("press", 1000, 50.0), out);
  ASSERT_EQ(out.samples.size(), 1001U);
  EXPECT_EQ(score_of(out.samples.front()), 0) << "warm-up";
  EXPECT_GE(score_of(out.samples.back()), 0.5);
}

TEST(AnomalyStep, KeepsDevicesApart) {
  Made made("{field: cpu, score: odd, season: none}");
  ASSERT_NE(made.step, nullptr) << made.report;
  Collected out;
  for (int i = 0; i < 1000; ++i) {
    made.step->push(sample("low", i, usual(i)), out);
    made.step->push(sample("high", i, 1000 + usual(i)), out);
  }
  made.step->push(sample("high", 1000, 1003.0), out);
  EXPECT_LT(score_of(out.samples.back(), "odd"), 0.5);
  made.step->push(sample("low", 1000, 1003.0), out);
  EXPECT_GE(score_of(out.samples.back(), "odd"), 0.5);
}

TEST(AnomalyStep, ForgetsTheDeviceUnheardLongest) {
  Made made("{field: cpu, devices: 2}");
  ASSERT_NE(made.step, nullptr) << made.report;
  Collected out;
  for (int i = 0; i < 1000; ++i) {
    made.step->push(sample("a", i, usual(i)), out);
    made.step->push(sample("b", i, usual(i)), out);
  }
  made.step->push(sample("a", 1000, usual(1000)), out);
  made.step->push(sample("c", 1000, 1.0), out);
  EXPECT_EQ(static_cast<AnomalyStep&>(*made.step).devices(), 2U);
  made.step->push(sample("a", 1001, 50.0), out);
  EXPECT_GE(score_of(out.samples.back()), 0.5) << "a was heard after b and is still known";
  made.step->push(sample("b", 1001, 50.0), out);
  EXPECT_EQ(score_of(out.samples.back()), 0) << "b was forgotten and warms up again";
}

TEST(AnomalyStep, TakesIntegersAndBooleansAndPassesOnTheRest) {
  Made made("{fields: [cpu, memory]}");
  ASSERT_NE(made.step, nullptr) << made.report;
  Collected out;
  made.step->push(sample("d", 0, std::int64_t{4}), out);
  EXPECT_EQ(score_of(out.samples.back()), 0);
  EXPECT_EQ(out.samples.back().find("memory_anomaly"), nullptr);
  made.step->push(sample("d", 1, true), out);
  EXPECT_EQ(score_of(out.samples.back()), 0);
  for (const ingest::Value& value : {ingest::Value(std::string("off")), ingest::Value(std::vector<double>{1}),
                                     ingest::Value(std::numeric_limits<double>::quiet_NaN())}) {
    made.step->push(sample("d", 2, value), out);
    EXPECT_EQ(out.samples.back().find("cpu_anomaly"), nullptr);
  }
  ingest::Sample bad = sample("d", 3, 4.0);
  bad.quality = ingest::Quality::bad;
  made.step->push(bad, out);
  EXPECT_EQ(out.samples.back().find("cpu_anomaly"), nullptr);
  EXPECT_EQ(out.samples.size(), 6U);
}

TEST(AnomalyStep, KeepsWhatItLearnedOverAReload) {
  Made before("{fields: [cpu, memory]}");
  Made after("{field: cpu, score: odd}");
  Made other("{field: cpu, sensitivity: low}");
  Collected out;
  for (int i = 0; i < 1000; ++i) before.step->push(sample("d", i, usual(i)), out);
  other.step->adopt(*before.step);
  other.step->push(sample("d", 1000, 50.0), out);
  EXPECT_EQ(score_of(out.samples.back()), 0) << "judged differently: it warms up";
  after.step->adopt(*before.step);
  after.step->push(sample("d", 1000, 50.0), out);
  EXPECT_GE(score_of(out.samples.back(), "odd"), 0.5);
}

TEST(AnomalyStep, PlansAScoreAndItsMemory) {
  Made made("{field: cpu, devices: 10}");
  ingest::Shape in;
  in.open = false;
  in.fields["cpu"] = {ingest::FieldType::Kind::number, "%"};
  ingest::StepPlan plan = made.step->plan(in);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(plan.out.fields.at("cpu_anomaly").kind, ingest::FieldType::Kind::number);
  EXPECT_GT(plan.memory_bytes_max, 10 * 50'000U);
  in.fields["cpu"].kind = ingest::FieldType::Kind::text;
  EXPECT_THAT(made.step->plan(in).problems, testing::ElementsAre(HasSubstr("is text")));
}

TEST(AnomalyStep, ExplainsMistakesInTheConfiguration) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{season: auto}", "either field"},
      {"{field: a, fields: [b]}", "either field"},
      {"{fields: [a, b], score: s}", "score goes with field"},
      {"{fields: [a, a]}", "named twice"},
      {"{field: a, season: daily}", "season is auto, none, or a period"},
      {"{field: a, sensitivity: extreme}", "sensitivity"},
      {"{field: a, devices: 0}", "devices"},
      {"{field: a, sensitivty: low}", "sensitivity"},
  };
  for (const auto& [yaml, expected] : cases) {
    const Made made(yaml);
    EXPECT_THAT(made.report, HasSubstr(expected)) << yaml;
    EXPECT_THAT(made.report, HasSubstr("test.yaml:1:")) << yaml;
  }
}

}  // namespace
}  // namespace penstock::ext::anomaly
