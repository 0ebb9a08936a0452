#include "ext/steps/envelope/envelope.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::number;
using ingest::Sample;
using ingest::sample_at;
using ingest::StepHarness;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kTurn = 2 * std::numbers::pi;

std::vector<double> array(const Sample& sample, std::string_view name) {
  const ingest::Field* field = sample.find(name);
  const auto* values = field == nullptr ? nullptr : std::get_if<std::vector<double>>(&field->value);
  return values == nullptr ? std::vector<double>() : *values;
}

double loudness(double seconds) { return 1 + 0.5 * std::sin(kTurn * 10 * seconds); }

TEST(Envelope, IsTheLoudnessOfACarrierInItsBand) {
  StepHarness harness(make_envelope, "{ field: \"vib[]\", rate: 10kHz, band: 800Hz..1200Hz, as: e }");
  std::vector<double> values(10'000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    double t = static_cast<double>(i) / 10'000;
    values[i] = 20 + loudness(t) * std::sin(kTurn * 1000 * t) + 5 * std::sin(kTurn * 50 * t);
  }
  Sample sample = sample_at(0, "vib[]", values);
  sample.fields[0].unit = "g";
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  auto envelope = array(harness.out[0], "e");
  ASSERT_EQ(envelope.size(), values.size());
  for (std::size_t i = 0; i < envelope.size(); i += 7)
    EXPECT_NEAR(envelope[i], loudness(static_cast<double>(i) / 10'000), 1e-6);
  EXPECT_EQ(harness.out[0].find("e")->unit, "g");
}

TEST(Envelope, OfOneToneIsItsAmplitudeWithoutABand) {
  for (std::size_t n : {60U, 61U, 1024U, 1000U}) {
    StepHarness harness(make_envelope, "{ field: v }");
    std::vector<double> values(n);
    for (std::size_t i = 0; i < n; ++i)
      values[i] = 3 * std::cos(kTurn * 6 * static_cast<double>(i) / static_cast<double>(n));
    harness.push(sample_at(0, "v", values));
    auto envelope = array(harness.out.at(0), "v_envelope");
    ASSERT_GE(envelope.size(), n - 1);
    double mean = 0;
    for (double value : envelope) mean += value / static_cast<double>(envelope.size());
    EXPECT_NEAR(mean, 3, 0.1) << n;
  }
}

TEST(Envelope, RectifiesNumberByNumberAndArraysAlike) {
  StepHarness numbers(make_envelope, "{ field: v, method: rectify, cutoff: 5Hz }");
  StepHarness arrays(make_envelope, "{ field: v, method: rectify, cutoff: 5Hz, rate: 1kHz }");
  std::vector<double> values(4000);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 7 + 2 * std::sin(kTurn * 100 * static_cast<double>(i) / 1000);
  for (std::size_t i = 0; i < values.size(); ++i) numbers.push(sample_at(static_cast<std::int64_t>(i), "v", values[i]));
  for (std::size_t i = 0; i < values.size(); i += 500) {
    auto begin = values.begin() + static_cast<std::ptrdiff_t>(i);
    arrays.push(sample_at(static_cast<std::int64_t>(i), "v", std::vector<double>(begin, begin + 500)));
  }
  double level = number(numbers.out.back(), "v_envelope");
  EXPECT_NEAR(level, 2 * 2 / std::numbers::pi, 0.1) << "the mean of a rectified sine";
  EXPECT_NEAR(array(arrays.out.back(), "v_envelope").back(), level, 1e-3);
}

TEST(Envelope, LeavesBadShortAndOldOnesAlone) {
  StepHarness harness(make_envelope, "{ field: v }");
  harness.push(sample_at(0, "v", std::vector<double>{1, 2}));
  harness.push(sample_at(0, "v", 1.0));
  harness.push(sample_at(0, "v", std::vector<double>(20, std::nan(""))));
  Sample bad = sample_at(0, "v", std::vector<double>(20, 1));
  bad.quality = ingest::Quality::bad;
  harness.push(bad);
  ASSERT_EQ(harness.out.size(), 4U);
  for (const Sample& out : harness.out) EXPECT_EQ(out.find("v_envelope"), nullptr);
}

TEST(Envelope, AReloadKeepsTheFilterAndPlansTypes) {
  StepHarness before(make_envelope, "{ field: v, method: rectify, cutoff: 1Hz }");
  StepHarness after(make_envelope, "{ field: v, method: rectify, cutoff: 2Hz }");
  for (int i = 0; i < 5000; ++i) before.push(sample_at(i, "v", i % 2 == 0 ? 1.0 : -1.0));
  after.step->adopt(*before.step);
  after.push(sample_at(5000, "v", 1.0));
  EXPECT_NEAR(number(after.out[0], "v_envelope"), 1, 0.1);
  ingest::Shape in;
  in.open = false;
  in.fields["v"] = {ingest::FieldType::Kind::number, "g"};
  EXPECT_EQ(after.step->plan(in).out.fields.at("v_envelope").unit, "g");
  EXPECT_THAT(StepHarness(make_envelope, "{ field: v }").step->plan(in).problems,
              ElementsAre(HasSubstr("method: rectify")));
}

TEST(Envelope, RefusesNonsense) {
  auto report = [](const std::string& yaml) { return StepHarness(make_envelope, yaml).report; };
  EXPECT_THAT(report("{ field: v, band: 1kHz..2kHz }"), HasSubstr("write rate: 10kHz"));
  EXPECT_THAT(report("{ field: v, method: rectify }"), HasSubstr("needs cutoff"));
  EXPECT_THAT(report("{ field: v, cutoff: 5Hz }"), HasSubstr("goes with method: rectify"));
  EXPECT_THAT(report("{ field: v, rate: 1kHz, band: 2kHz..1kHz }"), HasSubstr("no range"));
}

}  // namespace
}  // namespace penstock::ext::steps
