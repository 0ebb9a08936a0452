#include "ext/steps/resample/resample.h"

#include "ingest/derived_field.h"
#include "ingest/device_table.h"
#include "ingest/series_key.h"
#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Field;
using ingest::Sample;

constexpr std::int64_t kGridPerGapMax = 10'000;  // samples that one gap can become
constexpr std::string_view kTooMany = "resample: more than 10000 devices: the one silent for longest was forgotten";

struct Settings {
  enum class Method : std::uint8_t { linear, previous, none } method = Method::linear;
  WallMicros every = 0;
  WallMicros max_gap = 0;
  ingest::SeriesKey by;
};

struct Series {
  bool started = false;
  Sample last;               // the newest sample
  WallMicros next_grid = 0;  // the next point to tell
  ingest::SeriesClock clock;
  bool told = true;  // method none: `last` was told
};

std::int64_t floor_div(WallMicros a, WallMicros b) { return a / b - (a % b < 0 ? 1 : 0); }

class Resample : public ingest::Step {
 public:
  Resample(Settings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override;
  void tick(WallMicros now, ingest::Output& out) override;
  void flush(ingest::Output& out) override;

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Resample*>(&before);
    bool fits = other != nullptr && other->settings_.every == settings_.every &&
                other->settings_.method == settings_.method && other->settings_.by == settings_.by;
    if (!fits) return;
    series_.adopt(other->series_);
    time_ = other->time_;
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    plan.out.samples_per_second = 1e6 / static_cast<double>(settings_.every) * ingest::kDevicesPerStepMax;
    plan.memory_bytes_max = ingest::kDevicesPerStepMax * (ingest::held_bytes(in) + sizeof(Series));
    return plan;
  }

 private:
  using Method = Settings::Method;

  WallMicros grid_after(WallMicros at) const { return (floor_div(at, settings_.every) + 1) * settings_.every; }
  WallMicros grid_from(WallMicros at) const { return grid_after(at - 1); }
  void tell(Sample sample, WallMicros at, ingest::Output& out) const;
  void tell_cell(Series& series, ingest::Output& out) const;
  void hold(Series& series, WallMicros until, ingest::Output& out) const;
  void fill(Series& series, const Sample& next, ingest::Output& out) const;
  static Sample between(const Sample& before, const Sample& after, WallMicros at);

  Settings settings_;
  ingest::StepContext context_;
  ingest::DeviceTable<Series> series_;
  ingest::TickTime time_;
};

void Resample::push(Sample sample, ingest::Output& out) {
  static const std::string kNone;
  if (sample.quality == ingest::Quality::bad) return;
  if (ingest::from_the_future(sample)) return context_.drop();
  const std::string* key = settings_.by.of(sample);
  Series& series = series_.at(key == nullptr ? kNone : *key, [&](auto& oldest) {
    context_.error(kTooMany);
    tell_cell(oldest.state, out);
  });
  if (series.clock.ran_ahead(sample, time_)) {
    tell_cell(series, out);
    series = Series();
  }
  if (series.started && sample.event_time < series.last.event_time) return context_.drop();
  const bool cells = settings_.method == Method::none;
  // Its cell was told while the device was silent.
  if (cells && series.started && series.told && sample.event_time <= series.next_grid) return context_.drop();
  series.clock.note(sample, time_);
  if (series.started) fill(series, sample, out);
  // A point that the sample itself lies on, and that was not told while the device was silent.
  bool on_grid = sample.event_time % settings_.every == 0;
  bool again = series.started && (series.last.event_time == sample.event_time || sample.event_time < series.next_grid);
  if (!cells && on_grid && !again) tell(sample, sample.event_time, out);
  const WallMicros next = cells ? grid_from(sample.event_time) : grid_after(sample.event_time);
  series.next_grid = series.started ? std::max(series.next_grid, next) : next;
  series.started = true;
  series.told = false;
  series.last = std::move(sample);
}

void Resample::tell(Sample sample, WallMicros at, ingest::Output& out) const {
  sample.event_time = at;
  sample.alarm.reset();
  sample.forget_name();
  out.emit(std::move(sample));
}

// Method none: the newest sample of a cell stands for it.
void Resample::tell_cell(Series& series, ingest::Output& out) const {
  if (settings_.method != Method::none || !series.started || series.told) return;
  series.told = true;
  tell(series.last, series.next_grid, out);
  series.last.receipt.reset();
}

// Method previous: the last sample stands until `until` (not with it) or until it is too old.
void Resample::hold(Series& series, WallMicros until, ingest::Output& out) const {
  WallMicros end = std::min(until - 1, series.last.event_time + settings_.max_gap);
  for (; series.next_grid <= end; series.next_grid += settings_.every) tell(series.last, series.next_grid, out);
}

void Resample::fill(Series& series, const Sample& next, ingest::Output& out) const {
  switch (settings_.method) {
    case Method::none:
      if (next.event_time > series.next_grid) tell_cell(series, out);
      return;
    case Method::previous: return hold(series, next.event_time, out);
    case Method::linear: break;
  }
  if (next.event_time - series.last.event_time > settings_.max_gap) return;
  for (; series.next_grid < next.event_time; series.next_grid += settings_.every) {
    out.emit(between(series.last, next, series.next_grid));
  }
}

// Numbers on the line between the two, all else as it was before.
Sample Resample::between(const Sample& before, const Sample& after, WallMicros at) {
  Sample sample = before;
  sample.event_time = at;
  sample.forget_name();
  sample.ingest_time = after.ingest_time;
  sample.quality = std::max(before.quality, after.quality);
  sample.alarm.reset();
  ingest::ReceiptGatherer receipts;
  receipts.add(before.receipt);
  receipts.add(after.receipt);
  sample.receipt = receipts.joined();
  double share =
      static_cast<double>(at - before.event_time) / static_cast<double>(after.event_time - before.event_time);
  for (Field& field : sample.fields) {
    if (std::holds_alternative<bool>(field.value)) continue;
    auto from = ingest::number_in(&field);
    auto to = ingest::number_in(after.find(field.name));
    if (from && to) field.value = *from + (*to - *from) * share;
  }
  return sample;
}

void Resample::tick(WallMicros now, ingest::Output& out) {
  time_.tick(now);
  for (auto& entry : series_.entries()) {
    Series& series = entry.state;
    WallMicros series_now = series.clock.at(time_);
    if (!series.started || series_now <= series.clock.newest) continue;
    if (settings_.method == Method::previous) hold(series, series_now, out);
    if (settings_.method == Method::none && series_now > series.next_grid) tell_cell(series, out);
    // As far as silence tells the next sample comes behind a hole: no journal waits for it.
    if (series_now > series.last.event_time + settings_.max_gap) series.last.receipt.reset();
  }
}

void Resample::flush(ingest::Output& out) {
  for (auto& entry : series_.entries()) {
    tell_cell(entry.state, out);
    entry.state.last.receipt.reset();
  }
}

}  // namespace

std::unique_ptr<ingest::Step> make_resample(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  map.required("every");
  auto micros = [](base::Duration duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  };
  base::Duration every = map.duration("every", {});
  settings.every = micros(every);
  settings.max_gap = micros(map.duration("max_gap", every * 10));
  std::string method = map.choice("method", {"linear", "previous", "none"}, "linear");
  settings.method = method == "linear"     ? Settings::Method::linear
                    : method == "previous" ? Settings::Method::previous
                                           : Settings::Method::none;
  settings.by = ingest::SeriesKey::read(map);
  map.done();
  if (settings.every < 1000) {
    if (map.has("every")) node.problem("every must be at least 1ms");
    return nullptr;
  }
  if (settings.max_gap / settings.every > kGridPerGapMax) {
    node.problem(fmt::format("max_gap is more than {} times every; make it shorter", kGridPerGapMax));
    return nullptr;
  }
  return std::make_unique<Resample>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
