#include "ext/steps/normalise/normalise.h"

#include <gmock/gmock.h>

#include <random>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;

TEST(Normalise, ByGivenFigures) {
  StepHarness harness(make_normalise, "{ a: { min: 10, max: 20 }, b: { mean: 5, stddev: 2 } }");
  auto sample = sample_at(0, "x", 1.0);
  sample.set("a", 12.5, "bar");
  sample.set("b", std::vector<double>{5, 9});
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "a"), 0.25);
  EXPECT_EQ(harness.out[0].find("a")->unit, "");
  EXPECT_EQ(harness.out[0].find("b")->value, ingest::Value(std::vector<double>{0, 2}));
  EXPECT_EQ(number(harness.out[0], "x"), 1);
}

TEST(Normalise, LearnsMeanAndDeviation) {
  StepHarness harness(make_normalise, "{ x: zscore }");
  std::mt19937 random(3);
  std::normal_distribution<double> noise(100, 5);
  for (int i = 0; i < 4000; ++i) harness.push(sample_at(i, "x", noise(random)));
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 2000; i < 4000; ++i) {
    const double value = number(harness.out[i], "x");
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 2000, 0, 0.1);
  EXPECT_NEAR(squares / 2000, 1, 0.1);
  EXPECT_EQ(number(harness.out[0], "x"), 0);
}

TEST(Normalise, ForgetsWithItsMemory) {
  StepHarness harness(make_normalise, "{ x: zscore, memory: 100 }");
  std::mt19937 random(4);
  std::normal_distribution<double> noise(0, 1);
  for (int i = 0; i < 3000; ++i) harness.push(sample_at(i, "x", noise(random) + (i < 1000 ? 0 : 1000)));
  EXPECT_LT(std::abs(number(harness.out.back(), "x")), 5);
}

TEST(Normalise, LearnsARangeAndNotFromBadSamples) {
  StepHarness harness(make_normalise, "{ x: minmax }");
  for (double value : {0.0, 10.0}) harness.push(sample_at(0, "x", value));
  auto bad = sample_at(0, "x", 1000.0);
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  harness.push(sample_at(0, "x", 5.0));
  harness.push(sample_at(0, "x", 7.0, "other"));
  EXPECT_EQ(number(harness.out[0], "x"), 0.5);
  EXPECT_EQ(number(harness.out[1], "x"), 1);
  EXPECT_EQ(number(harness.out[3], "x"), 0.5);
  EXPECT_EQ(number(harness.out[4], "x"), 0.5);
}

TEST(Normalise, KeepsWhatItLearnedOverAReload) {
  StepHarness before(make_normalise, "{ x: minmax }");
  for (double value : {0.0, 10.0}) before.push(sample_at(0, "x", value));
  StepHarness after(make_normalise, "{ x: minmax, memory: 50 }");
  after.step->adopt(*before.step);
  after.push(sample_at(0, "x", 2.0));
  EXPECT_EQ(number(after.out[0], "x"), 0.2);
}

TEST(Normalise, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_normalise, "{ }").report, testing::HasSubstr("names no field"));
  EXPECT_THAT(StepHarness(make_normalise, "{ x: { min: 1, max: 1 } }").report, testing::HasSubstr("above min"));
  EXPECT_THAT(StepHarness(make_normalise, "{ x: { mean: 1, stddev: 0 } }").report, testing::HasSubstr("more than 0"));
  EXPECT_THAT(StepHarness(make_normalise, "{ x: { min: 1 } }").report, testing::HasSubstr("write {"));
}

TEST(Normalise, InfinityIsNotLearned) {
  StepHarness harness(make_normalise, "{ x: zscore, a: minmax }");
  for (double value : {1.0, 3.0, std::numeric_limits<double>::infinity(), 2.0, 5.0}) {
    auto sample = sample_at(0, "x", value);
    sample.set("a", std::vector<double>{0, value, std::nan("")});
    harness.push(std::move(sample));
  }
  ASSERT_EQ(harness.out.size(), 5U);
  EXPECT_NEAR(number(harness.out[3], "x"), 0, 0.1);
  EXPECT_GT(number(harness.out[4], "x"), 1);
  EXPECT_EQ(std::get<std::vector<double>>(harness.out[4].find("a")->value)[1], 1);
}

}  // namespace
}  // namespace penstock::ext::steps
