#include "ext/steps/lag/lag.h"

#include <gmock/gmock.h>

#include <cmath>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;
using testing::HasSubstr;

TEST(Lag, GivesTheReadingSoManyBefore) {
  StepHarness harness(make_lag, "{ field: v, samples: 3 }");
  for (int i = 0; i < 10; ++i) harness.push(sample_at(i, "v", static_cast<double>(i)));
  ASSERT_EQ(harness.out.size(), 10U) << harness.report;
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(harness.out[i].find("v_before"), nullptr);
  for (std::size_t i = 3; i < 10; ++i) EXPECT_EQ(number(harness.out[i], "v_before"), static_cast<double>(i) - 3);
}

TEST(Lag, KeepsUnitTypeAndDevicesApart) {
  StepHarness harness(make_lag, "{ field: state, as: last, default: none }");
  for (const char* device : {"a", "b", "a"}) {
    Sample sample =
        sample_at(static_cast<std::int64_t>(harness.out.size()), "state", std::string(device) + "!", device);
    sample.fields[0].unit = "x";
    harness.push(sample);
  }
  ASSERT_EQ(harness.out.size(), 3U) << harness.report;
  EXPECT_EQ(std::get<std::string>(harness.out[1].find("last")->value), "none");
  EXPECT_EQ(std::get<std::string>(harness.out[2].find("last")->value), "a!");
  EXPECT_EQ(harness.out[2].find("last")->unit, "x");
}

TEST(Lag, LooksBackInTimeLikeTheSlowModel) {
  StepHarness harness(make_lag, "{ field: v, ago: 1s }");
  std::vector<std::int64_t> times;
  for (int i = 0, at = 0; i < 300; ++i) times.push_back(at += (i * 7919) % 400);
  for (std::int64_t at : times) harness.push(sample_at(at, "v", static_cast<double>(at)));
  for (std::size_t i = 0; i < times.size(); ++i) {
    double expected = NAN;
    for (std::size_t j = 0; j < i; ++j) {
      if (times[j] <= times[i] - 1000) expected = static_cast<double>(times[j]);
    }
    double found = number(harness.out[i], "v_before");
    EXPECT_TRUE(found == expected || (std::isnan(found) && std::isnan(expected))) << i;
  }
}

TEST(Lag, DoesNotRememberBadOrOldSamples) {
  StepHarness harness(make_lag, "{ field: v }");
  harness.push(sample_at(10, "v", 1.0));
  Sample bad = sample_at(20, "v", 99.0);
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  harness.push(sample_at(5, "v", 98.0));
  harness.push(sample_at(30, "v", 2.0));
  EXPECT_EQ(harness.out.size(), 4U);
  EXPECT_EQ(harness.out[1].find("v_before"), nullptr);
  EXPECT_EQ(harness.out[2].find("v_before"), nullptr);
  EXPECT_EQ(number(harness.out[3], "v_before"), 1);
}

TEST(Lag, IsBoundedOverAllDevices) {
  StepHarness harness(make_lag, "{ field: v, samples: 10000 }");
  for (int device = 0; device < 120; ++device) {
    for (int i = 0; i < 10'001; ++i) {
      harness.step->push(sample_at(i, "v", static_cast<double>(i), std::to_string(device)), harness);
    }
    harness.out.erase(harness.out.begin(), harness.out.end() - 1);
    if (device < 100) EXPECT_EQ(number(harness.out[0], "v_before"), 0);
  }
  EXPECT_EQ(harness.out.back().find("v_before"), nullptr) << "a million values are kept in all";
}

TEST(Lag, AReloadKeepsItsMemoryAndPlansTypes) {
  StepHarness before(make_lag, "{ field: v }");
  StepHarness after(make_lag, "{ field: v, as: old }");
  before.push(sample_at(0, "v", 4.0));
  after.step->adopt(*before.step);
  after.push(sample_at(1, "v", 5.0));
  EXPECT_EQ(number(after.out[0], "old"), 4);
  ingest::Shape in;
  in.open = false;
  in.fields["v"] = {ingest::FieldType::Kind::number, "mm"};
  EXPECT_EQ(after.step->plan(in).out.fields.at("old"), in.fields.at("v"));
  in.fields.clear();
  in.fields["w"] = {};
  EXPECT_EQ(after.step->plan(in).problems.size(), 1U);
}

TEST(Lag, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_lag, "{ samples: 1 }").report, HasSubstr("either field"));
  EXPECT_THAT(StepHarness(make_lag, "{ field: v, samples: 1, ago: 1s }").report, HasSubstr("not both"));
  EXPECT_THAT(StepHarness(make_lag, "{ field: v, ago: 0s }").report, HasSubstr("more than 0"));
  EXPECT_THAT(StepHarness(make_lag, "{ fields: [v, v] }").report, HasSubstr("named twice"));
}

}  // namespace
}  // namespace penstock::ext::steps
