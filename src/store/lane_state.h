// The device lane's memory: values are read from memory and written behind, by a thread that writes together what
// waits: at once when somebody waits for it to be kept, else 50 ms after the writing before at the earliest. File and
// thread come with the first value; a gateway that keeps nothing has neither.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/lane_database.h"

namespace penstock::store {

// Any thread. What cannot be written stays in memory and is tried again every second and with what follows.
class LaneState {
 public:
  static constexpr std::size_t kKeysMax = 200'000;
  static constexpr std::size_t kKeyBytesMax = 1024;
  static constexpr std::size_t kValueBytesMax = 64 * 1024;
  // Events that wait for the disk; beyond that the oldest are given up and counted.
  static constexpr std::size_t kEventsWaitingMax = 10'000;

  // On the writer's thread, or at once for what is refused.
  using Kept = std::function<void(Result<void>)>;
  // `trouble` is told, on the writer's thread, when writing begins to fail, and with nothing when it works again.
  using Trouble = std::function<void(const Error*)>;

  explicit LaneState(std::string dir, Trouble trouble = {}) : dir_(std::move(dir)), trouble_(std::move(trouble)) {}
  ~LaneState() { close(); }
  LaneState(const LaneState&) = delete;
  LaneState& operator=(const LaneState&) = delete;

  // Reads what is there; blocks. Nothing is there yet: makes nothing. Before this get() finds nothing.
  Result<void> load();

  std::optional<std::string> get(const std::string& key) const;
  std::vector<std::pair<std::string, std::string>> entries(const std::string& prefix) const;
  // resource_exhausted beyond the bounds above, unavailable after close().
  void put(std::string key, std::string value, Kept kept = {});
  void erase(const std::string& key);
  void append(LaneEvent event);
  // Blocks, over a connection of its own.
  Result<std::vector<LaneEvent>> events(const LaneEventFilter& filter);
  // Waits until what was put before is on disk or could not be written. unavailable after close() when not all was.
  Result<void> flush();
  // Writes what waits, then ends the thread.
  void close();
  std::uint64_t events_lost() const;

 private:
  struct Work {
    std::map<std::string, std::optional<std::string>> changes;
    std::vector<LaneEvent> events;
    std::vector<Kept> kept;
    bool empty() const { return changes.empty() && events.empty() && kept.empty(); }
  };

  void change(std::string key, std::optional<std::string> value, Kept kept);
  void start_writer();  // under the mutex
  void serve();
  Result<void> write(const Work& work);
  void put_back(Work work);
  void tell(const Result<void>& written);

  const std::string dir_;
  const Trouble trouble_;
  mutable std::mutex mutex_;  // guards what follows, but for the writer's own
  std::condition_variable wake_;
  std::map<std::string, std::string> values_;
  Work waiting_;
  std::uint64_t events_lost_ = 0;
  bool retry_ = false;  // what waits failed before: not at once again
  bool writing_ = false;
  bool closing_ = false;
  std::thread writer_;
  std::optional<LaneDatabase> database_;  // the writer's
  bool failing_ = false;                  // the writer's
};

}  // namespace penstock::store
