#include "ext/steps/alarm/alarm.h"

#include "base/quantity.h"
#include "ingest/device_table.h"
#include "ingest/expr.h"
#include "ingest/notify.h"
#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"

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

  bool same_conditions(const Settings& other) const {
    return raise.text() == other.raise.text() && clear.has_value() == other.clear.has_value() &&
           (!clear || clear->text() == other.clear->text());
  }
};

// One device. A condition "holds" from the first sample that met it until one that does not.
struct Watch {
  bool raised = false;
  bool holding = false;
  WallMicros since = 0;
  ingest::SeriesClock clock;  // while something is holding
  // The newest sample while something is holding: a hold that ends in silence is told with it.
  Sample latest;
};

class Alarm : public ingest::Step {
 public:
  Alarm(Settings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override {
    take_up();
    Watch& watch = devices_.at(sample.device, [this](auto& oldest) { forget(oldest); });
    const Condition& condition = watch.raised && settings_.clear ? *settings_.clear : settings_.raise;
    if (!condition.when.concerns(sample)) return out.emit(std::move(sample));
    bool met = condition.when.test(sample);
    if (watch.raised) {
      // A value that is missing or no number clears nothing, and neither does one for which it would be raised again.
      auto stands = settings_.raise.when.certain(sample);
      met = settings_.clear ? met && stands != true : stands == false;
    }
    if (!met) {
      watch.holding = false;
    } else {
      if (!watch.holding) {
        watch.holding = true;
        watch.since = sample.event_time;
        watch.clock = ingest::SeriesClock();
      }
      watch.clock.note(sample, time_);
      if (sample.event_time - watch.since >= hold(watch)) {
        // Another alarm was decided by the same sample: each travels with one of its own.
        if (sample.alarm) {
          Sample other = sample;
          other.forget_name();
          out.emit(std::move(other));
        }
        decide(watch, sample, sample.event_time);
      } else {
        watch.latest = sample;
        // It goes its way by itself; what a hold makes of it later is no part of it.
        watch.latest.receipt = nullptr;
        watch.latest.alarm = nullptr;
        watch.latest.forget_name();
      }
    }
    out.emit(std::move(sample));
  }

  // No news is no change: a hold that began goes on while the device is silent.
  void tick(WallMicros now, ingest::Output& out) override {
    time_.tick(now);
    for (auto& entry : devices_.entries()) {
      Watch& watch = entry.state;
      if (!watch.holding) continue;
      WallMicros due = watch.since + hold(watch);
      if (watch.clock.at(time_, 0) < due) continue;
      // It keeps the time at which it was measured: silence makes no data fresh.
      Sample sample = std::move(watch.latest);
      watch.latest = {};
      decide(watch, sample, due);
      out.emit(std::move(sample));
    }
  }

  // Raised alarms stay raised; holds go on where the conditions are the same.
  void adopt(Step& before) override {
    auto* alarm = dynamic_cast<Alarm*>(&before);
    if (alarm == nullptr || alarm->settings_.name != settings_.name) return;
    devices_ = std::exchange(alarm->devices_, ingest::DeviceTable<Watch>());
    time_ = alarm->time_;
    taken_up_ = std::exchange(alarm->taken_up_, true);
    if (settings_.same_conditions(alarm->settings_)) return;
    for (auto& entry : devices_.entries()) entry.state.holding = false;
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    plan.memory_bytes_max = ingest::kDevicesPerStepMax * (sizeof(Watch) + 128 + ingest::held_bytes(in));
    (void)settings_.raise.when.gives(in, plan);
    if (settings_.clear) (void)settings_.clear->when.gives(in, plan);
    return plan;
  }

 private:
  // What was raised before a restart still is.
  void take_up() {
    if (std::exchange(taken_up_, true) || !context_.raised) return;
    for (const ingest::AlarmChange& change : context_.raised(settings_.name)) devices_.at(change.device).raised = true;
  }

  WallMicros hold(const Watch& watch) const {
    if (!watch.raised) return micros(settings_.raise.hold);
    return settings_.clear ? micros(settings_.clear->hold) : 0;
  }

  void decide(Watch& watch, Sample& sample, WallMicros at) {
    watch.raised = !watch.raised;
    watch.holding = false;
    watch.latest = {};
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
    change->grounds = std::make_shared<const Sample>(condition.when.grounds(sample));
    sample.alarm = std::move(change);
    sample.priority = ingest::Priority::alarm;
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
  ingest::TickTime time_;
  bool taken_up_ = false;
};

std::vector<std::string> read_targets(config::Map& map, const ingest::StepContext& context) {
  std::vector<std::string> targets = map.texts("notify");
  if (context.shared == nullptr || context.shared->notify == nullptr) return targets;
  std::vector<std::string> known = context.shared->notify->targets();
  for (const std::string& target : targets) {
    if (std::find(known.begin(), known.end(), target) != known.end()) continue;
    auto hint = base::closest(target, known);
    map.get("notify").problem(
        hint ? fmt::format("there is no '{}' under `alarms: notify:`; did you mean '{}'?", target, *hint)
             : fmt::format("there is no '{}' under `alarms: notify:`; declare it there", target));
  }
  return targets;
}

ingest::AlarmRules read_rules(config::Map& map, const ingest::StepContext& context) {
  ingest::AlarmRules rules;
  rules.acknowledge = map.boolean("acknowledge", false);
  rules.notify = read_targets(map, context);
  if (config::Node node = map.get("escalate"); node.present()) {
    config::Map escalate = node.map();
    if (escalate.required("after").present()) rules.escalate_after = escalate.duration("after", {});
    rules.escalate_severity = escalate.choice("severity", {"", "info", "warning", "critical"}, "");
    rules.escalate_notify = read_targets(escalate, context);
    escalate.done();
    if (rules.escalate_after == base::Duration::zero() && escalate.has("after"))
      node.problem("`after` is the time that somebody has for acknowledging it, such as 10m");
  }
  return rules;
}

}  // namespace

std::unique_ptr<ingest::Step> make_alarm(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  std::string name = map.required_text("name");
  std::string severity = map.choice("severity", {"info", "warning", "critical"}, "warning");
  config::Node raise_node = map.required("raise");
  auto raise = raise_node.present() ? Condition::compile(raise_node) : std::nullopt;
  config::Node clear_node = map.get("clear");
  auto clear = clear_node.present() ? Condition::compile(clear_node) : std::nullopt;
  ingest::AlarmRules rules = read_rules(map, context);
  map.done();
  if (!raise || name.empty() || (clear_node.present() && !clear)) return nullptr;
  if (name == ingest::kFloodAlarm || name.size() > 128) {
    map.get("name").problem(name.size() > 128
                                ? "a name has at most 128 bytes"
                                : "'flood' is the alarm that stands for too many others; name it otherwise");
    return nullptr;
  }
  if (context.alarms && !context.alarms->try_emplace(name, std::move(rules)).second) {
    map.get("name").problem(fmt::format("this pipeline has an alarm '{}' already; each has a name of its own", name));
    return nullptr;
  }
  return std::make_unique<Alarm>(Settings{name, severity, std::move(*raise), std::move(clear)}, context);
}

}  // namespace penstock::ext::steps
