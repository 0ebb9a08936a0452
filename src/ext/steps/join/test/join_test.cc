#include "ext/steps/join/join.h"

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

Sample left(std::int64_t at, std::string device = "d") { return sample_at(at, "vib", static_cast<double>(at), device); }
Sample right(std::int64_t at, std::string device = "d") {
  return sample_at(at, "rpm", static_cast<double>(at), device);
}

std::string line(const Sample& sample) {
  return fmt::format("{} {}-{}", sample.device, number(sample, "vib"), number(sample, "rpm"));
}

std::vector<std::string> lines(StepHarness& harness) {
  harness.flush();
  std::vector<std::string> result;
  for (const Sample& sample : harness.out) result.push_back(line(sample));
  return result;
}

StepHarness make(const std::string& more) {
  return StepHarness(make_join, "{ left: \"has(vib)\", right: \"has(rpm)\", within: 100ms" + more + " }");
}

TEST(Join, FindsTheNearestPartnerOfTheDevice) {
  StepHarness harness = make("");
  for (const Sample& sample : {right(0), right(90), left(100), right(120), right(150, "e"), left(500), right(700)}) {
    harness.push(sample);
  }
  EXPECT_THAT(lines(harness), ElementsAre("d 100-90")) << harness.report;
  EXPECT_EQ(harness.dropped, 1U) << "500 has no partner";
}

TEST(Join, KeepsLeftsAloneAndLooksBackOnlyWhenAsked) {
  StepHarness outer = make(", type: left, match: previous");
  for (const Sample& sample : {right(0), right(90), left(100), right(101), left(500)}) outer.push(sample);
  EXPECT_THAT(lines(outer), ElementsAre("d 100-90", "d 500-nan")) << outer.report;
}

// Every pair within the time, for any order of arrival within the lateness, as two nested loops find them.
TEST(Join, FindsThePairsOfTheSlowModelInAnyOrder) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    std::mt19937 random(seed);
    std::vector<Sample> samples;
    for (int i = 0; i < 200; ++i) {
      std::string device = random() % 2 == 0 ? "d" : "e";
      std::int64_t at = i * 17 + static_cast<int>(random() % 5);
      samples.push_back(random() % 2 == 0 ? left(at, device) : right(at, device));
    }
    std::vector<std::string> expected;
    for (const Sample& one : samples) {
      for (const Sample& other : samples) {
        bool sides = one.find("vib") != nullptr && other.find("rpm") != nullptr && one.device == other.device;
        if (!sides || std::abs(one.event_time - other.event_time) > 100'000) continue;
        expected.push_back(fmt::format("{} {}-{}", one.device, number(one, "vib"), number(other, "rpm")));
      }
    }
    std::vector<std::pair<std::int64_t, Sample>> delayed;
    for (const Sample& sample : samples) {
      delayed.emplace_back(sample.event_time + static_cast<std::int64_t>(random() % 300'000), sample);
    }
    std::sort(delayed.begin(), delayed.end(), [](auto& a, auto& b) { return a.first < b.first; });
    StepHarness harness = make(", match: all, late: 300ms, type: inner");
    for (auto& [at, sample] : delayed) harness.push(sample);
    auto found = lines(harness);
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(found, expected) << seed;
  }
}

struct Noted : ingest::Receipt {
  explicit Noted(int& count) : settled(count) {}
  ~Noted() override { ++settled; }
  int& settled;
};

TEST(Join, PutsFieldsTagsQualityAndReceiptsTogether) {
  int settled = 0;
  StepHarness harness = make(", prefix: plc_");
  Sample one = left(100);
  one.tags = {{"line", "1"}};
  one.receipt = std::make_shared<Noted>(settled);
  Sample other = right(110);
  other.set("temp", 50.0, "degC");
  other.tags = {{"line", "2"}, {"plc", "a"}};
  other.quality = ingest::Quality::uncertain;
  other.receipt = std::make_shared<Noted>(settled);
  harness.push(std::move(one));
  harness.push(std::move(other));
  harness.flush();
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(harness.out[0].find("plc_temp")->unit, "degC");
  EXPECT_EQ(harness.out[0].quality, ingest::Quality::uncertain);
  EXPECT_EQ(harness.out[0].tags.size(), 2U);
  EXPECT_EQ(harness.out[0].tags[0].second, "1");
  EXPECT_EQ(settled, 0);
  harness.out.clear();
  EXPECT_EQ(settled, 2);
}

TEST(Join, SilenceDecidesAndOthersPass) {
  StepHarness harness = make(", type: left");
  harness.push(sample_at(0, "other", 1.0));
  EXPECT_EQ(harness.out.size(), 1U);
  harness.push(left(0));
  harness.tick(left(0).ingest_time + 1'050'000);
  EXPECT_EQ(harness.out.size(), 1U);
  harness.tick(left(0).ingest_time + 1'150'000);
  EXPECT_EQ(harness.out.size(), 2U);
}

TEST(Join, IsBounded) {
  StepHarness harness(make_join, "{ left: \"has(vib)\", right: \"has(rpm)\", within: 1h }");
  for (int i = 0; i < 100'500; ++i) harness.push(right(i));
  EXPECT_EQ(harness.dropped, 500U);
}

TEST(Join, AReloadKeepsWhatWaitsAndPlansNames) {
  StepHarness before = make("");
  StepHarness after = make(", type: left, prefix: r_");
  before.push(right(90));
  after.step->adopt(*before.step);
  after.push(left(100));
  after.flush();
  ASSERT_EQ(after.out.size(), 1U);
  EXPECT_EQ(number(after.out[0], "r_rpm"), 90);
  ingest::Shape in;
  in.open = false;
  in.fields["rpm"] = {ingest::FieldType::Kind::number, "rpm"};
  ingest::StepPlan plan = after.step->plan(in);
  EXPECT_EQ(plan.out.fields.at("r_rpm").unit, "rpm");
  EXPECT_THAT(plan.problems, ElementsAre()) << "has() may ask for anything";
  StepHarness wrong(make_join, "{ left: \"vib > 0\", right: \"has(rpm)\", within: 1s }");
  EXPECT_THAT(wrong.step->plan(in).problems, ElementsAre(HasSubstr("vib")));
}

TEST(Join, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_join, "{ left: \"has(a)\", within: 1s }").report, HasSubstr("'right' is missing"));
  EXPECT_THAT(make(", match: some").report, HasSubstr("test.yaml:1:"));
}

TEST(Join, ABacklogFindsItsPartnersAcrossAPause) {
  StepHarness harness = make("");
  base::WallMicros now = left(0).ingest_time + 7'200'000'000;
  for (int i = 0; i < 3000; ++i) {
    harness.step->push(right(i * 100), harness);
    for (int tick = 0; i % 500 == 499 && tick < 50; ++tick) harness.step->tick(now += 100'000, harness);
    harness.step->push(left(i * 100 + 1), harness);
  }
  harness.flush();
  EXPECT_EQ(harness.out.size(), 3000U);
  EXPECT_EQ(harness.dropped, 0U);
}

TEST(Join, HoldsNoJournalForASilentDevice) {
  int settled = 0;
  StepHarness harness = make("");
  Sample plc = right(0);
  plc.receipt = std::make_shared<Noted>(settled);
  harness.push(std::move(plc));
  harness.tick(right(0).ingest_time + 5'000'000);
  EXPECT_EQ(settled, 1);
  // It is a partner still, for a device that sends in batches.
  harness.push(left(50));
  harness.flush();
  EXPECT_EQ(harness.out.size(), 1U);
}

}  // namespace
}  // namespace penstock::ext::steps
