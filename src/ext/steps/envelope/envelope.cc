#include "ext/steps/envelope/envelope.h"

#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "ingest/derived_field.h"
#include "ingest/device_table.h"
#include "ingest/frequency.h"
#include "ingest/shape_lookup.h"
#include "signal/fourier.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;

constexpr std::size_t kLengthLeast = 8;
constexpr std::size_t kLengthMost = 65'536;
constexpr std::size_t kPlansMax = 4;

struct Settings {
  std::string field;
  std::string as;
  bool hilbert = true;
  std::optional<double> rate;                 // values per second
  std::optional<ingest::FrequencyBand> band;  // of hilbert
  double cutoff = 0;                          // of rectify, Hz
};

// The magnitude of the analytic signal of what lies within the band (Gabor 1946; Marple 1999 for sampled signals).
class Demodulator {
 public:
  std::vector<double> envelope(std::span<const double> values, const Settings& settings) {
    std::size_t n = signal::usable_length(values.size());
    values = values.last(n);
    signal::Fourier& fourier = plan(n);
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(n);
    std::vector<double> centred(values.begin(), values.end());
    for (double& value : centred) value -= mean;
    lines_.resize(n);
    analytic_.resize(n);
    fourier.forward(std::span<const double>(centred), lines_);
    const double resolution = settings.rate ? *settings.rate / static_cast<double>(n) : 0;
    for (std::size_t k = 0; k < n; ++k) {
      const double hertz = resolution * static_cast<double>(k);
      const bool in_band = !settings.band || (hertz >= settings.band->from && hertz <= settings.band->to);
      const bool own_mirror = k == 0 || 2 * k == n;
      const bool kept = 2 * k <= n && in_band;
      lines_[k] *= !kept ? 0.0 : own_mirror ? 1.0 : 2.0;
    }
    fourier.inverse(lines_, analytic_);
    std::vector<double> magnitudes(n);
    for (std::size_t i = 0; i < n; ++i) magnitudes[i] = std::abs(analytic_[i]);
    return magnitudes;
  }

 private:
  signal::Fourier& plan(std::size_t length) {
    auto found = plans_.find(length);
    if (found != plans_.end()) return found->second;
    if (plans_.size() >= kPlansMax) plans_.clear();
    return plans_.emplace(length, signal::Fourier(length)).first->second;
  }
  std::map<std::size_t, signal::Fourier> plans_;
  std::vector<signal::Complex> lines_;
  std::vector<signal::Complex> analytic_;
};

// The mean level is followed and taken off, what is left is rectified and smoothed: two low passes of first order.
struct Rectifier {
  double level = 0;
  double smooth = 0;
  bool started = false;
  WallMicros at = 0;

  double next(double value, double seconds, double cutoff) {
    constexpr double kLevelShare = 0.1;  // the level follows ten times slower than the envelope
    if (!started) level = value;
    started = true;
    level += (value - level) * gain(seconds, cutoff * kLevelShare);
    smooth += (std::abs(value - level) - smooth) * gain(seconds, cutoff);
    return smooth;
  }
  static double gain(double seconds, double cutoff) { return 1 - std::exp(-2 * std::numbers::pi * cutoff * seconds); }
};

class Envelope : public ingest::Step {
 public:
  Envelope(Settings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    const ingest::Field* field = sample.find(settings_.field);
    if (field != nullptr && sample.quality != ingest::Quality::bad) {
      std::string unit = field->unit;
      if (auto value = envelope_of(sample, *field)) sample.set(settings_.as, std::move(*value), unit);
    }
    out.emit(std::move(sample));
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Envelope*>(&before);
    if (other == nullptr || other->settings_.field != settings_.field) return;
    if (!settings_.hilbert && !other->settings_.hilbert) rectifiers_.adopt(other->rectifiers_);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    auto type = ingest::numeric_type_of(in, settings_.field, plan.problems);
    if (settings_.hilbert && type.kind == ingest::FieldType::Kind::number) {
      plan.problems.push_back(fmt::format(
          "'{}' is one number, no array; gather an array before, or write method: rectify", settings_.field));
    }
    auto kind = settings_.hilbert ? ingest::FieldType::Kind::array : type.kind;
    plan.out.fields[settings_.as] = {kind, type.unit};
    constexpr std::uint64_t kValueBytes = 16;
    plan.memory_bytes_max = settings_.hilbert ? kLengthMost * kValueBytes * (2 + 2 * kPlansMax)
                                              : ingest::kDevicesPerStepMax * (sizeof(Rectifier) + 256);
    return plan;
  }

 private:
  std::optional<ingest::Value> envelope_of(const Sample& sample, const ingest::Field& field) {
    const auto* array = std::get_if<std::vector<double>>(&field.value);
    auto number = ingest::number_in(&field);
    if (array == nullptr && !number) return std::nullopt;
    if (array != nullptr && !std::all_of(array->begin(), array->end(), [](double x) { return std::isfinite(x); })) {
      return std::nullopt;
    }
    if (settings_.hilbert) {
      if (array == nullptr || array->size() < kLengthLeast) return std::nullopt;
      return demodulator_.envelope(std::span(*array).last(std::min(array->size(), kLengthMost)), settings_);
    }
    Rectifier& rectifier = rectifiers_.at(sample.device);
    if (array != nullptr) return follow(rectifier, *array);
    if (rectifier.started && sample.event_time <= rectifier.at) return std::nullopt;
    double seconds = rectifier.started ? static_cast<double>(sample.event_time - rectifier.at) / 1e6 : 0;
    rectifier.at = sample.event_time;
    return rectifier.next(*number, seconds, settings_.cutoff);
  }

  std::optional<ingest::Value> follow(Rectifier& rectifier, const std::vector<double>& values) const {
    if (!settings_.rate) {
      context_.error(fmt::format("envelope: '{}' is an array; say rate: 10kHz", settings_.field));
      return std::nullopt;
    }
    std::vector<double> result;
    result.reserve(values.size());
    for (double value : values) result.push_back(rectifier.next(value, 1 / *settings_.rate, settings_.cutoff));
    return result;
  }

  Settings settings_;
  ingest::StepContext context_;
  Demodulator demodulator_;
  ingest::DeviceTable<Rectifier> rectifiers_;
};

bool read_method(config::Map& map, Settings& settings) {
  settings.hilbert = map.choice("method", {"hilbert", "rectify"}, "hilbert") == "hilbert";
  auto cutoff = ingest::read_frequency(map.get("cutoff"));
  if (map.get("band").present()) settings.band = ingest::read_band(map.get("band"));
  if (settings.hilbert && map.has("cutoff")) map.get("cutoff").problem("cutoff goes with method: rectify");
  if (!settings.hilbert && map.has("band")) map.get("band").problem("band goes with method: hilbert");
  if (settings.hilbert && settings.band && !settings.rate) {
    map.node().problem("a band needs the values per second; write rate: 10kHz");
    return false;
  }
  if (settings.hilbert) return true;
  if (!cutoff && !map.has("cutoff")) map.node().problem("method: rectify needs cutoff, for example cutoff: 10Hz");
  settings.cutoff = cutoff.value_or(0);
  return cutoff.has_value();
}

}  // namespace

std::unique_ptr<ingest::Step> make_envelope(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  settings.field = map.required_text("field");
  std::string base =
      settings.field.ends_with("[]") ? settings.field.substr(0, settings.field.size() - 2) : settings.field;
  settings.as = map.text("as", base + "_envelope");
  settings.rate = ingest::read_frequency(map.get("rate"));
  bool read = read_method(map, settings);
  map.done();
  if (settings.field.empty() || !read) return nullptr;
  return std::make_unique<Envelope>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
