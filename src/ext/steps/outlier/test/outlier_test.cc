#include "ext/steps/outlier/outlier.h"

#include <gmock/gmock.h>

#include <random>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Quality;
using ingest::sample_at;
using ingest::StepHarness;

class OutlierMethod : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, OutlierMethod, testing::Values("hampel", "zscore", "iqr"));

TEST_P(OutlierMethod, FindsASpikeAndLittleElse) {
  StepHarness harness(make_outlier, fmt::format("{{ field: x, method: {}, threshold: 4, then: mark }}", GetParam()));
  std::mt19937 random(1);
  std::normal_distribution<double> noise(20, 1);
  for (int i = 0; i < 1000; ++i) harness.push(sample_at(i, "x", i == 500 ? 60.0 : noise(random)));
  ASSERT_EQ(harness.out.size(), 1000U) << harness.report;
  EXPECT_EQ(harness.out[500].quality, Quality::uncertain);
  const auto marked = std::count_if(harness.out.begin(), harness.out.end(),
                                    [](const auto& sample) { return sample.quality == Quality::uncertain; });
  EXPECT_LT(marked, 6);
}

TEST_P(OutlierMethod, AShiftBecomesNormal) {
  StepHarness harness(make_outlier, fmt::format("{{ field: x, method: {}, window: 21, then: mark }}", GetParam()));
  std::mt19937 random(2);
  std::normal_distribution<double> noise(0, 1);
  for (int i = 0; i < 200; ++i) harness.push(sample_at(i, "x", noise(random) + (i < 100 ? 0 : 50)));
  EXPECT_EQ(harness.out[100].quality, Quality::uncertain);
  const auto late = std::count_if(harness.out.begin() + 130, harness.out.end(),
                                  [](const auto& sample) { return sample.quality == Quality::uncertain; });
  EXPECT_LE(late, 4);
}

TEST(Outlier, DropsOrReplaces) {
  for (const char* then : {"drop", "replace"}) {
    StepHarness harness(make_outlier, fmt::format("{{ field: x, then: {} }}", then));
    for (int i = 0; i < 20; ++i) {
      auto sample = sample_at(i, "y", 1.0);
      sample.set("x", i == 15 ? 1000.0 : i % 3, "bar");
      harness.push(sample);
    }
    if (std::string_view(then) == "drop") {
      EXPECT_EQ(harness.out.size(), 19U);
      EXPECT_EQ(harness.dropped, 1U);
    } else {
      ASSERT_EQ(harness.out.size(), 20U);
      EXPECT_EQ(number(harness.out[15], "x"), 1);
      EXPECT_EQ(harness.out[15].find("x")->unit, "bar");
      EXPECT_EQ(harness.out[15].quality, Quality::uncertain);
    }
  }
}

TEST(Outlier, SaysNothingAboutFlatOrShortHistories) {
  StepHarness harness(make_outlier, "{ field: x }");
  for (int i = 0; i < 6; ++i) harness.push(sample_at(i, "x", i == 5 ? 1e9 : i));
  for (int i = 0; i < 100; ++i) harness.push(sample_at(10 + i, "x", 5.0, "flat"));
  harness.push(sample_at(200, "x", 6.0, "flat"));
  EXPECT_EQ(harness.out.size(), 107U);
}

TEST(Outlier, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_outlier, "{ }").report, testing::HasSubstr("field"));
  EXPECT_THAT(StepHarness(make_outlier, "{ field: x, threshold: 0 }").report, testing::HasSubstr("more than 0"));
  EXPECT_THAT(StepHarness(make_outlier, "{ field: x, window: 2 }").report, testing::HasSubstr("8"));
}

TEST(Outlier, InfinityIsOneAndIsNotRemembered) {
  StepHarness harness(make_outlier, "{ field: x, method: zscore, threshold: 3 }");
  const auto push = [&](double value) { harness.push(sample_at(0, "x", value)); };
  for (int i = 0; i < 20; ++i) push(i % 3);
  push(std::numeric_limits<double>::infinity());
  EXPECT_EQ(harness.dropped, 1U) << harness.report;
  push(1000);
  EXPECT_EQ(harness.dropped, 2U);
}

}  // namespace
}  // namespace penstock::ext::steps
