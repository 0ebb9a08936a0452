// What the device lane must know after a restart: <dir>/lane.db, a file of its own, so that what sensors cause never
// waits for keys, nor damage to one harms the other. Small values by key, and what happened to alarms and actions.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/database.h"

namespace penstock::store {

// One thing that happened to an alarm or an action.
struct LaneEvent {
  std::int64_t sequence = 0;  // given by the file
  base::WallMicros at = 0;
  std::string kind = {};  // "alarm" or "action"
  std::string pipeline = {};
  std::string name = {};  // of the alarm or action
  std::string device = {};
  std::string what = {};      // "raised", "acknowledged", "confirmed", ...
  std::string severity = {};  // of alarms
  std::string actor = {};     // who wanted it
  std::string why = {};       // what is beyond kWhyBytesMax is cut off
};

// What is asked for; empty texts and 0 match all.
struct LaneEventFilter {
  std::string kind = {};
  std::string pipeline = {};
  std::string name = {};
  std::string device = {};
  std::string what = {};
  base::WallMicros since = 0;
  std::int64_t limit = 100;
};

// A value to keep, or (without one) a key to forget.
using LaneChange = std::pair<std::string, std::optional<std::string>>;

// Used by one thread at a time; any number of processes.
class LaneDatabase {
 public:
  static constexpr std::int64_t kEventsMax = 100'000;
  static constexpr std::size_t kWhyBytesMax = 2000;

  // Makes folder and file when needed. What apply() returned for is on disk, also after a power cut.
  static Result<LaneDatabase> open(const std::string& dir);
  static std::string file_in(const std::string& dir) { return dir + "/lane.db"; }

  Result<std::vector<std::pair<std::string, std::string>>> values();
  // All or nothing. The oldest events go when there are too many.
  Result<void> apply(const std::vector<LaneChange>& changes, const std::vector<LaneEvent>& events);
  // The newest first.
  Result<std::vector<LaneEvent>> events(const LaneEventFilter& filter);

 private:
  explicit LaneDatabase(Database database) : database_(std::move(database)) {}
  Result<void> change(const std::vector<LaneChange>& changes);
  Result<void> add(const std::vector<LaneEvent>& events);
  Database database_;
};

}  // namespace penstock::store
