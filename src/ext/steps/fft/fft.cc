#include "ext/steps/fft/fft.h"

#include <cmath>
#include <deque>

#include "ext/steps/fft/spectrum.h"
#include "ingest/derived_field.h"
#include "ingest/device_table.h"
#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Field;
using ingest::Sample;

constexpr std::size_t kLengthLeast = 8;
constexpr std::size_t kLengthMost = 65'536;
constexpr std::size_t kGatheredMax = 4'000'000;  // values of all devices: 32 MB
constexpr std::string_view kTooMany = "fft: more than 10000 devices: the block of the one silent for longest is lost";
constexpr double kHole = 8;  // usual intervals without a sample that break a block

struct Settings {
  std::string field;
  std::string base;  // of the names of what comes out
  std::optional<double> rate;
  std::size_t size = 0;  // values in a block; 0: every array is one
  std::size_t hop = 0;
  Taper taper = Taper::hann;
  std::vector<std::pair<std::string, ingest::FrequencyBand>> bands;
  std::size_t peaks = 0;
  std::string spectrum;  // the field for all amplitudes; empty: none
};

struct Reading {
  WallMicros at = 0;
  std::size_t values = 0;
  ingest::ReceiptPtr receipt;
};

struct Block {
  std::vector<double> values;
  std::deque<Reading> readings;
  ingest::SeriesClock clock;
  ingest::Quality worst = ingest::Quality::good;
};

class Fft : public ingest::Step {
 public:
  Fft(Settings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)), analyser_(settings_.taper) {}

  void push(Sample sample, ingest::Output& out) override;
  void tick(WallMicros now, ingest::Output& out) override;
  void flush(ingest::Output& out) override;
  void adopt(Step& before) override;
  ingest::StepPlan plan(const ingest::Shape& in) const override;

 private:
  std::span<const double> values_of(const Sample& sample);
  void gather(Sample sample, std::span<const double> values, ingest::Output& out);
  bool follows(const Block& block, const Sample& sample, std::size_t values) const;
  std::optional<double> rate_of(const Block& block) const;
  void tell_blocks(Block& block, const Sample& sample, ingest::Output& out);
  void describe(Sample& sample, std::span<const double> values, double rate);
  void take_front(Block& block, std::size_t values);
  void begin_anew(Block& block);
  void clear(Block& block);

  Settings settings_;
  ingest::StepContext context_;
  Analyser analyser_;
  ingest::DeviceTable<Block> blocks_;
  ingest::TickTime time_;
  std::size_t gathered_ = 0;
  double single_ = 0;
};

// Empty where the sample has nothing to look at.
std::span<const double> Fft::values_of(const Sample& sample) {
  const Field* field = sample.find(settings_.field);
  if (field == nullptr) return {};
  if (const auto* array = std::get_if<std::vector<double>>(&field->value)) {
    bool finite = std::all_of(array->begin(), array->end(), [](double value) { return std::isfinite(value); });
    return finite ? std::span<const double>(*array) : std::span<const double>();
  }
  auto number = ingest::number_in(field);
  if (!number) return {};
  single_ = *number;
  return {&single_, 1};
}

void Fft::push(Sample sample, ingest::Output& out) {
  auto values = values_of(sample);
  if (settings_.size > 0) return gather(std::move(sample), values, out);
  if (sample.quality != ingest::Quality::bad && values.size() >= kLengthLeast) {
    values = values.last(std::min(values.size(), kLengthMost));
    std::vector<double> copy(values.begin(), values.end());  // describe() changes the sample
    describe(sample, copy, *settings_.rate);
  }
  out.emit(std::move(sample));
}

// Samples are taken in until a block is full; the last one goes on with what was found, once for each block it fills.
void Fft::gather(Sample sample, std::span<const double> values, ingest::Output& out) {
  if (values.empty()) return out.emit(std::move(sample));
  Block& block = blocks_.at(sample.device, [this](auto& oldest) {
    context_.error(kTooMany);
    clear(oldest.state);
  });
  if (block.clock.ran_ahead(sample, time_)) begin_anew(block);
  if (!block.readings.empty() && sample.event_time < block.readings.back().at) return context_.drop();
  if (sample.quality == ingest::Quality::bad || !follows(block, sample, values.size())) {
    begin_anew(block);
  }
  if (sample.quality == ingest::Quality::bad) return out.emit(std::move(sample));
  while (gathered_ + values.size() > kGatheredMax && !blocks_.entries().empty()) {
    // Of all devices together too much: the largest block begins anew.
    auto& entries = blocks_.entries();
    auto largest = std::max_element(entries.begin(), entries.end(),
                                    [](auto& a, auto& b) { return a.state.values.size() < b.state.values.size(); });
    if (largest->state.values.empty()) break;
    begin_anew(largest->state);
  }
  block.clock.note(sample, time_);
  block.values.insert(block.values.end(), values.begin(), values.end());
  gathered_ += values.size();
  block.readings.push_back({sample.event_time, values.size(), sample.receipt});
  block.worst = std::max(block.worst, sample.quality);
  if (block.values.size() >= settings_.size) tell_blocks(block, sample, out);
}

// A block has no holes: a spectrum of values that do not follow each other is of nothing.
bool Fft::follows(const Block& block, const Sample& sample, std::size_t values) const {
  if (block.readings.size() < 2) return true;
  const auto apart = static_cast<double>(sample.event_time - block.readings.back().at);
  const auto span = static_cast<double>(block.readings.back().at - block.readings.front().at);
  double usual = settings_.rate ? 1e6 * static_cast<double>(values) / *settings_.rate
                                : span / static_cast<double>(block.readings.size() - 1);
  return apart <= kHole * std::max(usual, 1000.0);
}

std::optional<double> Fft::rate_of(const Block& block) const {
  if (settings_.rate) return settings_.rate;
  const auto span = static_cast<double>(block.readings.back().at - block.readings.front().at);
  std::size_t steps = block.values.size() - block.readings.front().values;
  if (span <= 0 || steps == 0) return std::nullopt;
  return 1e6 * static_cast<double>(steps) / span;
}

// All that are full, oldest first. A block that ends before the sample's last value is as much older.
void Fft::tell_blocks(Block& block, const Sample& sample, ingest::Output& out) {
  const auto rate = rate_of(block);
  if (!rate) context_.error("fft: the samples of a block have one and the same time; say rate: 10kHz");
  while (block.values.size() >= settings_.size) {
    Sample told = sample;
    ingest::ReceiptGatherer receipts;
    for (const Reading& reading : block.readings) receipts.add(reading.receipt);
    told.receipt = receipts.joined();
    told.forget_name();
    told.quality = block.worst;
    if (rate) {
      const auto behind = static_cast<double>(block.values.size() - settings_.size);
      told.event_time -= static_cast<WallMicros>(behind * 1e6 / *rate);
      describe(told, std::span<const double>(block.values).first(settings_.size), *rate);
    }
    take_front(block, settings_.hop);
    out.emit(std::move(told));
  }
}

void Fft::describe(Sample& sample, std::span<const double> values, double rate) {
  const Field* field = sample.find(settings_.field);
  std::string unit = field == nullptr ? std::string() : field->unit;
  Spectrum spectrum = analyser_.analyse(values, rate);
  sample.set(settings_.base + "_rms", spectrum.rms(), unit);
  for (const auto& [name, band] : settings_.bands) sample.set(name, spectrum.band(band), unit);
  if (settings_.peaks > 0) {
    std::vector<double> hertz;
    std::vector<double> amplitudes;
    for (const Peak& peak : spectrum.peaks(settings_.peaks)) {
      hertz.push_back(peak.hertz);
      amplitudes.push_back(peak.amplitude);
    }
    sample.set(settings_.base + "_peaks_hz", std::move(hertz), "Hz");
    sample.set(settings_.base + "_peaks", std::move(amplitudes), unit);
  }
  if (settings_.spectrum.empty()) return;
  sample.set(settings_.spectrum + "_step", spectrum.resolution, "Hz");
  sample.set(settings_.spectrum, std::move(spectrum.amplitude), unit);
}

void Fft::take_front(Block& block, std::size_t values) {
  values = std::min(values, block.values.size());
  block.values.erase(block.values.begin(), block.values.begin() + static_cast<std::ptrdiff_t>(values));
  gathered_ -= values;
  while (values > 0 && !block.readings.empty()) {
    std::size_t taken = std::min(values, block.readings.front().values);
    block.readings.front().values -= taken;
    values -= taken;
    if (block.readings.front().values == 0) block.readings.pop_front();
  }
  if (block.readings.empty()) block.worst = ingest::Quality::good;
}

// What was gathered makes no spectrum any more.
void Fft::begin_anew(Block& block) {
  if (!block.readings.empty()) context_.drop(block.readings.size());
  clear(block);
}

void Fft::clear(Block& block) {
  gathered_ -= block.values.size();
  block = Block();
}

// A half-full block waits for the device as long as it takes, but no journal waits with it.
void Fft::tick(WallMicros now, ingest::Output&) {
  time_.tick(now);
  for (auto& entry : blocks_.entries()) {
    Block& block = entry.state;
    if (block.readings.empty() || !block.readings.back().receipt || !block.clock.gone(time_)) continue;
    for (Reading& reading : block.readings) reading.receipt.reset();
  }
}

// A block that is not full has no spectrum.
void Fft::flush(ingest::Output&) {
  for (auto& entry : blocks_.entries()) clear(entry.state);
}

void Fft::adopt(Step& before) {
  auto* other = dynamic_cast<Fft*>(&before);
  if (other == nullptr || other->settings_.field != settings_.field || settings_.size == 0) return;
  blocks_.adopt(other->blocks_);
  time_ = other->time_;
  gathered_ = std::exchange(other->gathered_, 0);
}

ingest::StepPlan Fft::plan(const ingest::Shape& in) const {
  using Kind = ingest::FieldType::Kind;
  ingest::StepPlan plan;
  plan.out = in;
  auto type = ingest::numeric_type_of(in, settings_.field, plan.problems);
  if (type.kind == Kind::number && settings_.size == 0) {
    plan.problems.push_back(fmt::format(
        "'{}' is one number, no array; say how many make a spectrum, for example size: 1024", settings_.field));
  }
  plan.out.fields[settings_.base + "_rms"] = {Kind::number, type.unit};
  for (const auto& [name, band] : settings_.bands) plan.out.fields[name] = {Kind::number, type.unit};
  const std::size_t length = settings_.size > 0 ? settings_.size : kLengthMost;
  if (settings_.peaks > 0) {
    const auto peaks = static_cast<std::uint32_t>(settings_.peaks);
    plan.out.fields[settings_.base + "_peaks_hz"] = {Kind::array, "Hz", peaks};
    plan.out.fields[settings_.base + "_peaks"] = {Kind::array, type.unit, peaks};
  }
  if (!settings_.spectrum.empty()) {
    const std::uint64_t values = std::min<std::uint64_t>(length, type.longest > 0 ? type.longest : length);
    plan.out.fields[settings_.spectrum] = {Kind::array, type.unit, static_cast<std::uint32_t>(values / 2 + 1)};
    plan.out.fields[settings_.spectrum + "_step"] = {Kind::number, "Hz"};
  }
  constexpr std::uint64_t kPlanBytes = 64;  // of each value of a planned length, four lengths; and of the one at work
  plan.memory_bytes_max = 5 * length * kPlanBytes;
  if (settings_.size > 0) {
    // One array more than a block has room for comes before the block is told. Vectors grow by doubling.
    const std::uint64_t block = settings_.size + std::max<std::uint64_t>(1, ingest::array_values(type));
    std::uint64_t most = std::min<std::uint64_t>(kGatheredMax, ingest::kDevicesPerStepMax * block);
    constexpr std::uint64_t kEmptyDeque = 640;
    plan.memory_bytes_max += most * (2 * sizeof(double) + sizeof(Reading)) +
                             ingest::kDevicesPerStepMax * (sizeof(Block) + kEmptyDeque + 256);
  }
  return plan;
}

bool read_size(config::Map& map, Settings& settings) {
  if (!map.get("size").present()) {
    if (map.get("overlap").present()) map.get("overlap").problem("overlap goes with size");
    if (!settings.rate) map.node().problem("say rate: 10kHz, the values per second; only with size it can be measured");
    return settings.rate.has_value();
  }
  constexpr auto kMost = static_cast<std::int64_t>(kLengthMost);
  settings.size = static_cast<std::size_t>(map.integer("size", 1024, kLengthLeast, kMost));
  double overlap = map.get("overlap").present() ? map.get("overlap").percent() : 0;
  bool sound = overlap >= 0 && overlap <= 0.95;
  if (!sound) map.get("overlap").problem("is between 0% and 95%");
  std::size_t usable = signal::usable_length(settings.size);
  if (usable != settings.size) {
    map.get("size").problem(fmt::format("{} has a prime factor above 5; write {}", settings.size, usable));
    return false;
  }
  settings.hop = std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(settings.size) * (1 - overlap)));
  return sound;
}

void read_bands(const config::Node& node, Settings& settings) {
  if (!node.present()) return;
  constexpr std::size_t kBandsMax = 64;
  config::Map map = node.map();
  for (const auto& [name, entry] : map.entries()) {
    auto band = ingest::read_band(entry);
    if (band && settings.rate && band->from >= *settings.rate / 2) {
      entry.problem(fmt::format("begins above half the rate ({}Hz): nothing can be there", *settings.rate / 2));
    }
    if (band) settings.bands.emplace_back(name, *band);
  }
  if (settings.bands.size() > kBandsMax) node.problem(fmt::format("has more than {} bands", kBandsMax));
}

}  // namespace

std::unique_ptr<ingest::Step> make_fft(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  settings.field = map.required_text("field");
  settings.base = settings.field.ends_with("[]") ? settings.field.substr(0, settings.field.size() - 2) : settings.field;
  settings.rate = ingest::read_frequency(map.get("rate"));
  bool sized = read_size(map, settings);
  std::string window = map.choice("window", {"hann", "none"}, "hann");
  settings.taper = window == "hann" ? Taper::hann : Taper::rectangular;
  read_bands(map.get("bands"), settings);
  settings.peaks = static_cast<std::size_t>(map.integer("peaks", 0, 0, 64));
  settings.spectrum = map.text("spectrum");
  map.done();
  if (settings.field.empty() || !sized) return nullptr;
  return std::make_unique<Fft>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
