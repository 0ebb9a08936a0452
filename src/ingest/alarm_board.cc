#include "ingest/alarm_board.h"

namespace penstock::ingest {

void AlarmBoard::remember(const AlarmChange& change) {
  if (history_.size() >= kHistoryMax) history_.pop_front();
  history_.push_back(change);
}

void AlarmBoard::change(const AlarmChange& change) {
  {
    std::lock_guard lock(mutex_);
    Key key(change.pipeline, change.name, change.device);
    if (change.raised) {
      ++raised_total_;
      if (active_.size() < kActiveMax || active_.contains(key)) active_.insert_or_assign(std::move(key), change);
    } else {
      active_.erase(key);
    }
    remember(change);
  }
  if (told_) told_(change);
}

void AlarmBoard::clear_pipeline(const std::string& pipeline, base::WallMicros at, const std::string& why) {
  clear_those(pipeline, [](const std::string&) { return true; }, at, why);
}

void AlarmBoard::clear_alarms(const std::string& pipeline, const std::set<std::string>& names, base::WallMicros at,
                              const std::string& why) {
  clear_those(pipeline, [&](const std::string& name) { return names.contains(name); }, at, why);
}

void AlarmBoard::clear_those(const std::string& pipeline, const std::function<bool(const std::string& name)>& chosen,
                             base::WallMicros at, const std::string& why) {
  std::vector<AlarmChange> cleared;
  {
    std::lock_guard lock(mutex_);
    auto next = active_.lower_bound(Key(pipeline, "", ""));
    while (next != active_.end() && std::get<0>(next->first) == pipeline) {
      if (!chosen(std::get<1>(next->first))) {
        ++next;
        continue;
      }
      AlarmChange& change = cleared.emplace_back(next->second);
      change.raised = false;
      change.at = at;
      change.why = why;
      remember(change);
      next = active_.erase(next);
    }
  }
  for (const AlarmChange& change : cleared) {
    if (told_) told_(change);
  }
}

std::vector<AlarmChange> AlarmBoard::active() const {
  std::lock_guard lock(mutex_);
  std::vector<AlarmChange> result;
  result.reserve(active_.size());
  for (const auto& [key, change] : active_) result.push_back(change);
  return result;
}

std::vector<AlarmChange> AlarmBoard::history() const {
  std::lock_guard lock(mutex_);
  return {history_.rbegin(), history_.rend()};
}

std::size_t AlarmBoard::active_count() const {
  std::lock_guard lock(mutex_);
  return active_.size();
}

std::uint64_t AlarmBoard::raised_total() const {
  std::lock_guard lock(mutex_);
  return raised_total_;
}

}  // namespace penstock::ingest
