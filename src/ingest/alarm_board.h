// Which alarms stand and which came and went: read by the admin API, the metrics and the console, written by pipelines.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ingest/sample.h"

namespace penstock::ingest {

// Any thread may call anything.
class AlarmBoard {
 public:
  // Changes remembered. When full the oldest is forgotten.
  static constexpr std::size_t kHistoryMax = 1000;
  // Standing alarms listed. Beyond that a raise is counted and put into the history, but not listed.
  static constexpr std::size_t kActiveMax = 10'000;

  // Called on the thread of the change, outside the board's lock; for the log.
  explicit AlarmBoard(std::function<void(const AlarmChange&)> told = {}) : told_(std::move(told)) {}

  void change(const AlarmChange& change);
  // The pipeline is gone: what it had raised is cleared, with `why`.
  void clear_pipeline(const std::string& pipeline, base::WallMicros at, const std::string& why);

  // The same for some of its alarms.
  void clear_alarms(const std::string& pipeline, const std::set<std::string>& names, base::WallMicros at,
                    const std::string& why);

  std::vector<AlarmChange> active() const;   // by pipeline, name and device
  std::vector<AlarmChange> history() const;  // newest first
  std::size_t active_count() const;
  std::uint64_t raised_total() const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  void clear_those(const std::string& pipeline, const std::function<bool(const std::string& name)>& chosen,
                   base::WallMicros at, const std::string& why);
  void remember(const AlarmChange& change);

  std::function<void(const AlarmChange&)> told_;
  mutable std::mutex mutex_;
  std::map<Key, AlarmChange> active_;
  std::deque<AlarmChange> history_;
  std::uint64_t raised_total_ = 0;
};

}  // namespace penstock::ingest
