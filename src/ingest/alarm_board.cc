#include "ingest/alarm_board.h"

#include "base/quantity.h"
#include "base/secret.h"
#include "ingest/alarm_config.h"

namespace penstock::ingest {
namespace {

constexpr std::string_view kRecordPrefix = ".alarm/";
constexpr std::string_view kShelfPrefix = ".shelf/";

// No pipeline's name begins with a dot, and none holds a slash.
std::string key_of(std::string_view prefix, std::string_view pipeline, std::string_view name, std::string_view device) {
  return fmt::format("{}{}/{}\n{}", prefix, pipeline, name, device);
}

base::WallMicros micros(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// The wall clock is set by people and by the network; what it does within a tick beyond this is no passing of time.
constexpr base::WallMicros kJumpLeast = 2'000'000;

constexpr int kCritical = 2;  // rank_of()

}  // namespace

void AlarmBoard::attach(StatePort* state, NotifyPort* notify, const base::Clock* clock) {
  state_ = state;
  notify_ = notify;
  clock_ = clock;
}

void AlarmBoard::set_flood(FloodLimit flood) {
  std::lock_guard lock(mutex_);
  flood_ = flood;
}

std::vector<std::string> AlarmBoard::restore() {
  std::vector<std::string> unreadable;
  if (state_ == nullptr) return unreadable;
  std::lock_guard lock(mutex_);
  for (const auto& [key, text] : state_->entries(std::string(kRecordPrefix))) {
    auto record = alarm_record_from(text);
    if (!record) {
      unreadable.push_back(record.error().detail);
      continue;
    }
    const AlarmChange& change = record->change;
    bool raised = record->raised();
    if (clock_ != nullptr) record->noted = std::min(record->noted, now());  // else the clock was ahead then
    if (records_.try_emplace(Key(change.pipeline, change.name, change.device), *record).second && raised) ++raised_;
  }
  for (const auto& [key, text] : state_->entries(std::string(kShelfPrefix))) {
    auto shelf = alarm_shelf_from(text);
    if (shelf) {
      shelves_.try_emplace(Key(shelf->pipeline, shelf->name, shelf->device), *shelf);
    } else {
      unreadable.push_back(shelf.error().detail);
    }
  }
  return unreadable;
}

// --- under the lock --------------------------------------------------------------------------------------------------

const AlarmRules& AlarmBoard::rules_of(const AlarmChange& change) const {
  static const AlarmRules kNone;
  auto pipeline = rules_.find(change.pipeline);
  if (pipeline == rules_.end()) return kNone;
  auto rules = pipeline->second.find(change.name);
  return rules == pipeline->second.end() ? kNone : rules->second;
}

const AlarmShelf* AlarmBoard::shelf_of(const AlarmChange& change) const {
  if (shelves_.empty()) return nullptr;
  for (const std::string& device : {change.device, std::string()}) {
    auto found = shelves_.find(Key(change.pipeline, change.name, device));
    if (found != shelves_.end() && found->second.until > now()) return &found->second;
  }
  return nullptr;
}

void AlarmBoard::keep(const AlarmRecord& record) {
  if (state_ == nullptr) return;
  const AlarmChange& change = record.change;
  state_->put(key_of(kRecordPrefix, change.pipeline, change.name, change.device), to_text(record));
}

void AlarmBoard::keep(const AlarmShelf& shelf) {
  if (state_ != nullptr) state_->put(key_of(kShelfPrefix, shelf.pipeline, shelf.name, shelf.device), to_text(shelf));
}

void AlarmBoard::forget(const AlarmChange& change) {
  if (state_ != nullptr) state_->erase(key_of(kRecordPrefix, change.pipeline, change.name, change.device));
}

void AlarmBoard::remember(const AlarmChange& change) {
  if (history_.size() >= kHistoryMax) history_.pop_front();
  history_.push_back(change);
}

void AlarmBoard::note(const AlarmChange& change, std::string what, Outbox& out, std::string actor, std::string why) {
  out.events.push_back({.change = change,
                        .what = std::move(what),
                        .at = now() == 0 ? change.at : now(),
                        .actor = std::move(actor),
                        .why = why.empty() ? change.why : std::move(why)});
}

void AlarmBoard::notify(const std::vector<std::string>& targets, std::string event, const AlarmChange& change,
                        Outbox& out) {
  if (notify_ == nullptr || targets.empty()) return;
  std::string id = base::hmac_sha256_hex(
      event, fmt::format("{}\n{}\n{}\n{}", change.pipeline, change.name, change.device, change.at));
  out.notices.emplace_back(targets,
                           Notice{.id = id.substr(0, 32), .event = std::move(event), .alarm = change, .at = now()});
}

void AlarmBoard::raise(const AlarmChange& change, Outbox& out) {
  ++raised_total_;
  remember(change);
  Key key(change.pipeline, change.name, change.device);
  auto found = records_.find(key);
  bool again = found != records_.end() && found->second.raised();
  bool quiet = flooded(change, out);
  AlarmRecord record{.change = change, .noted = now(), .suppressed = quiet};
  if (again) {  // the pipeline does not know that it stands: what people did about it stays
    record = found->second;
    record.change = change;
    if (record.escalated) record.change.severity = found->second.change.severity;
  }
  if (found != records_.end() || records_.size() < kActiveMax) {
    if (!again) ++raised_;
    records_.insert_or_assign(std::move(key), record);
    keep(record);
  }
  note(change, quiet ? "suppressed" : "raised", out);
  if (quiet) return;
  out.told.push_back(change);
  if (!again && shelf_of(change) == nullptr) notify(rules_of(change).notify, "raised", change, out);
}

void AlarmBoard::clear(const AlarmChange& cleared, Outbox& out) {
  auto found = records_.find(Key(cleared.pipeline, cleared.name, cleared.device));
  AlarmChange change = cleared;
  // Escalated: whoever was told of a critical alarm is told that it is over.
  if (found != records_.end()) change.severity = found->second.change.severity;
  remember(change);
  note(change, "cleared", out);
  bool quiet = false;
  if (found != records_.end() && found->second.raised()) {
    AlarmRecord& record = found->second;
    --raised_;
    quiet = record.suppressed && !record.escalated;
    bool shelved = shelf_of(change) != nullptr;
    const AlarmRules& rules = rules_of(change);
    std::vector<std::string> targets = rules.notify;
    if (record.escalated) targets.insert(targets.end(), rules.escalate_notify.begin(), rules.escalate_notify.end());
    if (!quiet && !shelved) notify(targets, "cleared", change, out);
    if (rules.acknowledge && record.state == AlarmRecord::State::unacknowledged) {
      record.state = AlarmRecord::State::returned;
      record.cleared = change.at;
      keep(record);
    } else {
      records_.erase(found);
      forget(change);
    }
  }
  if (!quiet) out.told.push_back(change);
}

// By the steady clock: a flood neither ends nor goes on because somebody set the time.
bool AlarmBoard::flooded(const AlarmChange& change, Outbox& out) {
  const int rank = rank_of(change.severity);
  if (clock_ == nullptr || flood_.most == 0 || change.name == kFloodAlarm || rank >= kCritical) return false;
  Flood& flood = floods_[change.pipeline];
  Flood::Level& level = flood.levels[static_cast<std::size_t>(rank)];
  const base::SteadyTime at = clock_->steady();
  std::erase_if(level.raises, [&](base::SteadyTime one) { return one + flood_.per <= at; });
  level.raises.push_back(at);
  if (level.raises.size() > flood_.most * 2 + 1) level.raises.pop_front();
  if (!level.standing && level.raises.size() <= flood_.most) return false;
  ++suppressed_total_;
  ++flood.quiet[fmt::format("{} ({})", change.name, change.severity)];
  const bool stood = flood.standing();
  level.standing = true;
  if (!stood) begin_flood(change.pipeline, flood, out);
  // Whoever is not told of this one is told of the flood.
  std::vector<std::string> unaware;
  for (const std::string& target : rules_of(change).notify) {
    if (flood.targets.insert(target).second) unaware.push_back(target);
  }
  if (!unaware.empty()) notify(unaware, "raised", flood_alarm(change.pipeline, flood, true), out);
  return true;
}

AlarmChange AlarmBoard::flood_alarm(const std::string& pipeline, const Flood& flood, bool raised) const {
  std::uint64_t count = 0;
  for (const auto& [alarm, of_it] : flood.quiet) count += of_it;
  std::size_t stand = 0;
  for (auto at = records_.lower_bound(Key(pipeline, "", "")); at != records_.end(); ++at) {
    if (std::get<0>(at->first) != pipeline) break;
    stand += at->second.suppressed && at->second.raised() ? 1 : 0;
  }
  std::vector<std::string> each;
  for (const auto& [alarm, of_it] : flood.quiet) each.push_back(fmt::format("{} {}", alarm, of_it));
  AlarmChange change{.pipeline = pipeline, .name = kFloodAlarm, .device = "", .raised = raised, .at = now(), .why = {}};
  change.why =
      raised
          ? fmt::format("more than {} alarms of one severity within {}", flood_.most, base::format_duration(flood_.per))
          : fmt::format("no more than {} alarms within {}", flood_.most / 2, base::format_duration(flood_.per));
  change.why += fmt::format("; {} are listed and were not told of each, {} of them stand: {}", count, stand,
                            fmt::join(each, ", "));
  return change;
}

void AlarmBoard::begin_flood(const std::string& pipeline, const Flood& flood, Outbox& out) {
  AlarmChange change = flood_alarm(pipeline, flood, true);
  remember(change);
  note(change, "raised", out);
  out.told.push_back(change);
  ++raised_total_;
  if (records_.insert_or_assign(Key(pipeline, kFloodAlarm, ""), AlarmRecord{.change = change, .noted = now()}).second)
    ++raised_;
}

void AlarmBoard::end_flood(const std::string& pipeline, const Flood& flood, Outbox& out) {
  AlarmChange change = flood_alarm(pipeline, flood, false);
  remember(change);
  note(change, "cleared", out);
  out.told.push_back(change);
  notify({flood.targets.begin(), flood.targets.end()}, "cleared", change, out);
  if (records_.erase(Key(pipeline, kFloodAlarm, "")) > 0) --raised_;
}

bool AlarmBoard::flood_stands(const std::string& pipeline) const {
  auto found = floods_.find(pipeline);
  return found != floods_.end() && found->second.standing();
}

void AlarmBoard::end_floods(Outbox& out) {
  if (clock_ == nullptr) return;
  const base::SteadyTime at = clock_->steady();
  for (auto& [pipeline, flood] : floods_) {
    if (!flood.standing()) continue;
    for (Flood::Level& level : flood.levels) {
      std::erase_if(level.raises, [&](base::SteadyTime one) { return one + flood_.per <= at; });
      if (level.raises.size() <= flood_.most / 2) level.standing = false;
    }
    if (!flood.standing()) {
      end_flood(pipeline, flood, out);
      flood = {};
    } else if (auto found = records_.find(Key(pipeline, kFloodAlarm, "")); found != records_.end()) {
      found->second.change.why = flood_alarm(pipeline, flood, true).why;  // what it stands for by now
    }
  }
}

void AlarmBoard::clear_where(const std::function<bool(const Key&)>& which, base::WallMicros at, const std::string& why,
                             Outbox& out) {
  std::vector<AlarmChange> gone;
  std::vector<AlarmChange> returned;
  for (const auto& [key, record] : records_) {
    if (!which(key)) continue;
    AlarmChange change = record.change;
    change.raised = false;
    change.at = at;
    change.why = why;
    (record.raised() ? gone : returned).push_back(std::move(change));
  }
  for (const AlarmChange& change : gone) {
    clear(change, out);
    returned.push_back(change);
  }
  // Nobody can be asked about what there is no more.
  for (const AlarmChange& change : returned) {
    if (records_.erase(Key(change.pipeline, change.name, change.device)) > 0) forget(change);
  }
}

// --- pipelines -------------------------------------------------------------------------------------------------------

void AlarmBoard::deliver(const Outbox& out) {
  if (noted_) {
    for (const AlarmEvent& event : out.events) noted_(event);
  }
  if (told_) {
    for (const AlarmChange& change : out.told) told_(change);
  }
  for (const auto& [targets, notice] : out.notices) notify_->tell(targets, notice);
}

void AlarmBoard::change(const AlarmChange& change) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  {
    std::lock_guard lock(mutex_);
    if (change.raised) {
      raise(change, out);
    } else {
      clear(change, out);
    }
  }
  deliver(out);
}

std::vector<AlarmChange> AlarmBoard::raised(const std::string& pipeline, const std::string& name) const {
  std::lock_guard lock(mutex_);
  std::vector<AlarmChange> found;
  for (auto at = records_.lower_bound(Key(pipeline, name, "")); at != records_.end(); ++at) {
    const auto& [of_pipeline, of_name, device] = at->first;
    if (of_pipeline != pipeline || of_name != name) break;
    if (at->second.raised()) found.push_back(at->second.change);
  }
  return found;
}

void AlarmBoard::declare(const std::string& pipeline, const AlarmTable& alarms, base::WallMicros at) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  {
    std::lock_guard lock(mutex_);
    rules_[pipeline] = alarms;
    auto undeclared = [&](const Key& key) {
      return std::get<0>(key) == pipeline && !alarms.contains(std::get<1>(key)) && std::get<1>(key) != kFloodAlarm;
    };
    clear_where(undeclared, at, "the pipeline has this alarm no more", out);
  }
  deliver(out);
}

void AlarmBoard::clear_pipeline(const std::string& pipeline, base::WallMicros at, const std::string& why) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  {
    std::lock_guard lock(mutex_);
    clear_where([&](const Key& key) { return std::get<0>(key) == pipeline; }, at, why, out);
    rules_.erase(pipeline);
    floods_.erase(pipeline);
  }
  deliver(out);
}

void AlarmBoard::clear_others(const std::set<std::string>& pipelines, base::WallMicros at, const std::string& why) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  {
    std::lock_guard lock(mutex_);
    clear_where([&](const Key& key) { return !pipelines.contains(std::get<0>(key)); }, at, why, out);
    std::erase_if(rules_, [&](const auto& one) { return !pipelines.contains(one.first); });
    std::erase_if(floods_, [&](const auto& one) { return !pipelines.contains(one.first); });
  }
  deliver(out);
}

// Times that were noted by a clock that has been set since move with it: otherwise what nobody acknowledged escalates
// at once, or never, and what is shelved for an hour stays so for a year. A shelf never gets longer that way.
void AlarmBoard::follow_clock() {
  if (clock_ == nullptr) return;
  const base::WallMicros wall = now();
  const base::SteadyTime steady = clock_->steady();
  const base::WallMicros jump = wall - ticked_wall_ - micros(steady - ticked_steady_);
  const bool jumped = ticked_wall_ != 0 && std::abs(jump) >= kJumpLeast;
  ticked_wall_ = wall;
  ticked_steady_ = steady;
  if (!jumped) return;
  for (auto& [key, record] : records_) {
    record.noted += jump;
    if (record.change.name != kFloodAlarm) keep(record);
  }
  if (jump > 0) return;
  for (auto& [key, shelf] : shelves_) {
    shelf.until += jump;
    keep(shelf);
  }
}

void AlarmBoard::end_shelves(Outbox& out, std::vector<AlarmShelf>& ended) {
  std::erase_if(shelves_, [&](const auto& one) {
    if (one.second.until > now()) return false;
    ended.push_back(one.second);
    return true;
  });
  for (const AlarmShelf& shelf : ended) {
    if (state_ != nullptr) state_->erase(key_of(kShelfPrefix, shelf.pipeline, shelf.name, shelf.device));
    note({.pipeline = shelf.pipeline, .name = shelf.name, .device = shelf.device, .why = {}}, "unshelved", out, "",
         "its time is over");
  }
}

void AlarmBoard::escalate(AlarmRecord& record, const AlarmRules& rules, Outbox& out) {
  const AlarmChange& change = record.change;
  record.escalated = true;
  if (!rules.escalate_severity.empty()) record.change.severity = rules.escalate_severity;
  keep(record);
  note(change, "escalated", out, "",
       fmt::format("nobody acknowledged it within {}", base::format_duration(rules.escalate_after)));
  notify(rules.escalate_notify.empty() ? rules.notify : rules.escalate_notify, "escalated", change, out);
}

void AlarmBoard::tick() {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  {
    std::lock_guard lock(mutex_);
    follow_clock();
    end_floods(out);
    std::vector<AlarmShelf> ended;
    end_shelves(out, ended);
    for (auto& [key, record] : records_) {
      const AlarmChange& change = record.change;
      if (record.state != AlarmRecord::State::unacknowledged || shelf_of(change) != nullptr) continue;
      const AlarmRules& rules = rules_of(change);
      const bool critical = rank_of(rules.escalate_severity) >= kCritical;
      if (record.suppressed && !critical && flood_stands(change.pipeline)) continue;
      bool off_the_shelf = std::any_of(ended.begin(), ended.end(), [&](const AlarmShelf& shelf) {
        return shelf.pipeline == change.pipeline && shelf.name == change.name &&
               (shelf.device.empty() || shelf.device == change.device);
      });
      if (off_the_shelf && !record.suppressed) notify(rules.notify, "raised", change, out);
      if (record.escalated || rules.escalate_after == base::Duration::zero() ||
          now() < record.noted + micros(rules.escalate_after))
        continue;
      escalate(record, rules, out);
    }
  }
  deliver(out);
}

}  // namespace penstock::ingest
