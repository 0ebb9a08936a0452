// What people see of the board, and do about its alarms.
#include "ingest/alarm_board.h"

namespace penstock::ingest {
namespace {

bool meets(const AlarmMatch& match, const std::string& pipeline, const std::string& name, const std::string& device) {
  return (match.pipeline.empty() || match.pipeline == pipeline) && (match.name.empty() || match.name == name) &&
         (match.device.empty() || match.device == device);
}

}  // namespace

std::size_t AlarmBoard::acknowledge(const AlarmMatch& match, const std::string& actor, const std::string& text) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  std::size_t count = 0;
  {
    std::lock_guard lock(mutex_);
    for (auto at = records_.begin(); at != records_.end();) {
      AlarmRecord& record = at->second;
      const AlarmChange& change = record.change;
      if (record.state == AlarmRecord::State::acknowledged ||
          !meets(match, change.pipeline, change.name, change.device)) {
        ++at;
        continue;
      }
      ++count;
      note(change, "acknowledged", out, actor, text);
      if (record.state == AlarmRecord::State::returned) {
        forget(change);
        at = records_.erase(at);
        continue;
      }
      record.state = AlarmRecord::State::acknowledged;
      record.acknowledged_by = actor;
      record.note = text;
      keep(record);
      ++at;
    }
  }
  deliver(out);
  return count;
}

Result<void> AlarmBoard::shelve(AlarmShelf shelf) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  {
    std::lock_guard lock(mutex_);
    Key key(shelf.pipeline, shelf.name, shelf.device);
    if (shelves_.size() >= kShelvesMax && !shelves_.contains(key)) {
      return fail(Errc::resource_exhausted,
                  fmt::format("{} alarms are shelved, which is the most: take some back", kShelvesMax));
    }
    note({.pipeline = shelf.pipeline, .name = shelf.name, .device = shelf.device, .why = {}}, "shelved", out, shelf.by,
         fmt::format("until {}{}{}", base::to_rfc3339(shelf.until), shelf.why.empty() ? "" : ": ", shelf.why));
    keep(shelf);
    shelves_.insert_or_assign(std::move(key), std::move(shelf));
  }
  deliver(out);
  return {};
}

std::size_t AlarmBoard::unshelve(const AlarmMatch& match, const std::string& actor) {
  std::lock_guard turn(turn_mutex_);
  Outbox out;
  std::size_t count = 0;
  {
    std::lock_guard lock(mutex_);
    count = std::erase_if(shelves_, [&](const auto& one) {
      const AlarmShelf& shelf = one.second;
      if (!meets(match, shelf.pipeline, shelf.name, shelf.device)) return false;
      if (state_ != nullptr) state_->erase(fmt::format(".shelf/{}/{}\n{}", shelf.pipeline, shelf.name, shelf.device));
      note({.pipeline = shelf.pipeline, .name = shelf.name, .device = shelf.device, .why = {}}, "unshelved", out, actor,
           "taken back");
      return true;
    });
  }
  deliver(out);
  return count;
}

std::vector<AlarmChange> AlarmBoard::active() const {
  std::lock_guard lock(mutex_);
  std::vector<AlarmChange> result;
  result.reserve(raised_);
  for (const auto& [key, record] : records_) {
    if (record.raised()) result.push_back(record.change);
  }
  return result;
}

std::vector<AlarmRecord> AlarmBoard::records() const {
  std::lock_guard lock(mutex_);
  std::vector<AlarmRecord> result;
  result.reserve(records_.size());
  for (const auto& [key, record] : records_) result.push_back(record);
  return result;
}

std::vector<AlarmShelf> AlarmBoard::shelves() const {
  std::lock_guard lock(mutex_);
  std::vector<AlarmShelf> result;
  for (const auto& [key, shelf] : shelves_) {
    if (shelf.until > now()) result.push_back(shelf);
  }
  return result;
}

bool AlarmBoard::shelved(const AlarmChange& change) const {
  std::lock_guard lock(mutex_);
  return shelf_of(change) != nullptr;
}

std::vector<AlarmChange> AlarmBoard::history() const {
  std::lock_guard lock(mutex_);
  return {history_.rbegin(), history_.rend()};
}

std::size_t AlarmBoard::active_count() const {
  std::lock_guard lock(mutex_);
  return raised_;
}

std::uint64_t AlarmBoard::raised_total() const {
  std::lock_guard lock(mutex_);
  return raised_total_;
}

std::uint64_t AlarmBoard::suppressed_total() const {
  std::lock_guard lock(mutex_);
  return suppressed_total_;
}

}  // namespace penstock::ingest
