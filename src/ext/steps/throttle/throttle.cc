#include "ext/steps/throttle/throttle.h"

#include "ingest/device_table.h"
#include "ingest/field_access.h"
#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;

struct Gate {
  WallMicros next = 0;  // event time from which a sample may pass
  ingest::SeriesClock clock;
  std::optional<Sample> newest;  // `keep: last`: held back, goes when its time comes
};

// At most one sample per device in `every`, by event time. Alarms pass always.
class Throttle : public ingest::Step {
 public:
  Throttle(WallMicros every, bool keep_last, ingest::StepContext context)
      : every_(every), keep_last_(keep_last), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    if (sample.alarm) return out.emit(std::move(sample));
    Gate& gate = devices_.at(sample.device, [&](auto& oldest) { let_go(oldest.state, out); });
    const bool set_back = sample.event_time < gate.next - every_;
    if (set_back) gate.clock = ingest::SeriesClock();
    gate.clock.note(sample, time_);
    // A clock that was set back begins anew.
    if (sample.event_time >= gate.next || set_back) {
      gate.next = sample.event_time + every_;
      if (gate.newest) context_.drop();
      gate.newest.reset();
      return out.emit(std::move(sample));
    }
    if (!keep_last_) return context_.drop();
    if (gate.newest) context_.drop();
    gate.newest = std::move(sample);
  }

  void tick(WallMicros now, ingest::Output& out) override {
    if (!keep_last_) return;
    time_.tick(now);
    for (auto& entry : devices_.entries()) {
      Gate& gate = entry.state;
      if (!gate.newest || gate.clock.at(time_, 0) < gate.next) continue;
      gate.next += every_;
      let_go(gate, out);
    }
  }

  void flush(ingest::Output& out) override {
    for (auto& entry : devices_.entries()) let_go(entry.state, out);
  }

  void adopt(Step& before) override {
    auto* other = dynamic_cast<Throttle*>(&before);
    if (other == nullptr || other->keep_last_ != keep_last_) return;
    devices_ = std::move(other->devices_);
    time_ = other->time_;
    for (auto& entry : devices_.entries()) entry.state.next += every_ - other->every_;
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    const std::uint64_t bytes = sizeof(Gate) + 256 + (keep_last_ ? ingest::held_bytes(in) : 0);
    ingest::StepPlan plan{.out = in, .memory_bytes_max = ingest::kDevicesPerStepMax * bytes, .problems = {}};
    return plan;
  }

 private:
  static void let_go(Gate& gate, ingest::Output& out) {
    if (!gate.newest) return;
    Sample sample = std::move(*gate.newest);
    gate.newest.reset();
    out.emit(std::move(sample));
  }

  WallMicros every_;
  bool keep_last_;
  ingest::StepContext context_;
  ingest::DeviceTable<Gate> devices_;
  ingest::TickTime time_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_throttle(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  const bool has_every = map.has("every");
  const bool has_rate = map.has("rate");
  WallMicros every = 0;
  if (has_every == has_rate) {
    node.problem("says how often with one of: every: 1s, or rate: 10/s");
  } else if (has_every) {
    every = std::chrono::duration_cast<std::chrono::microseconds>(map.duration("every", {})).count();
    if (every <= 0) map.get("every").problem("must be more than nothing");
  } else {
    const double rate = map.rate("rate", 0);
    if (!(rate > 0)) map.get("rate").problem("must be more than nothing");
    every = rate > 0 ? static_cast<WallMicros>(1e6 / rate) : 0;
  }
  const std::string keep = map.choice("keep", {"first", "last"}, "first");
  map.done();
  if (every <= 0) return nullptr;
  return std::make_unique<Throttle>(every, keep == "last", context);
}

}  // namespace penstock::ext::steps
