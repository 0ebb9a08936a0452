// Sliding, count, session and state windows, against the plainest model of each.
#include <gmock/gmock.h>

#include <random>

#include "ext/steps/window/window.h"
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

std::int64_t millis(const Sample& sample) { return (sample.event_time - sample_at(0, "x", 0.0).event_time) / 1000; }

std::vector<double> numbers(const std::vector<Sample>& samples, std::string_view name) {
  std::vector<double> result;
  for (const Sample& sample : samples) result.push_back(number(sample, name));
  return result;
}

struct Reading {
  std::int64_t millis;
  double value;
};

std::vector<Reading> random_feed(unsigned seed, int count) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> step(0, 400);
  std::normal_distribution<double> value(5, 20);
  std::vector<Reading> feed;
  std::int64_t at = 0;
  for (int i = 0; i < count; ++i) feed.push_back({at += step(random), value(random)});
  return feed;
}

// Mean, largest and variance the slow way.
struct Plain {
  explicit Plain(const std::vector<double>& values) {
    for (double value : values) sum += value;
    most = *std::max_element(values.begin(), values.end());
    for (double value : values) variance += (value - mean(values)) * (value - mean(values));
    variance /= static_cast<double>(values.size());
  }
  double mean(const std::vector<double>& values) const { return sum / static_cast<double>(values.size()); }
  double sum = 0;
  double most = 0;
  double variance = 0;
};

constexpr const char* kFigures = "fields: { a: avg(v), hi: max(v), var: var(v), n: count(), s: sum(v), m: median(v) }";

void expect_figures(const Sample& out, std::vector<double> values) {
  Plain plain(values);
  EXPECT_NEAR(number(out, "a"), plain.mean(values), 1e-9);
  EXPECT_NEAR(number(out, "s"), plain.sum, 1e-9);
  EXPECT_NEAR(number(out, "var"), plain.variance, 1e-7);
  EXPECT_EQ(number(out, "hi"), plain.most);
  EXPECT_EQ(number(out, "n"), static_cast<double>(values.size()));
  std::sort(values.begin(), values.end());
  std::size_t half = values.size() / 2;
  EXPECT_NEAR(number(out, "m"), values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2, 1e-12);
}

TEST(SlidingWindow, IsTheWindowOfTheSlowModelAtEverySample) {
  StepHarness harness(make_window, fmt::format("{{ last: 3s, every: sample, {} }}", kFigures));
  auto feed = random_feed(1, 500);
  for (const Reading& reading : feed) harness.push(sample_at(reading.millis, "v", reading.value));
  ASSERT_EQ(harness.out.size(), feed.size()) << harness.report;
  for (std::size_t i = 0; i < feed.size(); ++i) {
    std::vector<double> values;
    for (std::size_t j = 0; j <= i; ++j) {
      if (feed[j].millis > feed[i].millis - 3000) values.push_back(feed[j].value);
    }
    expect_figures(harness.out[i], values);
    EXPECT_EQ(millis(harness.out[i]), feed[i].millis);
  }
}

TEST(SlidingWindow, TellsOnlyWhereEmitHolds) {
  StepHarness harness(make_window, "{ last: 1s, every: sample, emit: \"v >= 3\", fields: { n: count() } }");
  for (int i = 0; i < 6; ++i) harness.push(sample_at(i * 400, "v", static_cast<double>(i)));
  EXPECT_THAT(numbers(harness.out, "n"), ElementsAre(3, 3, 3)) << harness.report;
}

TEST(CountWindow, TumblesAndTellsTheRestAtTheEnd) {
  StepHarness harness(make_window, "{ count: 3, fields: { s: sum(v), l: collect(v) } }");
  for (int i = 1; i <= 7; ++i) harness.push(sample_at(i, "v", static_cast<double>(i)));
  EXPECT_THAT(numbers(harness.out, "s"), ElementsAre(6, 15)) << harness.report;
  EXPECT_THAT(array(harness.out[1], "l"), ElementsAre(4, 5, 6));
  harness.flush();
  harness.flush();
  EXPECT_THAT(numbers(harness.out, "n"), testing::SizeIs(3));
}

TEST(CountWindow, HopsByCount) {
  StepHarness harness(make_window, fmt::format("{{ count: 5, every: 2, {} }}", kFigures));
  auto feed = random_feed(2, 101);
  for (const Reading& reading : feed) harness.push(sample_at(reading.millis, "v", reading.value));
  ASSERT_EQ(harness.out.size(), 48U) << "after 6, 8, ... 100";
  for (std::size_t i = 0; i < harness.out.size(); ++i) {
    std::vector<double> values;
    for (std::size_t j = 6 + 2 * i - 5; j < 6 + 2 * i; ++j) values.push_back(feed[j].value);
    expect_figures(harness.out[i], values);
  }
}

TEST(SessionWindow, EndsWithSilenceOrItsLongestTime) {
  StepHarness harness(make_window,
                      "{ gap: 1s, max: 5s, fields: { n: count(), from: window_start(), to: window_end() } }");
  for (std::int64_t at : {0, 500, 1500, 3000, 3900, 4900, 5900, 6900, 7900, 8000}) {
    harness.push(sample_at(at, "v", 1.0));
  }
  EXPECT_THAT(numbers(harness.out, "n"), ElementsAre(3, 6)) << harness.report;
  EXPECT_NEAR(number(harness.out[0], "to") - number(harness.out[0], "from"), 1.5, 1e-6);
  EXPECT_EQ(millis(harness.out[1]), 7900);
  Sample last = sample_at(8000, "v", 1.0);
  harness.tick(last.ingest_time + 1'900'000);
  EXPECT_EQ(harness.out.size(), 2U);
  harness.tick(last.ingest_time + 2'100'000);  // gap + 1 s of grace
  EXPECT_THAT(numbers(harness.out, "n"), ElementsAre(3, 6, 1));
}

TEST(StateWindow, LastsFromBeginToEmit) {
  StepHarness harness(make_window, "{ begin: \"v > 10\", emit: \"v < 5\", fields: { l: collect(v) } }");
  int at = 0;
  for (double value : {1.0, 11.0, 7.0, 12.0, 4.0, 3.0, 20.0}) harness.push(sample_at(++at, "v", value));
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_THAT(array(harness.out[0], "l"), ElementsAre(11, 7, 12, 4));
  harness.flush();
  ASSERT_EQ(harness.out.size(), 2U);
  EXPECT_THAT(array(harness.out[1], "l"), ElementsAre(20));
}

TEST(StateWindow, LastsWhileBeginHoldsWithoutEmit) {
  StepHarness harness(make_window, "{ begin: \"on\", fields: { l: collect(v) } }");
  int at = 0;
  for (bool on : {false, true, true, false, false, true, false}) {
    ++at;
    Sample sample = sample_at(at, "v", static_cast<double>(at));
    sample.set("on", on);
    harness.push(sample);
  }
  ASSERT_EQ(harness.out.size(), 2U) << harness.report;
  EXPECT_THAT(array(harness.out[0], "l"), ElementsAre(2, 3));
  EXPECT_THAT(array(harness.out[1], "l"), ElementsAre(6));
}

TEST(Windows, CountOnlyWhatWhereLetsIn) {
  StepHarness harness(make_window, "{ last: 1s, where: \"quality != 'bad'\", fields: { a: avg(v), n: count() } }");
  for (int i = 0; i < 4; ++i) {
    Sample sample = sample_at(i * 100, "v", static_cast<double>(i));
    if (i == 3) sample.quality = ingest::Quality::bad;
    harness.push(sample);
  }
  harness.flush();
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "n"), 3);
  EXPECT_EQ(harness.out[0].quality, ingest::Quality::good);
  EXPECT_EQ(harness.dropped, 0U);
}

TEST(Windows, ComputeTheRestOfTheAggregates) {
  StepHarness harness(make_window,
                      "{ count: 6, fields: { vs: vars(v), v: var(v), ds: stddevs(v), rms: rms(v), r: range(v), "
                      "pc: \"percentile_cont(v, 0.5)\", pd: \"percentile_disc(v, 0.5)\", d: deduplicate(v), "
                      "p: \"avg(v * 2)\", t: last(state), ns: count(state), \"*\": merge_agg(*) } }");
  for (double value : {4.0, 1.0, 4.0, 2.0, 8.0, 2.0}) {
    Sample sample = sample_at(0, "v", value);
    if (value == 8) sample.set("once", 7.0);
    sample.set("state", std::string(value > 3 ? "high" : "low"));
    harness.push(sample);
  }
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const Sample& out = harness.out[0];
  EXPECT_NEAR(number(out, "vs"), 6.3, 1e-12);
  EXPECT_NEAR(number(out, "v"), 5.25, 1e-12) << "an output wins over the merged field";
  EXPECT_NEAR(number(out, "ds"), std::sqrt(6.3), 1e-12);
  EXPECT_NEAR(number(out, "rms"), std::sqrt(105.0 / 6), 1e-12);
  EXPECT_EQ(number(out, "r"), 7);
  EXPECT_EQ(number(out, "pc"), 3);
  EXPECT_EQ(number(out, "pd"), 2);
  EXPECT_THAT(array(out, "d"), ElementsAre(4, 1, 2, 8));
  EXPECT_EQ(number(out, "p"), 7);
  EXPECT_EQ(std::get<std::string>(out.find("t")->value), "low");
  EXPECT_EQ(number(out, "ns"), 6);
  EXPECT_EQ(number(out, "once"), 7) << "the newest value of a field that the last sample lacks";
}

// --- order -----------------------------------------------------------------------------------------------------------

std::vector<std::string> lines_of(const std::string& yaml, const std::vector<Sample>& feed) {
  StepHarness harness(make_window, yaml);
  for (const Sample& sample : feed) harness.push(sample);
  harness.flush();
  EXPECT_EQ(harness.dropped, 0U) << harness.report;
  std::vector<std::string> lines;
  for (const Sample& out : harness.out) {
    lines.push_back(fmt::format("{} {} {:.9f} {} {}", out.device, out.event_time, number(out, "a"), number(out, "n"),
                                fmt::join(array(out, "l"), ",")));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(Windows, AreTheSameForAnyOrderWithinTheLateness) {
  const std::string fields = "late: 500ms, fields: { a: avg(v), n: count(), l: collect(v) }";
  for (const char* kind : {"last: 2s, every: 500ms", "last: 1500ms, every: sample", "count: 7, every: 3", "gap: 200ms",
                           "begin: \"v > 6\", emit: \"v < 3\"", "last: 1s"}) {
    std::vector<Sample> feed;
    for (int i = 0; i < 300; ++i) {
      int at = i * 50 + (i % 11 == 0 ? 300 : 0) + i % 7;  // each its own time
      feed.push_back(sample_at(at * 3 + i, "v", static_cast<double>(i * 7919 % 10), i % 3 == 0 ? "a" : "b"));
    }
    std::sort(feed.begin(), feed.end(), [](const Sample& a, const Sample& b) { return a.event_time < b.event_time; });
    std::string yaml = fmt::format("{{ {}, {} }}", kind, fields);
    auto in_order = lines_of(yaml, feed);
    EXPECT_GT(in_order.size(), 20U) << kind;
    for (unsigned seed : {1U, 2U, 3U}) {
      // Nobody is overtaken by something more than 450 ms newer.
      std::mt19937 random(seed);
      std::vector<std::pair<std::int64_t, Sample>> delayed;
      for (const Sample& sample : feed) {
        delayed.emplace_back(sample.event_time + static_cast<std::int64_t>(random() % 450'000), sample);
      }
      std::sort(delayed.begin(), delayed.end(), [](auto& a, auto& b) { return a.first < b.first; });
      std::vector<Sample> shuffled;
      for (auto& [at, sample] : delayed) shuffled.push_back(sample);
      EXPECT_EQ(lines_of(yaml, shuffled), in_order) << kind << " seed " << seed;
    }
  }
}

TEST(Windows, DropWhatComesTooLateForItsPlace) {
  StepHarness harness(make_window, "{ count: 2, late: 100ms, fields: { l: collect(v) } }");
  for (std::int64_t at : {0, 100, 50, 300, 90}) harness.push(sample_at(at, "v", static_cast<double>(at)));
  EXPECT_EQ(harness.dropped, 1U) << "90 after 100 was counted";
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_THAT(array(harness.out[0], "l"), ElementsAre(0, 50));
}

// --- receipts --------------------------------------------------------------------------------------------------------

class Noted : public ingest::Receipt {
 public:
  explicit Noted(std::vector<int>& settled, int name) : settled_(settled), name_(name) {}
  ~Noted() override { settled_.push_back(abandoned() ? -name_ : name_); }

 private:
  std::vector<int>& settled_;
  int name_;
};

Sample with_receipt(std::vector<int>& settled, int name, std::int64_t at) {
  Sample sample = sample_at(at, "v", static_cast<double>(name));
  sample.receipt = std::make_shared<Noted>(settled, name);
  return sample;
}

TEST(Receipts, AreSettledWithTheLastWindowThatASampleIsIn) {
  std::vector<int> settled;
  StepHarness harness(make_window, "{ last: 2s, every: 1s, fields: { n: count() } }");
  for (int i = 1; i <= 4; ++i) harness.push(with_receipt(settled, i, i * 1000 - 500));
  ASSERT_EQ(harness.out.size(), 3U);  // to 1 s, 2 s, 3 s
  EXPECT_THAT(settled, ElementsAre());
  harness.out.erase(harness.out.begin());
  EXPECT_THAT(settled, ElementsAre()) << "1 is in the second window too";
  harness.out.erase(harness.out.begin());
  EXPECT_THAT(settled, ElementsAre(1));
  harness.flush();
  harness.out[0].receipt->abandon();
  harness.out.clear();
  std::sort(settled.begin(), settled.end());
  EXPECT_EQ(settled.size(), 4U);
}

TEST(Receipts, OfEveryKindGoWithTheWindowsAndNothingIsKept) {
  for (const char* kind :
       {"last: 1s", "last: 2s, every: sample", "count: 4, every: 2", "gap: 1s", "begin: \"v > 0\", max: 3s"}) {
    std::vector<int> settled;
    StepHarness harness(make_window, fmt::format("{{ {}, late: 200ms, fields: {{ n: count() }} }}", kind));
    for (int i = 1; i <= 100; ++i) harness.push(with_receipt(settled, i, i * 300));
    EXPECT_EQ(settled.size(), 0U) << kind << ": what is not emitted is held, what was is in somebody's hands";
    harness.flush();
    harness.out.clear();
    EXPECT_EQ(settled.size(), 100U) << kind;
  }
}

TEST(Receipts, AbandonedWindowsAbandonTheirSamples) {
  std::vector<int> settled;
  StepHarness harness(make_window, "{ count: 3, fields: { n: count() } }");
  for (int i = 1; i <= 3; ++i) harness.push(with_receipt(settled, i, i));
  ASSERT_EQ(harness.out.size(), 1U);
  harness.out[0].receipt->abandon();
  harness.out.clear();
  harness.flush();
  EXPECT_THAT(settled, testing::UnorderedElementsAre(-1, -2, -3));
}

// --- hot swap --------------------------------------------------------------------------------------------------------

// Half of the feed goes through one step, the rest through one that adopted it.
std::vector<std::string> swapped(const std::string& before, const std::string& after, const std::vector<Sample>& feed) {
  StepHarness first(make_window, before);
  StepHarness second(make_window, after);
  for (std::size_t i = 0; i < feed.size() / 2; ++i) first.push(feed[i]);
  second.step->adopt(*first.step);
  first.flush();
  for (std::size_t i = feed.size() / 2; i < feed.size(); ++i) second.push(feed[i]);
  second.flush();
  std::vector<std::string> lines;
  for (const auto* outs : {&first.out, &second.out}) {
    for (const Sample& out : *outs) {
      lines.push_back(fmt::format("{} {} {} {}", out.device, out.event_time, number(out, "n"), number(out, "m")));
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(HotSwap, KeepsEveryKindOfWindowInPlace) {
  std::vector<Sample> feed;
  for (int i = 0; i < 200; ++i) {
    feed.push_back(sample_at(i * 70, "v", static_cast<double>(i % 9), i % 2 == 0 ? "a" : "b"));
  }
  for (const char* kind : {"last: 3s", "last: 2s, every: 500ms, late: 200ms", "last: 2s, every: sample", "count: 8",
                           "count: 8, every: 4, late: 300ms", "gap: 300ms", "begin: \"v > 3\", max: 1s"}) {
    std::string plain = fmt::format("{{ {}, fields: {{ n: count(), m: median(v), old: avg(v) }} }}", kind);
    std::string other = fmt::format("{{ {}, fields: {{ m: median(v), n: count() }} }}", kind);
    EXPECT_EQ(swapped(plain, other, feed), swapped(plain, plain, feed)) << kind;
    StepHarness whole(make_window, plain);
    for (const Sample& sample : feed) whole.push(sample);
    whole.flush();
    EXPECT_EQ(swapped(plain, plain, feed).size(), whole.out.size()) << kind;
  }
}

TEST(HotSwap, LeavesWhatDoesNotFitToTheOldStep) {
  std::vector<Sample> feed;
  for (int i = 0; i < 40; ++i) feed.push_back(sample_at(i * 100, "v", 1.0));
  // The middle second is cut in two: both halves are told.
  EXPECT_EQ(
      swapped("{ last: 10s, fields: { n: count() } }", "{ last: 10s, fields: { n: count(), m: avg(w) } }", feed).size(),
      2U);
  EXPECT_EQ(swapped("{ last: 10s }", "{ count: 100 }", feed).size(), 2U);
}

TEST(HotSwap, TakesALongerWindowOfTheSamePanes) {
  StepHarness first(make_window, "{ last: 2s, every: 1s, fields: { n: count() } }");
  StepHarness second(make_window, "{ last: 4s, every: 1s, fields: { n: count() } }");
  for (int i = 0; i < 35; ++i) first.push(sample_at(i * 100, "v", 1.0));
  second.step->adopt(*first.step);
  second.push(sample_at(4000, "v", 1.0));
  ASSERT_EQ(second.out.size(), 1U);
  EXPECT_EQ(number(second.out[0], "n"), 15) << "what the shorter window still had, from 2 s on";
}

// --- plan ------------------------------------------------------------------------------------------------------------

TEST(Plan, SaysTypesUnitsRateAndMemory) {
  ingest::Shape in;
  in.open = false;
  in.samples_per_second = 100;
  in.fields["vib"] = {ingest::FieldType::Kind::number, "mm/s"};
  in.fields["state"] = {ingest::FieldType::Kind::text, ""};
  StepHarness harness(make_window,
                      "{ last: 10s, every: 1s, devices: 10, fields: { a: avg(vib), r: rate(vib), n: count(), "
                      "s: last(state), l: collect(vib) } }");
  ingest::StepPlan plan = harness.step->plan(in);
  EXPECT_FALSE(plan.out.open);
  EXPECT_THAT(plan.problems, ElementsAre());
  EXPECT_EQ(plan.out.fields.at("a"), (ingest::FieldType{ingest::FieldType::Kind::number, "mm/s"}));
  EXPECT_EQ(plan.out.fields.at("r"), (ingest::FieldType{ingest::FieldType::Kind::number, "mm/s/s"}));
  EXPECT_EQ(plan.out.fields.at("n"), (ingest::FieldType{ingest::FieldType::Kind::number, ""}));
  EXPECT_EQ(plan.out.fields.at("s").kind, ingest::FieldType::Kind::text);
  EXPECT_EQ(plan.out.fields.at("l").kind, ingest::FieldType::Kind::array);
  EXPECT_EQ(plan.out.samples_per_second, 10);
  // 10 devices may keep 65,536 values each, and vectors grow by doubling.
  EXPECT_GT(plan.memory_bytes_max, 20'000'000U);
  EXPECT_LT(plan.memory_bytes_max, 30'000'000U);
}

TEST(Plan, FindsFieldsThatCannotBeThere) {
  ingest::Shape in;
  in.open = false;
  in.fields["vib"] = {ingest::FieldType::Kind::number, "mm/s"};
  in.fields["state"] = {ingest::FieldType::Kind::text, ""};
  StepHarness harness(
      make_window,
      "{ last: 10s, where: \"stat == 'on'\", fields: { a: avg(vibe), b: avg(state), c: \"avg(vib * x)\" } }");
  ingest::StepPlan plan = harness.step->plan(in);
  EXPECT_THAT(plan.problems,
              testing::UnorderedElementsAre(HasSubstr("did you mean 'vib'?"), HasSubstr("'state' is text"),
                                            HasSubstr("no field 'x'"), HasSubstr("did you mean 'state'?")));
}

TEST(Settings, ExplainMistakes) {
  auto report = [](const std::string& yaml) { return StepHarness(make_window, yaml).report; };
  EXPECT_THAT(report("{ count: 5, last: 1s }"), HasSubstr("different kinds of windows"));
  EXPECT_THAT(report("{ gap: 1s, every: 1s }"), HasSubstr("every does not go with gap"));
  EXPECT_THAT(report("{ count: 2, every: 3 }"), HasSubstr("would be in no window"));
  EXPECT_THAT(report("{ last: 1s, emit: \"v > 1\" }"), HasSubstr("goes with every: sample"));
  EXPECT_THAT(report("{ begin: \"v >\" }"), HasSubstr("test.yaml:1:"));
  EXPECT_THAT(report("{ count: 2, fields: { a: merge_agg(*) } }"), HasSubstr("\"*\": merge_agg(*)"));
  EXPECT_THAT(report("{ count: 2, fields: { a: \"avg(v +)\" } }"), HasSubstr("column"));
  EXPECT_THAT(report("{ count: 2, fields: { a: \"percentile_cont(v, 95)\" } }"), HasSubstr("between 0 and 1"));
}

TEST(Window, GoesOnInTheFirstUnit) {
  StepHarness harness(make_window, "{ count: 3, fields: { l: collect(t) } }");
  const auto push = [&](double value, const char* unit) {
    Sample sample = sample_at(0, "t", value);
    sample.fields[0].unit = unit;
    harness.push(std::move(sample));
  };
  push(20, "degC");
  push(212, "degF");
  push(30, "");
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const auto values = array(harness.out[0], "l");
  ASSERT_EQ(values.size(), 3U);
  EXPECT_NEAR(values[1], 100, 1e-9);
  EXPECT_EQ(values[2], 30);
  EXPECT_EQ(harness.out[0].find("l")->unit, "degC");
}

}  // namespace
}  // namespace penstock::ext::steps
