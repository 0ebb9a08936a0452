#include "ext/steps/window/window.h"

#include <gmock/gmock.h>

#include "ext/steps/window/aggregate.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> array(const Sample& sample, std::string_view name) {
  const ingest::Field* field = sample.find(name);
  const auto* values = field == nullptr ? nullptr : std::get_if<std::vector<double>>(&field->value);
  return values == nullptr ? std::vector<double>() : *values;
}

// Milliseconds after the harness's epoch, which is a whole second.
std::int64_t millis(const Sample& sample) { return (sample.event_time - sample_at(0, "x", 0.0).event_time) / 1000; }

TEST(Window, TumblesWithoutEvery) {
  StepHarness harness(make_window, "{ last: 1s }");
  for (int i = 0; i <= 20; ++i) harness.push(sample_at(i * 250, "vib", static_cast<double>(i)));
  ASSERT_EQ(harness.out.size(), 5U) << harness.report;
  EXPECT_THAT(array(harness.out[0], "vib[]"), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(number(harness.out[0], "vib"), 3);
  EXPECT_EQ(millis(harness.out[0]), 1000);
  EXPECT_THAT(array(harness.out[4], "vib[]"), ElementsAre(16, 17, 18, 19));
  harness.flush();
  ASSERT_EQ(harness.out.size(), 6U);
  EXPECT_THAT(array(harness.out[5], "vib[]"), ElementsAre(20));
}

TEST(Window, HopsWithEvery) {
  StepHarness harness(make_window, "{ last: 2s, every: 1s }");
  for (int i = 0; i <= 8; ++i) harness.push(sample_at(i * 500, "vib", static_cast<double>(i)));
  ASSERT_EQ(harness.out.size(), 4U);
  EXPECT_THAT(array(harness.out[0], "vib[]"), ElementsAre(0, 1));
  EXPECT_THAT(array(harness.out[1], "vib[]"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(array(harness.out[2], "vib[]"), ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(millis(harness.out[2]), 3000);
}

TEST(Window, WaitsForLateSamplesAndDropsLaterOnes) {
  StepHarness harness(make_window, "{ last: 1s, late: 500ms }");
  harness.push(sample_at(100, "vib", 1.0));
  harness.push(sample_at(1200, "vib", 3.0));
  EXPECT_TRUE(harness.out.empty());
  harness.push(sample_at(900, "vib", 2.0));
  harness.push(sample_at(1600, "vib", 4.0));
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_THAT(array(harness.out[0], "vib[]"), ElementsAre(1, 2));
  harness.push(sample_at(950, "vib", 9.0));
  EXPECT_EQ(harness.dropped, 1U);
}

TEST(Window, ComputesAggregates) {
  StepHarness harness(make_window,
                      "{ last: 10s, fields: { a: avg(v), lo: min(v), hi: max(v), s: sum(v), n: count(), m: median(v), "
                      "p: \"percentile(v, 90)\", d: stddev(v), r: rate(v), f: first(v), l: last(v), none: avg(w) } }");
  const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
  for (int i = 0; i < 8; ++i) {
    auto sample = sample_at(i * 1000, "v", values[i]);
    sample.fields[0].unit = "mm";
    harness.push(sample);
  }
  harness.flush();
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const Sample& out = harness.out[0];
  EXPECT_DOUBLE_EQ(number(out, "a"), 5);
  EXPECT_DOUBLE_EQ(number(out, "lo"), 2);
  EXPECT_DOUBLE_EQ(number(out, "hi"), 9);
  EXPECT_DOUBLE_EQ(number(out, "s"), 40);
  EXPECT_DOUBLE_EQ(number(out, "n"), 8);
  EXPECT_DOUBLE_EQ(number(out, "m"), 4.5);
  EXPECT_DOUBLE_EQ(number(out, "p"), 7.6);
  EXPECT_DOUBLE_EQ(number(out, "d"), 2);
  EXPECT_DOUBLE_EQ(number(out, "r"), 1);
  EXPECT_DOUBLE_EQ(number(out, "f"), 2);
  EXPECT_DOUBLE_EQ(number(out, "l"), 9);
  EXPECT_EQ(out.find("none"), nullptr);
  EXPECT_EQ(out.find("a")->unit, "mm");
  EXPECT_EQ(out.find("r")->unit, "mm/s");
  EXPECT_EQ(out.find("v"), nullptr);
}

TEST(Window, MergedPanesGiveTheFiguresOfTheWhole) {
  StepHarness hopping(make_window, "{ last: 8s, every: 1s, fields: { d: stddev(v), a: avg(v) } }");
  StepHarness tumbling(make_window, "{ last: 8s, fields: { d: stddev(v), a: avg(v) } }");
  std::int64_t start = 8000 - sample_at(0, "x", 0.0).event_time / 1000 % 8000;
  for (int i = 0; i < 160; ++i) {
    auto sample = sample_at(start + i * 50, "v", std::sin(i) * 100 + i);
    hopping.push(sample);
    tumbling.push(sample);
  }
  hopping.flush();
  tumbling.flush();
  ASSERT_EQ(tumbling.out.size(), 1U);
  ASSERT_EQ(hopping.out.back().event_time, tumbling.out.back().event_time);
  EXPECT_NEAR(number(hopping.out.back(), "d"), number(tumbling.out.back(), "d"), 1e-9);
  EXPECT_NEAR(number(hopping.out.back(), "a"), number(tumbling.out.back(), "a"), 1e-9);
}

TEST(Window, KeepsDevicesApartOrPutsThemTogether) {
  for (const char* by : {"device", "all", "tags.line"}) {
    StepHarness harness(make_window, fmt::format("{{ last: 1s, by: {}, fields: {{ n: count() }} }}", by));
    for (const char* device : {"a", "b", "a"}) {
      auto sample = sample_at(0, "v", 1.0, device);
      sample.tags = {{"line", "L1"}};
      harness.push(sample);
    }
    harness.flush();
    ASSERT_EQ(harness.out.size(), std::string_view(by) == "device" ? 2U : 1U) << by;
    if (std::string_view(by) != "device") EXPECT_EQ(number(harness.out[0], "n"), 3);
    if (std::string_view(by) == "tags.line") EXPECT_EQ(harness.out[0].device, "L1");
  }
}

TEST(Window, SilenceClosesWindowsByTheDevicesClock) {
  StepHarness harness(make_window, "{ last: 1s, late: 200ms }");
  auto sample = sample_at(500, "v", 1.0);
  sample.ingest_time = sample.event_time + 7'000'000;  // its clock is 7 s behind
  harness.push(sample);
  harness.tick(sample.ingest_time + 1'600'000);
  EXPECT_TRUE(harness.out.empty());
  harness.tick(sample.ingest_time + 1'700'000);  // 0.5 s to the window's end + late + 1 s
  EXPECT_EQ(harness.out.size(), 1U);
  harness.tick(sample.ingest_time + 60'000'000);
  EXPECT_EQ(harness.out.size(), 1U);
}

TEST(Window, JoinsMeasuredArraysAndCarriesOtherFields) {
  StepHarness harness(make_window, "{ last: 1s }");
  for (int i = 0; i < 2; ++i) {
    auto sample = sample_at(i * 100, "vib", std::vector<double>{i * 2.0, i * 2.0 + 1});
    sample.set("state", std::string(i == 0 ? "idle" : "running"));
    sample.quality = i == 0 ? ingest::Quality::uncertain : ingest::Quality::good;
    harness.push(sample);
  }
  harness.flush();
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_THAT(array(harness.out[0], "vib[]"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(array(harness.out[0], "vib"), ElementsAre(2, 3));
  EXPECT_EQ(std::get<std::string>(harness.out[0].find("state")->value), "running");
  EXPECT_EQ(harness.out[0].quality, ingest::Quality::uncertain);
}

// How samples are grouped and what ticks come between does not change the windows.
TEST(Window, GivesTheSameWindowsHoweverSamplesArrive) {
  std::vector<Sample> feed;
  for (int i = 0; i < 400; ++i) {
    int jitter = (i * 7919) % 300;
    feed.push_back(sample_at(i * 37 - jitter, "v", static_cast<double>((i * 31) % 17), i % 3 == 0 ? "a" : "b"));
  }
  auto run = [&](std::size_t batch) {
    StepHarness harness(make_window,
                        "{ last: 2s, every: 500ms, late: 400ms, fields: { n: count(), a: avg(v), m: median(v) } }");
    for (std::size_t i = 0; i < feed.size(); ++i) {
      harness.push(feed[i]);
      // Ticks within the grace of a device that is not silent.
      if (i % batch == 0) harness.tick(feed[i].ingest_time + 1000);
    }
    harness.flush();
    EXPECT_EQ(harness.dropped, 0U);
    std::vector<std::string> lines;
    for (const Sample& out : harness.out) {
      lines.push_back(
          fmt::format("{} {} {} {} {}", out.device, millis(out), number(out, "n"), number(out, "a"), number(out, "m")));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  auto one_by_one = run(1);
  EXPECT_GT(one_by_one.size(), 50U);
  EXPECT_EQ(run(7), one_by_one);
  EXPECT_EQ(run(1000), one_by_one);
}

TEST(Window, IgnoresSamplesFromTheFuture) {
  StepHarness harness(make_window, "{ last: 1s }");
  auto sample = sample_at(0, "v", 1.0);
  sample.event_time += 2 * 3600'000'000LL;
  harness.push(sample);
  EXPECT_EQ(harness.dropped, 1U);
  harness.push(sample_at(0, "v", 1.0));
  harness.push(sample_at(1000, "v", 1.0));
  EXPECT_EQ(harness.out.size(), 1U);
}

TEST(Window, BoundsTheDevicesItKeeps) {
  StepHarness harness(make_window, "{ last: 1h }");
  for (int i = 0; i < 10'001; ++i) harness.push(sample_at(0, "v", 1.0, fmt::format("device-{}", i)));
  ASSERT_EQ(harness.out.size(), 1U);  // the one silent for longest gave its window early
  EXPECT_EQ(harness.out[0].device, "device-0");
  ASSERT_EQ(harness.errors.size(), 1U);
  EXPECT_THAT(harness.errors[0], HasSubstr("more than 10000 series"));
}

TEST(Window, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_window, "{ every: 1s }").report, HasSubstr("says no kind of window"));
  EXPECT_THAT(StepHarness(make_window, "{ last: 2s, every: 3s }").report, HasSubstr("whole multiple"));
  EXPECT_THAT(StepHarness(make_window, "{ last: 1s, by: devise }").report, HasSubstr("is not one of device"));
  EXPECT_THAT(StepHarness(make_window, "{ last: 1s, fields: { a: averge(v) } }").report,
              HasSubstr("unknown aggregate"));
  EXPECT_THAT(StepHarness(make_window, "{ last: 1s, fields: { a: percentile(v) } }").report,
              HasSubstr("needs a rank from 0 to 100"));
  EXPECT_THAT(StepHarness(make_window, "{ last: 10h, every: 1ms }").report, HasSubstr("make every longer"));
}

}  // namespace
}  // namespace penstock::ext::steps
