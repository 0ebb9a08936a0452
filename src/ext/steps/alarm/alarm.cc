#include "ext/steps/alarm/alarm.h"

#include "base/quantity.h"
#include "ingest/device_table.h"
#include "ingest/expr.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Condition;
using ingest::Sample;

WallMicros micros(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

struct Settings {
  std::string name;
  std::string severity;
  Condition raise;
  std::optional<Condition> clear;  // absent: cleared as soon as `raise` no longer holds
};

// One device. A condition "holds" from the first sample that met it until one that does not.
struct Watch {
  bool raised = false;
  bool holding = false;
  WallMicros since = 0;
  // The newest sample while something is holding: a hold that ends in silence is told with it.
  Sample latest;
};

class Alarm : public ingest::Step {
 public:
  Alarm(Settings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    Watch& watch = devices_.at(sample.device, [this](auto& oldest) { forget(oldest); });
    const Condition& condition = watch.raised && settings_.clear ? *settings_.clear : settings_.raise;
    if (!condition.when.concerns(sample)) return out.emit(std::move(sample));
    bool met = condition.when.test(sample);
    if (watch.raised && !settings_.clear) met = !met;
    if (!met) {
      watch.holding = false;
    } else {
      if (!watch.holding) {
        watch.holding = true;
        watch.since = sample.event_time;
      }
      if (sample.event_time - watch.since >= hold(watch)) {
        decide(watch, sample, sample.event_time);
      } else {
        watch.latest = sample;
      }
    }
    out.emit(std::move(sample));
  }

  // No news is no change: a hold that began goes on while the device is silent. The device's own clock is carried
  // forward by the time that passed here.
  void tick(WallMicros now, ingest::Output& out) override {
    for (auto& entry : devices_.entries()) {
      Watch& watch = entry.state;
      if (!watch.holding) continue;
      WallMicros device_now = now - watch.latest.ingest_time + watch.latest.event_time;
      WallMicros due = watch.since + hold(watch);
      if (device_now < due) continue;
      Sample sample = std::move(watch.latest);
      watch.latest = {};
      decide(watch, sample, due);
      sample.event_time = due;
      out.emit(std::move(sample));
    }
  }

 private:
  WallMicros hold(const Watch& watch) const {
    if (!watch.raised) return micros(settings_.raise.hold);
    return settings_.clear ? micros(settings_.clear->hold) : 0;
  }

  void decide(Watch& watch, Sample& sample, WallMicros at) {
    watch.raised = !watch.raised;
    watch.holding = false;
    auto change = std::make_shared<ingest::AlarmChange>();
    change->pipeline = context_.pipeline;
    change->name = settings_.name;
    change->device = sample.device;
    change->raised = watch.raised;
    change->at = at;
    change->severity = settings_.severity;
    const Condition& condition = !watch.raised && settings_.clear ? *settings_.clear : settings_.raise;
    std::string_view no_longer = !watch.raised && !settings_.clear ? "no longer " : "";
    change->why = fmt::format("{}{}; {}", no_longer, condition.text(), condition.when.explain(sample));
    context_.tell(*change);
    sample.alarm = std::move(change);
  }

  // There are more devices than can be watched: what this one had raised cannot be cleared later.
  void forget(ingest::DeviceTable<Watch>::Entry& oldest) {
    if (!oldest.state.raised) return;
    ingest::AlarmChange change;
    change.pipeline = context_.pipeline;
    change.name = settings_.name;
    change.device = oldest.device;
    change.severity = settings_.severity;
    change.why = fmt::format("more than {} devices: the one silent for longest is no longer watched",
                             ingest::kDevicesPerStepMax);
    if (context_.shared != nullptr && context_.shared->clock != nullptr) change.at = context_.shared->clock->wall();
    context_.tell(change);
  }

  Settings settings_;
  ingest::StepContext context_;
  ingest::DeviceTable<Watch> devices_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_alarm(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  std::string name = map.required_text("name");
  std::string severity = map.choice("severity", {"info", "warning", "critical"}, "warning");
  config::Node raise_node = map.required("raise");
  auto raise = raise_node.present() ? Condition::compile(raise_node) : std::nullopt;
  config::Node clear_node = map.get("clear");
  auto clear = clear_node.present() ? Condition::compile(clear_node) : std::nullopt;
  map.done();
  if (!raise || name.empty() || (clear_node.present() && !clear)) return nullptr;
  return std::make_unique<Alarm>(Settings{name, severity, std::move(*raise), std::move(clear)}, context);
}

}  // namespace penstock::ext::steps
