#include "ext/steps/late/late.h"

#include <gmock/gmock.h>

#include <random>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> values(const StepHarness& harness) {
  std::vector<double> result;
  for (const Sample& sample : harness.out) result.push_back(number(sample, "v"));
  return result;
}

TEST(Late, HoldsUntilTheToleranceHasPassed) {
  StepHarness harness(make_late, "{ tolerance: 1s }");
  for (std::int64_t at : {0, 500, 300, 1300, 1200, 2000}) harness.push(sample_at(at, "v", static_cast<double>(at)));
  EXPECT_THAT(values(harness), ElementsAre(0, 300, 500)) << harness.report;
  harness.push(sample_at(400, "v", 400.0));
  EXPECT_EQ(harness.dropped, 1U);
  harness.flush();
  EXPECT_THAT(values(harness), ElementsAre(0, 300, 500, 1200, 1300, 2000));
}

TEST(Late, PassesWhatIsTooLateWhenAsked) {
  StepHarness harness(make_late, "{ tolerance: 100ms, later: pass }");
  for (std::int64_t at : {0, 500, 900, 100}) harness.push(sample_at(at, "v", static_cast<double>(at)));
  EXPECT_THAT(values(harness), ElementsAre(0, 500, 100));
  EXPECT_EQ(harness.out[2].quality, ingest::Quality::uncertain);
  EXPECT_EQ(harness.dropped, 0U);
}

TEST(Late, SilenceLetsThemGo) {
  StepHarness harness(make_late, "{ tolerance: 1s }");
  Sample sample = sample_at(0, "v", 1.0);
  harness.push(sample);
  harness.tick(sample.ingest_time + 1'900'000);
  EXPECT_TRUE(harness.out.empty());
  harness.tick(sample.ingest_time + 2'000'000);
  EXPECT_EQ(harness.out.size(), 1U);
}

TEST(Late, SortsAnyOrderWithinTheTolerance) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::pair<std::int64_t, Sample>> feed;
    for (int i = 0; i < 500; ++i) {
      std::int64_t at = i * 20;
      feed.emplace_back(at + static_cast<std::int64_t>(random() % 1000),
                        sample_at(at, "v", static_cast<double>(i), random() % 2 == 0 ? "a" : "b"));
    }
    std::sort(feed.begin(), feed.end(), [](auto& a, auto& b) { return a.first < b.first; });
    StepHarness harness(make_late, "{ tolerance: 1s }");
    for (auto& [at, sample] : feed) harness.push(sample);
    harness.flush();
    ASSERT_EQ(harness.out.size(), 500U);
    EXPECT_EQ(harness.dropped, 0U);
    std::map<std::string, base::WallMicros> last;
    for (const Sample& sample : harness.out) {
      EXPECT_GT(sample.event_time, last[sample.device]);
      last[sample.device] = sample.event_time;
    }
  }
}

TEST(Late, KeepsOneClockForAllWhenAsked) {
  StepHarness harness(make_late, "{ tolerance: 1s, by: all }");
  harness.push(sample_at(0, "v", 1.0, "a"));
  harness.push(sample_at(2000, "v", 2.0, "b"));
  EXPECT_THAT(values(harness), ElementsAre(1));
}

TEST(Late, IsBounded) {
  StepHarness harness(make_late, "{ tolerance: 1h }");
  for (int i = 0; i < 100'010; ++i) harness.push(sample_at(i, "v", 1.0));
  EXPECT_EQ(harness.out.size(), 10U);
}

TEST(Late, AReloadKeepsWhatWaits) {
  StepHarness before(make_late, "{ tolerance: 1s }");
  StepHarness after(make_late, "{ tolerance: 2s }");
  for (std::int64_t at : {0, 500, 300}) before.push(sample_at(at, "v", static_cast<double>(at)));
  after.step->adopt(*before.step);
  before.flush();
  EXPECT_TRUE(before.out.empty());
  after.push(sample_at(2400, "v", 2400.0));
  EXPECT_THAT(values(after), ElementsAre(0, 300));
  EXPECT_GT(after.step->plan({}).memory_bytes_max, 0U);
}

TEST(Late, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_late, "{ }").report, HasSubstr("'tolerance' is missing"));
  EXPECT_THAT(StepHarness(make_late, "{ tolerance: 0s }").report, HasSubstr("more than 0"));
  EXPECT_THAT(StepHarness(make_late, "{ tolerance: 1s, later: keep }").report, HasSubstr("test.yaml:1:"));
}

TEST(Late, ABacklogFromAJournalKeepsItsOrder) {
  StepHarness harness(make_late, "{ tolerance: 1s }");
  base::WallMicros now = sample_at(0, "v", 0.0).ingest_time + 7'200'000'000;
  for (int i = 0; i < 20'000; ++i) {
    // Every other one comes half a second late.
    harness.step->push(sample_at(i % 2 == 0 ? i * 10 : i * 10 - 500, "v", 1.0), harness);
    if (i % 256 == 255) harness.step->tick(now += 100'000, harness);
  }
  harness.flush();
  EXPECT_EQ(harness.dropped, 0U);
  EXPECT_EQ(harness.out.size(), 20'000U);
}

TEST(Late, AnAlarmThatComesLateIsNotLost) {
  StepHarness harness(make_late, "{ tolerance: 1s }");
  harness.push(sample_at(0, "x", 1.0));
  harness.push(sample_at(2000, "x", 1.0));
  harness.push(sample_at(5000, "x", 1.0));
  auto sample = sample_at(1000, "x", 1.0);
  harness.push(sample);
  EXPECT_EQ(harness.dropped, 1U);
  const std::size_t before = harness.out.size();
  sample.alarm = std::make_shared<ingest::AlarmChange>();
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), before + 1);
  EXPECT_TRUE(harness.out.back().alarm);
  EXPECT_EQ(harness.dropped, 1U);
}

}  // namespace
}  // namespace penstock::ext::steps
