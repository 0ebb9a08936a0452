#include "ext/steps/fft/fft.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>
#include <random>

#include "ext/steps/fft/spectrum.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<double> tone(std::size_t n, double rate, double hertz, double amplitude, double offset = 0) {
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = offset + amplitude * std::sin(2 * std::numbers::pi * hertz * static_cast<double>(i) / rate);
  }
  return values;
}

std::vector<double> array(const Sample& sample, std::string_view name) {
  const ingest::Field* field = sample.find(name);
  const auto* values = field == nullptr ? nullptr : std::get_if<std::vector<double>>(&field->value);
  return values == nullptr ? std::vector<double>() : *values;
}

TEST(Spectrum, KeepsTheEnergyOfNoise) {
  for (std::size_t n : {15U, 64U, 1000U, 4096U}) {
    std::mt19937 random(static_cast<unsigned>(n));
    std::normal_distribution<double> noise(3, 2);
    std::vector<double> values(n);
    double mean = 0;
    for (double& value : values) mean += (value = noise(random)) / static_cast<double>(n);
    double square = 0;
    for (double value : values) square += (value - mean) * (value - mean) / static_cast<double>(n);
    EXPECT_NEAR(Analyser(Taper::rectangular).analyse(values, 1000).rms(), std::sqrt(square), 1e-9) << "Parseval, " << n;
    if (n >= 1000) EXPECT_NEAR(Analyser(Taper::hann).analyse(values, 1000).rms() / std::sqrt(square), 1, 0.1);
  }
}

TEST(Spectrum, FindsTonesBetweenTheLines) {
  const double rate = 1000;
  for (double hertz : {50.0, 123.4, 300.25, 444.4}) {
    Spectrum spectrum = Analyser(Taper::hann).analyse(tone(1000, rate, hertz, 2, 7), rate);
    auto peaks = spectrum.peaks(1);
    ASSERT_EQ(peaks.size(), 1U);
    EXPECT_NEAR(peaks[0].hertz, hertz, 0.05);
    EXPECT_NEAR(peaks[0].amplitude, 2, 0.31) << "Hann loses at most 15 % between lines";
    EXPECT_NEAR(spectrum.band({hertz - 5, hertz + 5}), 2 / std::numbers::sqrt2, 0.01);
    EXPECT_LT(spectrum.band({0, hertz - 20}), 0.01);
  }
}

TEST(Fft, DescribesArrays) {
  StepHarness harness(make_fft,
                      "{ field: \"vib[]\", rate: 1kHz, bands: { low: 10Hz..60Hz, high: 100Hz..400Hz }, peaks: 2, "
                      "spectrum: s }");
  auto values = tone(1000, 1000, 50, 3);
  auto other = tone(1000, 1000, 200, 1);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += other[i];
  Sample sample = sample_at(0, "vib[]", values);
  sample.fields[0].unit = "mm/s";
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  const Sample& out = harness.out[0];
  EXPECT_NEAR(number(out, "low"), 3 / std::numbers::sqrt2, 1e-6);
  EXPECT_NEAR(number(out, "high"), 1 / std::numbers::sqrt2, 1e-6);
  EXPECT_NEAR(number(out, "vib_rms"), std::sqrt(5), 1e-6);
  EXPECT_THAT(array(out, "vib_peaks_hz"), ElementsAre(testing::DoubleNear(50, 1e-3), testing::DoubleNear(200, 1e-3)));
  EXPECT_EQ(out.find("low")->unit, "mm/s");
  EXPECT_EQ(out.find("vib_peaks_hz")->unit, "Hz");
  EXPECT_EQ(array(out, "s").size(), 501U);
  EXPECT_EQ(number(out, "s_step"), 1);
}

struct Noted : ingest::Receipt {
  explicit Noted(int& count) : settled(count) {}
  ~Noted() override { ++settled; }
  int& settled;
};

TEST(Fft, GathersBlocksThatOverlapAndMeasuresTheRate) {
  int settled = 0;
  StepHarness harness(make_fft, "{ field: v, size: 200, overlap: 50%, peaks: 1 }");
  auto values = tone(500, 100, 12, 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Sample sample = sample_at(static_cast<std::int64_t>(i) * 10, "v", values[i]);
    sample.receipt = std::make_shared<Noted>(settled);
    harness.push(std::move(sample));
  }
  ASSERT_EQ(harness.out.size(), 4U) << harness.report;
  for (const Sample& out : harness.out) EXPECT_NEAR(array(out, "v_peaks_hz").at(0), 12, 0.01);
  EXPECT_EQ(settled, 0);
  harness.out.erase(harness.out.begin());
  EXPECT_EQ(settled, 100) << "the other half is in the second block";
  harness.out.clear();
  harness.flush();
  EXPECT_EQ(settled, 500);
}

TEST(Fft, HolesAndBadSamplesBeginABlockAnew) {
  StepHarness harness(make_fft, "{ field: v, size: 16 }");
  std::int64_t at = 0;
  auto push = [&](int count) {
    for (int i = 0; i < count; ++i) harness.push(sample_at(at += 10, "v", std::sin(i)));
  };
  push(10);
  at += 1000;
  push(10);
  EXPECT_TRUE(harness.out.empty());
  EXPECT_EQ(harness.dropped, 10U);
  Sample bad = sample_at(at += 10, "v", 1.0);
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  ASSERT_EQ(harness.out.size(), 1U) << "bad ones go on";
  push(15);
  EXPECT_EQ(harness.out.size(), 1U);
  push(1);
  EXPECT_EQ(harness.out.size(), 2U);
  push(1);
  harness.push(sample_at(0, "v", 1.0));
  EXPECT_EQ(harness.dropped, 21U);
}

TEST(Fft, LeavesShortOddAndForeignSamplesAlone) {
  StepHarness harness(make_fft, "{ field: v, rate: 1kHz }");
  harness.push(sample_at(0, "v", std::vector<double>{1, 2, 3}));
  harness.push(sample_at(1, "w", 1.0));
  harness.push(sample_at(2, "v", std::vector<double>(20, std::nan(""))));
  harness.push(sample_at(3, "v", std::vector<double>(1021, 1)));
  ASSERT_EQ(harness.out.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(harness.out[i].find("v_rms"), nullptr);
  EXPECT_EQ(number(harness.out[3], "v_rms"), 0);
}

TEST(Fft, AReloadKeepsTheBlockAndPlansUnits) {
  StepHarness before(make_fft, "{ field: v, size: 16 }");
  StepHarness after(make_fft, "{ field: v, size: 20, bands: { b: 0Hz..10Hz } }");
  for (int i = 0; i < 12; ++i) before.push(sample_at(i, "v", std::sin(i)));
  after.step->adopt(*before.step);
  for (int i = 12; i < 20; ++i) after.push(sample_at(i, "v", std::sin(i)));
  EXPECT_EQ(after.out.size(), 1U);
  ingest::Shape in;
  in.open = false;
  in.fields["v"] = {ingest::FieldType::Kind::number, "g"};
  EXPECT_EQ(after.step->plan(in).out.fields.at("b").unit, "g");
  EXPECT_THAT(StepHarness(make_fft, "{ field: v, rate: 1kHz }").step->plan(in).problems,
              ElementsAre(HasSubstr("size: 1024")));
}

TEST(Fft, RefusesNonsense) {
  auto report = [](const std::string& yaml) { return StepHarness(make_fft, yaml).report; };
  EXPECT_THAT(report("{ field: v }"), HasSubstr("say rate: 10kHz"));
  EXPECT_THAT(report("{ field: v, rate: 10 }"), HasSubstr("is no frequency"));
  EXPECT_THAT(report("{ field: v, size: 1021 }"), HasSubstr("write 1000"));
  EXPECT_THAT(report("{ field: v, rate: 1kHz, bands: { a: 10Hz } }"), HasSubstr("10Hz..1kHz"));
  EXPECT_THAT(report("{ field: v, rate: 1kHz, bands: { a: 600Hz..700Hz } }"), HasSubstr("above half the rate"));
}

TEST(Fft, TellsEveryBlockThatAnArrayFills) {
  StepHarness harness(make_fft, "{ field: v, size: 128, overlap: 50%, rate: 1kHz, peaks: 1 }");
  auto values = tone(1000, 1000, 125, 1);
  for (std::size_t i = 500; i < 1000; ++i) values[i] = tone(1000, 1000, 250, 1)[i];
  harness.push(sample_at(1000, "v", std::vector<double>(values.begin(), values.begin() + 100)));
  EXPECT_TRUE(harness.out.empty());
  harness.push(sample_at(1900, "v", std::vector<double>(values.begin() + 100, values.end())));
  // 1 + (1000 - 128) / 64 of them; the first ends 872 ms before the last value.
  ASSERT_EQ(harness.out.size(), 14U) << harness.report;
  for (std::size_t i = 0; i < harness.out.size(); ++i) {
    const auto behind = static_cast<std::int64_t>(1000 - 128 - 64 * i);
    EXPECT_EQ(harness.out[i].event_time, sample_at(1900 - behind, "v", 0.0).event_time);
    if (i <= 5) EXPECT_NEAR(array(harness.out[i], "v_peaks_hz").at(0), 125, 1) << i;
    if (i >= 8) EXPECT_NEAR(array(harness.out[i], "v_peaks_hz").at(0), 250, 1) << i;
  }
}

TEST(Fft, HoldsNoJournalForADeviceThatIsGone) {
  StepHarness harness(make_fft, "{ field: v, size: 16 }");
  int settled = 0;
  for (int i = 0; i < 10; ++i) {
    Sample sample = sample_at(i * 1000, "v", std::sin(i));
    sample.receipt = std::make_shared<Noted>(settled);
    harness.push(std::move(sample));
  }
  harness.tick(sample_at(9000, "v", 0.0).ingest_time + 500'000'000);
  EXPECT_EQ(settled, 0);
  harness.tick(sample_at(9000, "v", 0.0).ingest_time + 601'000'000);
  EXPECT_EQ(settled, 10);
  for (int i = 10; i < 16; ++i) harness.push(sample_at(i * 1000, "v", std::sin(i)));
  EXPECT_EQ(harness.out.size(), 1U) << "the values are there still";
}

TEST(Fft, PlansItsArrays) {
  StepHarness harness(make_fft, "{ field: v, size: 128, peaks: 3, spectrum: lines }");
  ingest::Shape in;
  in.open = false;
  in.fields["v"] = {ingest::FieldType::Kind::array, "mm/s", 4096};
  const auto plan = harness.step->plan(in);
  EXPECT_EQ(plan.out.fields.at("lines").longest, 65U);
  EXPECT_EQ(plan.out.fields.at("v_peaks").longest, 3U);
  in.fields["v"].longest = 64;
  EXPECT_LT(harness.step->plan(in).memory_bytes_max, plan.memory_bytes_max);
}

}  // namespace
}  // namespace penstock::ext::steps
