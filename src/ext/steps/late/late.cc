#include "ext/steps/late/late.h"

#include "ingest/device_table.h"
#include "ingest/series_key.h"
#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;

constexpr std::size_t kWaitingMax = 100'000;  // of all series together
constexpr std::string_view kTooMany =
    "late: more than 10000 devices: the one silent for longest was given out before its time";

struct Settings {
  WallMicros tolerance = 0;
  bool pass = false;  // what comes later still
  ingest::SeriesKey by;
};

struct Series {
  ingest::TimeBuffer waiting;
  ingest::SeriesClock clock;
};

class Late : public ingest::Step {
 public:
  Late(Settings settings, ingest::StepContext context) : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    static const std::string kNone;
    if (ingest::from_the_future(sample)) return context_.drop();
    const std::string* key = settings_.by.of(sample);
    Series& series = series_.at(key == nullptr ? kNone : *key, [&](auto& oldest) {
      context_.error(kTooMany);
      release_all(oldest.state, out);
    });
    if (series.clock.ran_ahead(sample, time_)) {
      release_all(series, out);
      series = Series();
    }
    if (series.waiting.late(sample)) return too_late(std::move(sample), out);
    series.clock.note(sample, time_);
    series.waiting.insert(std::move(sample));
    ++waiting_;
    release(series, series.clock.newest - settings_.tolerance, out);
    // Too many wait: this series' oldest does so no longer.
    while (waiting_ > kWaitingMax && series.waiting.size() > 0) release(series, series.waiting.oldest(), out);
  }

  void tick(WallMicros now, ingest::Output& out) override {
    time_.tick(now);
    for (auto& entry : series_.entries()) {
      if (entry.state.waiting.size() > 0) release(entry.state, entry.state.clock.at(time_) - settings_.tolerance, out);
    }
  }

  void flush(ingest::Output& out) override {
    for (auto& entry : series_.entries()) release_all(entry.state, out);
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Late*>(&before);
    if (other == nullptr || !(other->settings_.by == settings_.by)) return;
    series_.adopt(other->series_);
    time_ = other->time_;
    waiting_ = std::exchange(other->waiting_, 0);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    constexpr std::uint64_t kSeriesBytes = sizeof(Series) + 256;
    return {.out = in,
            .memory_bytes_max = kWaitingMax * ingest::held_bytes(in) + ingest::kDevicesPerStepMax * kSeriesBytes,
            .problems = {}};
  }

 private:
  void too_late(Sample sample, ingest::Output& out) {
    // An alarm that was decided in silence comes with a sample of its own time: it is not lost.
    if (!settings_.pass && !sample.alarm) return context_.drop();
    sample.quality = std::max(sample.quality, ingest::Quality::uncertain);
    out.emit(std::move(sample));
  }
  void release(Series& series, WallMicros until, ingest::Output& out) {
    Sample sample;
    while (series.waiting.take(until, sample)) {
      --waiting_;
      out.emit(std::move(sample));
    }
  }
  void release_all(Series& series, ingest::Output& out) {
    release(series, std::numeric_limits<WallMicros>::max(), out);
  }

  Settings settings_;
  ingest::StepContext context_;
  ingest::DeviceTable<Series> series_;
  ingest::TickTime time_;
  std::size_t waiting_ = 0;
};

}  // namespace

std::unique_ptr<ingest::Step> make_late(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  map.required("tolerance");
  settings.tolerance = std::chrono::duration_cast<std::chrono::microseconds>(map.duration("tolerance", {})).count();
  settings.pass = map.choice("later", {"drop", "pass"}, "drop") == "pass";
  settings.by = ingest::SeriesKey::read(map);
  map.done();
  if (settings.tolerance <= 0) {
    if (map.has("tolerance")) node.problem("tolerance must be more than 0; write tolerance: 2s");
    return nullptr;
  }
  return std::make_unique<Late>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
