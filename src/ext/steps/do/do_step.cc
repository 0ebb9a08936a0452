#include "ext/steps/do/do_step.h"

#include <set>

#include "base/quantity.h"
#include "base/secret.h"
#include "ext/steps/do/do_settings.h"
#include "ext/steps/do/read_back.h"
#include "ingest/action_board.h"
#include "ingest/device_table.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::ActionEvent;
using ingest::AlarmChange;
using ingest::Sample;

// Attempts under way at once, over all devices.
constexpr std::size_t kUnderWayMax = 64;

WallMicros micros(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// How old the data is that an action is decided from.
struct Age {
  WallMicros measured = 0;
  WallMicros received = 0;
};

// One attempt under way.
struct Run {
  Cause cause;
  std::string actor;
  std::string trigger;
  std::optional<Age> data;                        // none: somebody forced it
  std::vector<std::shared_ptr<Deed>> deeds = {};  // of the step that began it: a reload does not change what is made
  ingest::ReceiptPtr receipt = {};                // until the intent is on disk
  std::size_t at = 0;                             // of the deeds
  base::SteadyTime give_up{};                     // for the deed under way; none while the intent is being written down
  std::vector<std::string> confirmed = {};
};

// The deed at which it ended, and those before it.
std::string not_made(const Run& run, const std::string& why) {
  std::string out = fmt::format("{}: {}", run.deeds[run.at]->text(), why);
  if (!run.confirmed.empty()) out += fmt::format("; before it: {}", fmt::join(run.confirmed, ", "));
  return out;
}

class DoStep;

// What answers find: the step, wherever a reload has put it, or nobody.
class Door : public ingest::ActionHandle, public std::enable_shared_from_this<Door> {
 public:
  Door(DoStep* step, rt::Loop* loop) : step_(step), loop_(loop) {}
  void force(std::string device, std::string actor, std::string why) override;
  // Runs `what` on the loop with the step behind the door.
  void pass(std::function<void(DoStep&)> what) {
    loop_->post([weak = weak_from_this(), what = std::move(what)] {
      auto self = weak.lock();
      if (!self) return;
      std::lock_guard lock(self->mutex_);
      if (self->step_ != nullptr) what(*self->step_);
    });
  }
  void lead_to(DoStep* step) {
    std::lock_guard lock(mutex_);
    step_ = step;
  }

 private:
  std::mutex mutex_;  // held while the step is called: it cannot end meanwhile
  DoStep* step_;
  rt::Loop* const loop_;
};

class DoStep : public ingest::Step {
 public:
  DoStep(DoSettings settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {
    began_at_ = clock().wall();
    if (context_.loop != nullptr) door_ = std::make_shared<Door>(this, context_.loop);
  }
  ~DoStep() override {
    if (!door_) return;
    // The record stays as it is: if the gateway begins again with this action, it says that nobody knows.
    for (const auto& [id, run] : runs_)
      tell(run.cause, "unknown", run.actor, "the pipeline ended while it was made: it may have been made or not");
    if (board() != nullptr && taken_up_) board()->leave(context_.pipeline, settings_.name, door_.get());
    door_->lead_to(nullptr);
  }

  void push(Sample sample, ingest::Output& out) override {
    take_up(sample.alarm.get());
    if (sample.alarm) {
      for (const Trigger& trigger : settings_.on) {
        if (trigger.alarm != sample.alarm->name) continue;
        if (trigger.raised == sample.alarm->raised) {
          consider(sample, trigger);
        } else {
          pass(sample, trigger);
        }
      }
    }
    out.emit(std::move(sample));
  }

  void tick(WallMicros, ingest::Output&) override {
    take_up();
    take_over();
    base::SteadyTime now = clock().steady();
    look(now);
    std::vector<std::string> late;
    for (const auto& [id, run] : runs_) {
      if (run.give_up != base::SteadyTime() && now >= run.give_up) late.push_back(id);
    }
    for (const std::string& id : late) {
      answered(
          id, runs_.at(id).at,
          fail(Errc::data_loss, fmt::format("no answer within {}", base::format_duration(settings_.confirm_within))));
    }
  }

  bool busy() const override { return !runs_.empty(); }

  // Attempts under way go on, and what was made stays known. The one before is called once more before it ends: it
  // takes up nothing then.
  void adopt(Step& before) override {
    auto* step = dynamic_cast<DoStep*>(&before);
    if (step == nullptr || step->settings_.name != settings_.name || !std::exchange(step->taken_up_, true)) return;
    records_ = std::move(step->records_);
    runs_ = std::move(step->runs_);
    elsewhere_ = std::move(step->elsewhere_);
    read_back_ = std::exchange(step->read_back_, {});
    turned_ = std::move(step->turned_);
    began_at_ = step->began_at_;
    std::swap(door_, step->door_);
    step->runs_.clear();
    step->records_.clear();
    if (door_) door_->lead_to(this);
    if (step->door_) step->door_->lead_to(step);
    taken_up_ = true;
    enter();
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    plan.memory_bytes_max =
        ingest::kDevicesPerStepMax * (sizeof(RunRecord) + 256 + settings_.most * 8 + ReadBack::bytes_per_look() +
                                      2 * settings_.deeds.size() * sizeof(Wanted)) +
        kUnderWayMax * (sizeof(Run) + 1024);
    if (settings_.only_if) (void)settings_.only_if->gives(in, plan);
    return plan;
  }

  // --- on the loop, through the door ---
  void noted(const std::string& id, const Result<void>& kept);
  void answered(const std::string& id, std::size_t deed, Result<std::string> result);
  void force(const std::string& device, const std::string& actor, const std::string& why);
  void looked(std::uint64_t question, const Result<ingest::Value>& read);

 private:
  const base::Clock& clock() const {
    bool given = context_.shared != nullptr && context_.shared->clock != nullptr;
    return given ? *context_.shared->clock : base::system_clock();
  }
  ingest::StatePort* state() const { return context_.shared == nullptr ? nullptr : context_.shared->state; }
  ingest::ActionBoard* board() const { return context_.shared == nullptr ? nullptr : context_.shared->actions; }
  std::string prefix() const { return fmt::format("{}/do/{}\n", context_.pipeline, settings_.name); }

  void enter();
  Cause cause_of(std::string id, const std::string& device, std::string alarm = {}, std::string why = {}) const;
  Cause cause_of(const RunRecord& record) const { return cause_of(record.id, record.device, record.trigger); }
  void take_up(const AlarmChange* coming = nullptr);
  void take_over();
  void look_for_missed(const AlarmChange* coming);
  void look_for_turned(const AlarmChange* coming);
  void consider(const Sample& sample, const Trigger& trigger);
  void pass(const Sample& sample, const Trigger& trigger);
  std::string refusal(const Sample& sample, const RunRecord& record);
  bool considered(const RunRecord& record, WallMicros alarm_at) const;
  std::string comes_again(const RunRecord& record, const Sample& sample) const;
  std::string held() const;
  std::string too_old(const Age& data) const;
  std::string interlock(const Sample& sample) const;
  // No clock that is right gave a time beyond this one.
  WallMicros horizon() const { return clock().wall() + micros(settings_.max_age); }
  bool under_way(const std::string& device) const;
  bool too_often(WallMicros now);
  void begin(Run run, RunRecord record);
  void act(const std::string& id);
  void look(base::SteadyTime now);
  void look_no_more(const std::string& device);
  void look_for(RunRecord& record, Doubt doubt);
  void finish(const std::string& id, const std::string& outcome, const std::string& why);
  void tell(const Cause& cause, const std::string& what, const std::string& actor, const std::string& why);
  void set_failure(const std::string& device, bool raised, const std::string& why);
  void keep(RunRecord record, ingest::StatePort::Kept kept = {});
  void forget_but(const std::string& key);
  RunRecord record_of(const std::string& trigger, const std::string& device) const;
  static std::string key_of(const RunRecord& record) { return record.trigger + "\n" + record.device; }

  DoSettings settings_;
  ingest::StepContext context_;
  std::shared_ptr<Door> door_;                // null where there is no loop
  std::map<std::string, RunRecord> records_;  // by reason and device
  std::map<std::string, Run> runs_;           // by id
  std::set<std::string> elsewhere_;           // keys of records whose attempt another step finishes
  ReadBack read_back_;                        // of the records with a doubt that are not begun
  // Records whose alarm changed the other way before we ended, and it is not known when (look_for_turned).
  std::set<std::string> turned_;
  WallMicros began_at_ = 0;  // before anything came to us
  bool taken_up_ = false;
};

void Door::force(std::string device, std::string actor, std::string why) {
  pass([device = std::move(device), actor = std::move(actor), why = std::move(why)](DoStep& step) {
    step.force(device, actor, why);
  });
}

// --- what is remembered ----------------------------------------------------------------------------------------------

void DoStep::enter() {
  for (const auto& deed : settings_.deeds) {
    if (context_.shared != nullptr) deed->prepare(*context_.shared);
  }
  if (board() == nullptr || !door_) return;
  ingest::ActionStatus status;
  status.pipeline = context_.pipeline;
  status.name = settings_.name;
  status.on = settings_.on_text();
  status.action = settings_.action_text();
  status.dry_run = settings_.dry_run;
  board()->enter(status, door_);
}

// What was begun before a restart and not finished may or may not have been made: it is told, and never repeated.
void DoStep::take_up(const AlarmChange* coming) {
  if (std::exchange(taken_up_, true)) return;
  enter();
  if (state() == nullptr) return;
  for (const auto& [key, text] : state()->entries(prefix())) {
    auto read = run_record_from(text);
    if (!read) {
      context_.error(fmt::format("do {}: {}", settings_.name, read.error().detail));
      continue;
    }
    records_.insert_or_assign(key_of(*read), *read);
    if (!read->unfinished()) read_back_.begin(read->id, read->doubt, settings_.confirm_within, clock().steady());
    if (!read->unfinished()) continue;
    // A step that a reload took out of the pipeline is still at it, and says what became of it.
    if (board() != nullptr && board()->under_way(read->id)) {
      elsewhere_.insert(key_of(*read));
      continue;
    }
    RunRecord record = *read;
    record.stage = "unknown";
    std::string why = fmt::format("the gateway stopped while it was made: {}", nobody_knows(record.doubt));
    tell(cause_of(record), "unknown", "", why);
    set_failure(record.device, true, why);
    look_for(record, record.doubt);
    keep(std::move(record));
  }
  look_for_turned(coming);
  look_for_missed(coming);
}

// What another step made is ours once that one has told how it ended.
void DoStep::take_over() {
  for (auto at = elsewhere_.begin(); at != elsewhere_.end();) {
    const auto found = records_.find(*at);
    if (found != records_.end() && board()->under_way(found->second.id)) {
      ++at;
      continue;
    }
    at = elsewhere_.erase(at);
    if (found == records_.end()) continue;
    RunRecord record = record_of(found->second.trigger, found->second.device);
    // It ended before it knew, and told that.
    if (record.unfinished()) {
      record.stage = "unknown";
      set_failure(record.device, true, nobody_knows(record.doubt));
    }
    look_for(record, record.doubt);
    keep(std::move(record));
  }
}

Cause DoStep::cause_of(std::string id, const std::string& device, std::string alarm, std::string why) const {
  return {.id = std::move(id),
          .pipeline = context_.pipeline,
          .action = settings_.name,
          .device = device,
          .alarm = std::move(alarm),
          .why = std::move(why),
          .at = clock().wall()};
}

// The board and our record of the same change may be in two commits, between which the gateway stopped: what the board
// knows, and the record does not, is that the alarm changed the other way since. When, nobody knows. `coming` is on the
// board already, and not yet considered.
void DoStep::look_for_turned(const AlarmChange* coming) {
  if (!context_.raised) return;
  for (const Trigger& trigger : settings_.on) {
    std::set<std::string> raised;
    for (const AlarmChange& change : context_.raised(trigger.alarm)) raised.insert(change.device);
    if (coming != nullptr && coming->name == trigger.alarm) {
      if (coming->raised) raised.erase(coming->device);
      if (!coming->raised) raised.insert(coming->device);
    }
    for (const auto& [key, record] : records_) {
      if (record.trigger == trigger.text() && record.newest > record.passed_at &&
          raised.contains(record.device) != trigger.raised)
        turned_.insert(key);
    }
  }
}

// An alarm that stands and was never considered: the gateway stopped between the two. `coming` is considered next.
void DoStep::look_for_missed(const AlarmChange* coming) {
  if (!context_.raised) return;
  for (const Trigger& trigger : settings_.on) {
    if (!trigger.raised) continue;
    for (const AlarmChange& change : context_.raised(trigger.alarm)) {
      RunRecord record = record_of(trigger.text(), change.device);
      bool next = coming != nullptr && coming->name == change.name && coming->device == change.device;
      if (next || considered(record, change.at)) continue;
      record.consider(change.at, horizon());
      record.stage = "missed";
      std::string why = fmt::format("the alarm {} stood already when this began to watch: not made", trigger.alarm);
      tell(cause_of("", change.device, trigger.alarm), "missed", "alarm " + trigger.alarm, why);
      keep(std::move(record));
      set_failure(change.device, true, why);
    }
  }
}

RunRecord DoStep::record_of(const std::string& trigger, const std::string& device) const {
  RunRecord fresh;
  fresh.device = device;
  fresh.trigger = trigger;
  auto found = records_.find(key_of(fresh));
  if (found == records_.end()) return fresh;
  // Of an attempt that another step finishes (take_up) the newest word is where that one puts it.
  if (found->second.unfinished() && !runs_.contains(found->second.id) && state() != nullptr) {
    auto kept = state()->get(prefix() + found->first);
    if (auto read = kept ? run_record_from(*kept) : Result<RunRecord>(found->second)) return *read;
  }
  return found->second;
}

void DoStep::keep(RunRecord record, ingest::StatePort::Kept kept) {
  std::string key = key_of(record);
  std::string text = to_text(record);
  records_.insert_or_assign(key, std::move(record));
  if (state() == nullptr) {
    if (kept) kept({});
    return;
  }
  if (records_.size() > ingest::kDevicesPerStepMax) forget_but(key);
  state()->put(prefix() + key, std::move(text), std::move(kept));
}

// The oldest of the others. One that was refused has no beginning, but the time of its alarm.
void DoStep::forget_but(const std::string& key) {
  const WallMicros now = clock().wall();
  const auto age = [&](const RunRecord& record) {
    return std::pair(record.unfinished(), std::max(record.began, std::min(record.newest, now)));
  };
  std::vector<std::map<std::string, RunRecord>::iterator> others;
  for (auto at = records_.begin(); at != records_.end(); ++at) {
    if (at->first != key) others.push_back(at);
  }
  const auto surplus = static_cast<std::ptrdiff_t>(records_.size() - ingest::kDevicesPerStepMax);
  std::nth_element(others.begin(), others.begin() + surplus, others.end(),
                   [&](const auto& a, const auto& b) { return age(a->second) < age(b->second); });
  for (auto at = others.begin(); at != others.begin() + surplus; ++at) {
    state()->erase(prefix() + (*at)->first);
    records_.erase(*at);
  }
}

// --- deciding --------------------------------------------------------------------------------------------------------

// Also by a step that a reload took out of the pipeline.
bool DoStep::under_way(const std::string& device) const {
  if (board() != nullptr && board()->under_way(context_.pipeline, settings_.name, device)) return true;
  return std::any_of(runs_.begin(), runs_.end(), [&](const auto& run) { return run.second.cause.device == device; });
}

bool DoStep::too_often(WallMicros now) {
  if (settings_.most == 0) return false;
  std::size_t count = 0;
  WallMicros since = now - micros(settings_.per);
  for (auto& [device, record] : records_) {
    // A clock that was set back does not give an action for free, and does not forbid it for ever either.
    for (WallMicros& start : record.starts) start = std::min(start, now);
    std::erase_if(record.starts, [&](WallMicros start) { return start <= since; });
    count += record.starts.size();
  }
  return count >= settings_.most;
}

// Empty when the action is to be made.
std::string DoStep::refusal(const Sample& sample, const RunRecord& record) {
  if (std::string again = comes_again(record, sample); !again.empty()) return again;
  if (std::string hold = held(); !hold.empty()) return hold;
  if (sample.quality != ingest::Quality::good)
    return fmt::format("the quality of the sample is {}", sample.quality == ingest::Quality::bad ? "bad" : "uncertain");
  if (std::string old = too_old({sample.event_time, sample.ingest_time}); !old.empty()) return old;
  if (std::string blocked = interlock(sample); !blocked.empty()) return blocked;
  if (under_way(sample.device)) return "an attempt for this device is under way";
  if (runs_.size() >= kUnderWayMax) return fmt::format("{} attempts are under way", kUnderWayMax);
  if (too_often(clock().wall()))
    return fmt::format("it was made {} times within {}", settings_.most, base::format_duration(settings_.per));
  return {};
}

bool DoStep::considered(const RunRecord& record, WallMicros alarm_at) const {
  return alarm_at == record.alarm_at || (alarm_at <= record.newest && record.newest <= horizon());
}

// A journal that is read again, or a peer that sends again, brings alarms that were decided before. Only one that is
// newer than all of them is a reason. A time that lies ahead was given by a clock that has been set back since.
std::string DoStep::comes_again(const RunRecord& record, const Sample& sample) const {
  const WallMicros alarm_at = sample.alarm->at;
  if (alarm_at == record.alarm_at) return fmt::format("for this alarm it is {} already", record.stage);
  if (considered(record, alarm_at))
    return fmt::format("an alarm as new as this one was considered before, that of {}",
                       base::to_rfc3339(record.newest));
  if (alarm_at < record.passed_at && record.passed_at <= horizon())
    return fmt::format("since this alarm it has changed already, at {}", base::to_rfc3339(record.passed_at));
  const bool turned = turned_.contains(key_of(record)) && began_at_ <= horizon();
  if (turned && (alarm_at <= began_at_ || sample.ingest_time <= began_at_))
    return fmt::format(
        "the alarm of {} changed, and the gateway stopped before it noted when: only one since {} is new",
        base::to_rfc3339(record.newest), base::to_rfc3339(began_at_));
  return {};
}

std::string DoStep::held() const {
  auto hold = board() == nullptr ? std::nullopt : board()->hold_of(context_.pipeline, settings_.name);
  return hold ? fmt::format("{} holds it{}{}", hold->by, hold->why.empty() ? "" : ": ", hold->why) : "";
}

// By the device's clock in either direction, since one that is ahead may send old samples, too; and by ours.
std::string DoStep::too_old(const Age& data) const {
  const WallMicros now = clock().wall();
  const WallMicros age = std::max(std::abs(now - data.measured), now - data.received);
  if (age <= micros(settings_.max_age)) return {};
  const bool ahead = data.measured > now && data.measured - now == age;
  return fmt::format("the sample is {} {} now, more than max_age {}",
                     base::format_duration(std::chrono::seconds(age / 1'000'000)), ahead ? "after" : "before",
                     base::format_duration(settings_.max_age));
}

std::string DoStep::interlock(const Sample& sample) const {
  if (!settings_.only_if) return {};
  auto met = settings_.only_if->certain(sample);
  if (met == true) return {};
  return fmt::format("only_if {}: {}; {}", met ? "is not met" : "cannot be told, a value is missing or no number",
                     settings_.only_if->text(), settings_.only_if->explain(sample));
}

// The alarm changed the other way: what was decided before that is no reason any more.
void DoStep::pass(const Sample& sample, const Trigger& trigger) {
  RunRecord record = record_of(trigger.text(), sample.device);
  const WallMicros at = sample.alarm->at;
  if (record.stage.empty() || at > horizon() || (at <= record.passed_at && record.passed_at <= horizon())) return;
  record.passed_at = at;
  if (record.passed_at >= record.newest) turned_.erase(key_of(record));
  keep(std::move(record));
}

void DoStep::consider(const Sample& sample, const Trigger& trigger) {
  const AlarmChange& alarm = *sample.alarm;
  Cause cause = cause_of(base::random_token(12), sample.device, alarm.name, alarm.why);
  cause.raised = alarm.raised;
  std::string actor = "alarm " + trigger.text();
  RunRecord record = record_of(trigger.text(), sample.device);
  if (std::string why = refusal(sample, record); !why.empty()) {
    tell(cause, "refused", actor, why);
    if (!comes_again(record, sample).empty() || record.unfinished()) return;
    record.consider(alarm.at, horizon());
    record.stage = "refused";
    return keep(std::move(record));
  }
  record.consider(alarm.at, horizon());
  begin({.cause = std::move(cause),
         .actor = std::move(actor),
         .trigger = record.trigger,
         .data = Age{sample.event_time, sample.ingest_time},
         .receipt = sample.receipt},
        record);
}

void DoStep::force(const std::string& device, const std::string& actor, const std::string& why) {
  take_up();
  Cause cause = cause_of(base::random_token(12), device, "", why);
  RunRecord record = record_of("forced", device);
  if (under_way(device)) return tell(cause, "refused", actor, "an attempt for this device is under way");
  begin({.cause = std::move(cause), .actor = actor, .trigger = record.trigger, .data = std::nullopt}, record);
}

// --- making ----------------------------------------------------------------------------------------------------------

void DoStep::begin(Run run, RunRecord record) {
  const Cause& cause = run.cause;
  run.deeds = settings_.deeds;
  bool possible = context_.loop != nullptr && context_.shared != nullptr &&
                  std::all_of(run.deeds.begin(), run.deeds.end(),
                              [&](const auto& deed) { return deed->possible(*context_.shared); });
  record.began = cause.at;
  record.starts.push_back(cause.at);
  if (record.starts.size() > kDoStartsMax) record.starts.erase(record.starts.begin());
  if (settings_.dry_run || !possible) {  // what is known of the last one that was made stays
    record.stage = "dry_run";
    keep(std::move(record));
    return tell(cause, "dry_run", run.actor, cause.why);
  }
  look_no_more(cause.device);
  record.id = cause.id;
  record.stage = "begun";
  record.doubt = doubt_of(run.deeds);
  std::string id = cause.id;
  tell(cause, "begun", run.actor, cause.why);
  runs_.emplace(id, std::move(run));
  // The order that makes it safe: written down, then made. In this order a crash leaves a record of every attempt. A
  // reload may put another step in this one's place meanwhile.
  keep(std::move(record), [door = door_, id](Result<void> kept) {
    door->pass([id, kept = std::move(kept)](DoStep& step) { step.noted(id, kept); });
  });
}

void DoStep::noted(const std::string& id, const Result<void>& kept) {
  auto found = runs_.find(id);
  if (found == runs_.end()) return;
  found->second.receipt = nullptr;
  if (kept) return act(id);
  finish(id, "failed", fmt::format("not made, because it could not be written down before: {}", kept.error().detail));
}

// Looks once more before each deed: the disk, or the deed before it, may have taken its time.
void DoStep::act(const std::string& id) {
  Run& run = runs_.at(id);
  std::size_t at = run.at;
  std::shared_ptr<Deed> deed = run.deeds[at];
  if (run.data) {
    std::string why = held();
    bool by_hand = !why.empty();
    if (!by_hand) why = too_old(*run.data);
    if (!why.empty())
      return finish(id, by_hand && at == 0 ? "refused" : "failed", not_made(run, fmt::format("not made: {}", why)));
  }
  run.give_up = clock().steady() + settings_.confirm_within + kPortGrace;
  deed->make(*context_.loop, *context_.shared, run.cause, [door = door_, id, at, deed](Result<std::string> result) {
    door->pass([id, at, result = std::move(result)](DoStep& step) { step.answered(id, at, result); });
  });
}

void DoStep::answered(const std::string& id, std::size_t deed, Result<std::string> result) {
  auto found = runs_.find(id);
  if (found == runs_.end() || found->second.at != deed) return;
  Run& run = found->second;
  if (!result) {
    const bool unknown = result.error().code == Errc::data_loss;
    std::string why = result.error().detail;
    if (unknown) why += "; " + nobody_knows(doubt_at(run.deeds, run.at));
    return finish(id, unknown ? "unknown" : "failed", not_made(run, why));
  }
  run.confirmed.push_back(std::move(*result));
  if (++run.at < run.deeds.size()) return act(id);
  finish(id, "confirmed", fmt::format("{}", fmt::join(run.confirmed, ", ")));
}

void DoStep::finish(const std::string& id, const std::string& outcome, const std::string& why) {
  auto run = runs_.extract(id);
  const Cause& cause = run.mapped().cause;
  // Told before it is kept: the history misses nothing.
  tell(cause, outcome, run.mapped().actor, why);
  RunRecord record = record_of(run.mapped().trigger, cause.device);
  if (record.id == id) {
    record.stage = outcome;
    // Nothing was handed to anybody: it does not count for `at_most`.
    const bool begun = run.mapped().at > 0 || run.mapped().give_up != base::SteadyTime();
    if (!begun && !record.starts.empty()) record.starts.pop_back();
    look_for(record, outcome == "unknown" ? doubt_at(run.mapped().deeds, run.mapped().at) : Doubt());
    keep(std::move(record));
  }
  if (outcome == "refused") return;
  set_failure(cause.device, outcome != "confirmed", why);
  if (outcome != "confirmed") context_.error(fmt::format("do {}: {}", settings_.name, why));
}

// --- looking at the machine ------------------------------------------------------------------------------------------

// Of one that is not under way any more.
void DoStep::look_for(RunRecord& record, Doubt doubt) {
  record.doubt = std::move(doubt);
  read_back_.begin(record.id, record.doubt, settings_.confirm_within, clock().steady());
}

// The next attempt for the device is about to set what would be read.
void DoStep::look_no_more(const std::string& device) {
  take_over();
  std::vector<RunRecord> left;
  for (const auto& [key, record] : records_) {
    if (record.device == device && !record.unfinished() && !record.doubt.points.empty()) left.push_back(record);
  }
  for (RunRecord& record : left) {
    read_back_.drop(record.id);
    record.doubt = {};
    tell(cause_of(record), "unknown", "", "another attempt begins before it could be read back");
    keep(std::move(record));
  }
}

void DoStep::look(base::SteadyTime now) {
  if (auto late = read_back_.overdue(now)) looked(*late, fail(Errc::deadline_exceeded, "no answer"));
  if (context_.loop == nullptr || context_.shared == nullptr || context_.shared->writes == nullptr) return;
  auto question = read_back_.next(now);
  if (!question) return;
  context_.shared->writes->read(
      *context_.loop, std::move(question->read), [door = door_, number = question->number](Result<ingest::Value> read) {
        door->pass([number, read = std::move(read)](DoStep& step) { step.looked(number, read); });
      });
}

// Says what became of the attempt. It counts for `at_most` as it did: what reads differently now may have been made,
// and changed since.
void DoStep::looked(std::uint64_t question, const Result<ingest::Value>& read) {
  auto finding = read_back_.answered(question, read, clock().steady());
  if (!finding) return;
  auto found = std::find_if(records_.begin(), records_.end(),
                            [&](const auto& record) { return record.second.id == finding->id; });
  if (found == records_.end()) return;
  RunRecord record = found->second;
  if (record.stage == "unknown") record.stage = finding->outcome;
  record.doubt = {};
  tell(cause_of(record), finding->outcome, "", finding->why);
  const std::string device = record.device;
  keep(std::move(record));
  set_failure(device, finding->outcome != "confirmed", finding->why);
  if (finding->outcome != "confirmed") context_.error(fmt::format("do {}: {}", settings_.name, finding->why));
}

void DoStep::tell(const Cause& cause, const std::string& what, const std::string& actor, const std::string& why) {
  if (board() == nullptr) return;
  ActionEvent event;
  event.pipeline = context_.pipeline;
  event.name = settings_.name;
  event.device = cause.device;
  event.id = cause.id;
  event.what = what;
  event.action = settings_.action_text();
  event.why = why;
  event.actor = actor;
  event.at = clock().wall();
  board()->note(event);
}

void DoStep::set_failure(const std::string& device, bool raised, const std::string& why) {
  if (!settings_.alarm_on_failure) return;
  std::vector<AlarmChange> standing =
      context_.raised ? context_.raised(settings_.failure()) : std::vector<AlarmChange>();
  bool stands = std::any_of(standing.begin(), standing.end(), [&](const auto& one) { return one.device == device; });
  if (!raised && !stands) return;
  AlarmChange change;
  change.pipeline = context_.pipeline;
  change.name = settings_.failure();
  change.device = device;
  change.raised = raised;
  change.at = clock().wall();
  change.why = raised ? fmt::format("{}: {}", settings_.action_text(), why) : why;
  change.severity = "critical";
  context_.tell(change);
}

}  // namespace

std::unique_ptr<ingest::Step> make_do(const config::Node& node, const ingest::StepContext& context) {
  auto settings = read_do(node, context);
  if (!settings) return nullptr;
  return std::make_unique<DoStep>(std::move(*settings), context);
}

}  // namespace penstock::ext::steps
