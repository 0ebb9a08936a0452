// What windows make of backlogs, of silence and of clocks that are set; and what they keep of receipts.
#include <gmock/gmock.h>
#include <malloc.h>

#include "ext/steps/window/window.h"
#include "ingest/test/step_harness.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;

constexpr WallMicros kSecond = 1'000'000;

struct Noted : ingest::Receipt {
  explicit Noted(int& count) : settled(count) {}
  ~Noted() override { ++settled; }
  int& settled;
};

Sample noted_at(std::int64_t millis, int& settled) {
  Sample sample = sample_at(millis, "v", 1.0);
  sample.receipt = std::make_shared<Noted>(settled);
  return sample;
}

double counted(const std::vector<Sample>& windows, const std::string& device) {
  double all = 0;
  for (const Sample& window : windows) all += window.device == device ? number(window, "n") : 0;
  return all;
}

// Bursts of 256 with a tick after each, as a pipeline takes them from a journal; `pause` after every 20,000 samples.
// Another device is live all the time.
struct Backlog {
  explicit Backlog(StepHarness& harness) : harness(harness) {}
  void run(int samples, bool from_journal, WallMicros pause) {
    const WallMicros begin = sample_at(0, "v", 0.0).event_time;
    WallMicros now = begin + 7200 * kSecond;
    for (int i = 0; i < samples; ++i) {
      Sample sample = sample_at(i * 10, "v", 1.0, "old");
      if (!from_journal) sample.ingest_time = now;
      harness.step->push(std::move(sample), harness);
      if (i % 256 == 255) harness.step->tick(now += kSecond / 20, harness);
      if (i % 2560 == 2559) live(now);
      if (i % 20'000 != 19'999) continue;
      for (WallMicros end = now + pause; now < end;) {
        harness.step->tick(now += kSecond / 10, harness);
        live(now);
      }
    }
    harness.flush();
  }
  void live(WallMicros now) {
    Sample sample = sample_at(0, "v", 1.0, "new");
    sample.event_time = sample.ingest_time = now;
    harness.step->push(std::move(sample), harness);
    ++live_samples;
  }
  StepHarness& harness;
  int live_samples = 0;
};

TEST(WindowSilence, ABacklogIsNotCutByTheGatewaysClock) {
  for (const char* window :
       {"{ last: 1s, fields: { n: count() } }", "{ last: 2s, every: 2s, late: 300ms, fields: { n: count() } }",
        "{ gap: 500ms, max: 10s, late: 300ms, fields: { n: count() } }"}) {
    for (bool from_journal : {false, true}) {
      for (WallMicros pause : {0 * kSecond, 5 * kSecond}) {
        StepHarness harness(make_window, window);
        Backlog backlog(harness);
        backlog.run(300'000, from_journal, pause);
        EXPECT_EQ(harness.dropped, 0U) << window << from_journal << pause;
        EXPECT_EQ(counted(harness.out, "old"), 300'000) << window << from_journal << pause;
        EXPECT_EQ(counted(harness.out, "new"), backlog.live_samples) << window << from_journal << pause;
      }
    }
  }
}

TEST(WindowSilence, MakesNothingLateThatComesBehindWhatWasTold) {
  StepHarness harness(make_window, "{ last: 1s, fields: { n: count() } }");
  // A device that gathers for 20 s and sends then.
  for (int batch = 0; batch < 5; ++batch) {
    WallMicros arrived = 0;
    for (int i = 0; i < 200; ++i) {
      Sample sample = sample_at(batch * 20'000 + i * 100, "v", 1.0);
      arrived = sample.ingest_time = sample_at(batch * 20'000 + 20'000, "v", 0.0).ingest_time;
      harness.push(std::move(sample));
    }
    harness.tick(arrived + 19 * kSecond);
  }
  EXPECT_EQ(harness.dropped, 0U);
  ASSERT_EQ(harness.out.size(), 100U);
  for (const Sample& window : harness.out) EXPECT_EQ(number(window, "n"), 10);
}

TEST(WindowSilence, AClockThatRanAheadAndWasSetRightBeginsAnew) {
  for (const char* window : {"{ last: 1s, fields: { n: count() } }", "{ gap: 300ms, fields: { n: count() } }",
                             "{ count: 5, late: 1s, fields: { n: count() } }"}) {
    StepHarness harness(make_window, window);
    const WallMicros now = sample_at(0, "v", 0.0).ingest_time;
    harness.tick(now);
    for (int i = 0; i < 10; ++i) {
      Sample ahead = sample_at(1'800'000 + i * 100, "v", 1.0);
      ahead.ingest_time = now + i * 100'000;
      harness.push(std::move(ahead));
    }
    for (int i = 10; i < 30; ++i) harness.push(sample_at(i * 100, "v", 1.0));
    harness.flush();
    EXPECT_EQ(harness.dropped, 0U) << window;
    EXPECT_EQ(counted(harness.out, "d"), 30) << window;
  }
}

TEST(WindowSilence, HoldsNoJournalForADeviceThatIsGone) {
  // With what is told in silence, and after how long.
  const std::tuple<const char*, std::size_t, WallMicros> cases[] = {
      {"{ last: 10s, fields: { n: count() } }", 1, 12 * kSecond},
      {"{ last: 10s, every: 5s, late: 2s, fields: { n: count() } }", 2, 20 * kSecond},
      {"{ gap: 10s, fields: { n: count() } }", 1, 12 * kSecond},
      {"{ last: 10s, every: sample, emit: \"v > 5\", fields: { n: count() } }", 0, 12 * kSecond},
      {"{ count: 100, fields: { n: count() } }", 0, ingest::kGone + kSecond},
      {"{ begin: \"v > 0\", fields: { n: count() } }", 0, ingest::kGone + kSecond},
  };
  for (const auto& [window, told, silence] : cases) {
    int settled = 0;
    StepHarness harness(make_window, window);
    for (int i = 0; i < 70; ++i) harness.push(noted_at(i, settled));
    EXPECT_EQ(settled, 0) << window;
    harness.tick(sample_at(70, "v", 0.0).ingest_time + silence);
    EXPECT_EQ(harness.out.size(), told) << window;
    harness.out.clear();
    EXPECT_EQ(settled, 70) << window;
  }
}

TEST(WindowSilence, ACountGoesOnAfterIt) {
  int settled = 0;
  StepHarness harness(make_window, "{ count: 100, fields: { n: count(), s: sum(v) } }");
  for (int i = 0; i < 70; ++i) harness.push(noted_at(i, settled));
  harness.tick(sample_at(70, "v", 0.0).ingest_time + ingest::kGone + kSecond);
  for (int i = 0; i < 30; ++i) harness.push(noted_at(700'000 + i, settled));
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(number(harness.out[0], "s"), 100);
  EXPECT_EQ(settled, 70);
}

std::size_t heap_bytes() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(WindowPlan, NamesABoundThatHolds) {
  ingest::Shape shape;
  shape.open = false;
  shape.fields["v"] = {ingest::FieldType::Kind::array, "", 64};
  shape.samples_per_second = 1000;
  for (const char* window :
       {"{ last: 10s }", "{ last: 10s, late: 1s, fields: { m: median(v), c: collect(v) } }",
        "{ last: 10s, every: 1s, fields: { a: avg(v) } }", "{ count: 1000, fields: { l: collect(v) } }",
        "{ last: 10s, every: sample, emit: \"1 < 0\", fields: { m: median(v) } }"}) {
    const std::size_t before = heap_bytes();
    StepHarness harness(make_window, window);
    for (int i = 0; i < 9'000; ++i) {
      harness.push(sample_at(i, "v", std::vector<double>(64, 1.0), fmt::format("device-{}", i % 10)));
    }
    const std::size_t after = heap_bytes();
    const auto bound = harness.step->plan(shape).memory_bytes_max;
    EXPECT_LE(after - std::min(before, after), bound) << window;
  }
}

TEST(WindowPlan, KnowsTheLengthOfArrays) {
  ingest::Shape shape;
  shape.open = false;
  shape.fields["v"] = {ingest::FieldType::Kind::number, "mm/s"};
  const auto longest = [&](const char* window, const char* field) {
    return StepHarness(make_window, window).step->plan(shape).out.fields.at(field).longest;
  };
  EXPECT_EQ(longest("{ count: 100 }", "v[]"), 100U);
  EXPECT_EQ(longest("{ last: 2s }", "v[]"), 65'536U) << "the rate is not known";
  shape.samples_per_second = 1000;
  EXPECT_EQ(longest("{ last: 2s }", "v[]"), 2001U);
  EXPECT_EQ(longest("{ last: 2s, every: sample, fields: { c: collect(v) } }", "c"), 2001U);
}

}  // namespace
}  // namespace penstock::ext::steps
