#include "ext/steps/resample/resample.h"

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
using testing::Pair;

// Milliseconds and values; the harness's epoch is a whole second.
std::vector<std::pair<std::int64_t, double>> points(const StepHarness& harness) {
  std::vector<std::pair<std::int64_t, double>> result;
  for (const Sample& sample : harness.out) {
    result.emplace_back((sample.event_time - sample_at(0, "v", 0.0).event_time) / 1000, number(sample, "v"));
  }
  return result;
}

TEST(Resample, DrawsLinesBetweenSamples) {
  StepHarness harness(make_resample, "{ every: 1s }");
  for (auto [at, value] :
       std::vector<std::pair<int, double>>{{500, 5}, {2500, 25}, {3000, 40}, {3200, 0}, {4200, 10}}) {
    harness.push(sample_at(at, "v", value));
  }
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 10), Pair(2000, 20), Pair(3000, 40), Pair(4000, 8)))
      << harness.report;
}

TEST(Resample, ALineStaysALineHoweverItIsMeasured) {
  std::mt19937 random(3);
  StepHarness harness(make_resample, "{ every: 250ms, max_gap: 5s }");
  std::int64_t at = 1;
  for (int i = 0; i < 500; ++i, at += 1 + static_cast<int>(random() % 1500)) {
    harness.push(sample_at(at, "v", 3.0 * static_cast<double>(at) + 7));
  }
  auto told = points(harness);
  ASSERT_GT(told.size(), 1000U);
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].first, told[0].first + static_cast<std::int64_t>(i) * 250);
    EXPECT_NEAR(told[i].second, 3.0 * static_cast<double>(told[i].first) + 7, 1e-6);
  }
}

TEST(Resample, LeavesLongHoles) {
  StepHarness harness(make_resample, "{ every: 1s, max_gap: 3s }");
  for (int at : {500, 1500, 6500, 7500}) harness.push(sample_at(at, "v", static_cast<double>(at)));
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 1000), Pair(7000, 7000)));
}

TEST(Resample, RepeatsThePreviousOneForAWhile) {
  StepHarness harness(make_resample, "{ every: 1s, method: previous, max_gap: 3s }");
  harness.push(sample_at(500, "v", 5.0));
  harness.push(sample_at(2000, "v", 20.0));
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 5), Pair(2000, 20))) << harness.report;
  harness.tick(sample_at(5500, "v", 0.0).ingest_time);  // 1 s of grace
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 5), Pair(2000, 20), Pair(3000, 20), Pair(4000, 20)));
  harness.tick(sample_at(60000, "v", 0.0).ingest_time);
  harness.push(sample_at(60500, "v", 1.0));
  EXPECT_EQ(harness.out.size(), 5U) << "5000 is the last";
}

TEST(Resample, TakesTheNewestOfEachStretch) {
  StepHarness harness(make_resample, "{ every: 1s, method: none }");
  for (int at : {100, 900, 1000, 1001, 5200}) harness.push(sample_at(at, "v", static_cast<double>(at)));
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 1000), Pair(2000, 1001)));
  harness.flush();
  harness.flush();
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 1000), Pair(2000, 1001), Pair(6000, 5200)));
}

TEST(Resample, SkipsBadOnesAndDropsOldOnes) {
  StepHarness harness(make_resample, "{ every: 1s }");
  harness.push(sample_at(500, "v", 5.0));
  Sample bad = sample_at(800, "v", 99.0);
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  harness.push(sample_at(100, "v", 99.0));
  Sample next = sample_at(1500, "v", 15.0);
  next.quality = ingest::Quality::uncertain;
  next.set("state", std::string("on"));
  harness.push(next);
  EXPECT_THAT(points(harness), ElementsAre(Pair(1000, 10)));
  EXPECT_EQ(harness.out[0].quality, ingest::Quality::uncertain);
  EXPECT_EQ(harness.dropped, 1U);
}

struct Noted : ingest::Receipt {
  explicit Noted(int& count) : settled(count) {}
  ~Noted() override { ++settled; }
  int& settled;
};

TEST(Resample, PointsCarryTheReceiptsOfBothNeighbours) {
  int settled = 0;
  StepHarness harness(make_resample, "{ every: 1s }");
  for (int at : {500, 1500, 1600}) {
    Sample sample = sample_at(at, "v", 1.0);
    sample.receipt = std::make_shared<Noted>(settled);
    harness.push(std::move(sample));
  }
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(settled, 0);
  harness.out.clear();
  EXPECT_EQ(settled, 2);
  harness.flush();
  EXPECT_EQ(settled, 3);
}

TEST(Resample, AReloadKeepsTheLastSample) {
  StepHarness before(make_resample, "{ every: 1s }");
  StepHarness after(make_resample, "{ every: 1s, max_gap: 5s }");
  before.push(sample_at(500, "v", 5.0));
  after.step->adopt(*before.step);
  after.push(sample_at(1500, "v", 15.0));
  EXPECT_THAT(points(after), ElementsAre(Pair(1000, 10)));
  EXPECT_GT(after.step->plan({}).memory_bytes_max, 0U);
}

TEST(Resample, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_resample, "{ method: linear }").report, HasSubstr("'every' is missing"));
  EXPECT_THAT(StepHarness(make_resample, "{ every: 1s, max_gap: 1d }").report, HasSubstr("make it shorter"));
  EXPECT_THAT(StepHarness(make_resample, "{ every: 1s, method: cubic }").report, HasSubstr("test.yaml:1:"));
}

TEST(Resample, HoldsNoJournalForASilentDevice) {
  for (const char* method : {"linear", "previous", "none"}) {
    int settled = 0;
    StepHarness harness(make_resample, fmt::format("{{ every: 1s, method: {}, max_gap: 3s }}", method));
    Sample sample = sample_at(500, "v", 1.0);
    sample.receipt = std::make_shared<Noted>(settled);
    harness.push(std::move(sample));
    harness.tick(sample_at(10'000, "v", 0.0).ingest_time);
    harness.out.clear();
    EXPECT_EQ(settled, 1) << method;
  }
}

TEST(Resample, TellsAPointOnce) {
  StepHarness previous(make_resample, "{ every: 1s, method: previous, max_gap: 9s }");
  previous.push(sample_at(500, "v", 1.0));
  previous.tick(sample_at(5500, "v", 0.0).ingest_time);
  previous.push(sample_at(2000, "v", 2.0));  // was on its way for long
  previous.push(sample_at(5500, "v", 3.0));
  EXPECT_THAT(points(previous), ElementsAre(Pair(1000, 1), Pair(2000, 1), Pair(3000, 1), Pair(4000, 1), Pair(5000, 2)));
  StepHarness none(make_resample, "{ every: 1s, method: none }");
  none.push(sample_at(500, "v", 1.0));
  none.tick(sample_at(3500, "v", 0.0).ingest_time);
  none.push(sample_at(700, "v", 2.0));
  none.push(sample_at(1700, "v", 3.0));
  none.flush();
  EXPECT_THAT(points(none), ElementsAre(Pair(1000, 1), Pair(2000, 3)));
  EXPECT_EQ(none.dropped, 1U);
}

}  // namespace
}  // namespace penstock::ext::steps
