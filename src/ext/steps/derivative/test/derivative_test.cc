#include "ext/steps/derivative/derivative.h"

#include <gmock/gmock.h>

#include <random>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;
using testing::HasSubstr;

TEST(Derivative, IsTheSlopeInTheUnitAskedFor) {
  StepHarness harness(make_derivative, "{ field: level, per: 1m, as: inflow }");
  for (int i = 0; i < 4; ++i) {
    Sample sample = sample_at(i * 2000, "level", 10 + 3.0 * i);
    sample.fields[0].unit = "mm";
    harness.push(sample);
  }
  ASSERT_EQ(harness.out.size(), 4U) << harness.report;
  EXPECT_EQ(harness.out[0].find("inflow"), nullptr);
  EXPECT_NEAR(number(harness.out[3], "inflow"), 90, 1e-9);
  EXPECT_EQ(harness.out[3].find("inflow")->unit, "mm/min");
}

// Slopes times the time between readings add up to the whole change.
TEST(Derivative, AddsUpToTheWholeChange) {
  std::mt19937 random(1);
  std::normal_distribution<double> step(0, 5);
  StepHarness harness(make_derivative, "{ field: v }");
  double value = 0;
  std::int64_t at = 0;
  for (int i = 0; i < 1000; ++i)
    harness.push(sample_at(at += 1 + static_cast<int>(random() % 500), "v", value += step(random)));
  double sum = 0;
  for (std::size_t i = 1; i < harness.out.size(); ++i) {
    sum += number(harness.out[i], "v_rate") *
           static_cast<double>(harness.out[i].event_time - harness.out[i - 1].event_time) / 1e6;
  }
  EXPECT_NEAR(sum, number(harness.out.back(), "v") - number(harness.out.front(), "v"), 1e-6);
}

TEST(Derivative, CountersBeginAgainAndGapsSayNothing) {
  StepHarness harness(make_derivative, "{ field: n, counter: true, max_gap: 5s }");
  harness.push(sample_at(0, "n", std::int64_t{100}));
  harness.push(sample_at(1000, "n", std::int64_t{110}));
  harness.push(sample_at(2000, "n", std::int64_t{4}));
  harness.push(sample_at(9000, "n", std::int64_t{9}));
  harness.push(sample_at(10000, "n", std::int64_t{10}));
  EXPECT_EQ(number(harness.out[1], "n_rate"), 10) << harness.report;
  EXPECT_EQ(number(harness.out[2], "n_rate"), 4);
  EXPECT_EQ(harness.out[3].find("n_rate"), nullptr);
  EXPECT_EQ(number(harness.out[4], "n_rate"), 1);
}

TEST(Derivative, LeavesBadOldAndTextAlone) {
  StepHarness harness(make_derivative, "{ field: v }");
  harness.push(sample_at(1000, "v", 1.0));
  Sample bad = sample_at(1500, "v", 50.0);
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  harness.push(sample_at(500, "v", 70.0));
  harness.push(sample_at(1600, "v", std::string("?")));
  harness.push(sample_at(2000, "v", 3.0));
  ASSERT_EQ(harness.out.size(), 5U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(harness.out[i].find("v_rate"), nullptr) << i;
  EXPECT_EQ(number(harness.out[4], "v_rate"), 2);
}

TEST(Derivative, AReloadKeepsTheLastReadingsAndPlansUnits) {
  StepHarness before(make_derivative, "{ field: v }");
  StepHarness after(make_derivative, "{ field: v, as: slope, per: 1h }");
  before.push(sample_at(0, "v", 1.0));
  after.step->adopt(*before.step);
  after.push(sample_at(1000, "v", 2.0));
  EXPECT_NEAR(number(after.out[0], "slope"), 3600, 1e-9);
  ingest::Shape in;
  in.open = false;
  in.fields["v"] = {ingest::FieldType::Kind::number, "mm"};
  EXPECT_EQ(after.step->plan(in).out.fields.at("slope").unit, "mm/h");
  in.fields["v"].kind = ingest::FieldType::Kind::text;
  EXPECT_THAT(after.step->plan(in).problems, testing::ElementsAre(HasSubstr("is text")));
}

TEST(Derivative, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_derivative, "{ per: 1s }").report, HasSubstr("either field"));
  EXPECT_THAT(StepHarness(make_derivative, "{ field: v, per: 0s }").report, HasSubstr("more than 0"));
}

}  // namespace
}  // namespace penstock::ext::steps
