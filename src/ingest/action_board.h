// Which actions pipelines may make, what became of them, and people's hold on them. Written by `do` steps, read and
// steered by the admin API.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ingest/contracts.h"

namespace penstock::ingest {

// One thing that happened to an action, for the log and the history.
struct ActionEvent {
  std::string pipeline = {};
  std::string name = {};
  std::string device = {};
  std::string id = {};      // of the attempt; empty where nothing was attempted
  std::string what = {};    // begun, confirmed, failed, refused, missed, unknown, dry_run, held, released
  std::string action = {};  // in words: "plc.stop = true"
  std::string why = {};
  std::string actor = {};  // "alarm wear", or who forced it
  base::WallMicros at = 0;
};

// The step behind an action. Any thread may call it.
class ActionHandle {
 public:
  virtual ~ActionHandle() = default;
  // Makes the action for the device now, whatever its conditions say; what became of it is told like always.
  virtual void force(std::string device, std::string actor, std::string why) = 0;
};

struct ActionHold {
  std::string by = {};
  std::string why = {};
  base::WallMicros at = 0;
};

struct ActionStatus {
  std::string pipeline = {};
  std::string name = {};
  std::string on = {};      // what it follows
  std::string action = {};  // in words
  bool dry_run = false;
  std::optional<ActionHold> hold = {};
  std::map<std::string, std::uint64_t> counts = {};  // of events by `what`, since the start
  std::optional<ActionEvent> last = {};
};

// Any thread may call anything.
class ActionBoard {
 public:
  using Noted = std::function<void(const ActionEvent&)>;

  // `noted` is called outside the lock, on the thread of what happened. Ports may be null; they outlive the board.
  ActionBoard(StatePort* state, const base::Clock* clock, Noted noted)
      : state_(state), clock_(clock), noted_(std::move(noted)) {}

  // --- steps ---
  // Holds are as people left them before a restart.
  void enter(const ActionStatus& action, std::weak_ptr<ActionHandle> handle);
  // Unless another step has taken its place.
  void leave(const std::string& pipeline, const std::string& name, const ActionHandle* handle);
  std::optional<ActionHold> hold_of(const std::string& pipeline, const std::string& name) const;
  void note(const ActionEvent& event);
  // Told as begun by a step of this process, and not yet how it ended.
  bool under_way(const std::string& id) const;
  bool under_way(const std::string& pipeline, const std::string& name, const std::string& device) const;

  // --- people; not_found for what there is not ---
  Result<void> hold(const std::string& pipeline, const std::string& name, ActionHold hold);
  Result<void> release(const std::string& pipeline, const std::string& name, const std::string& actor);
  Result<void> force(const std::string& pipeline, const std::string& name, const std::string& device,
                     const std::string& actor, const std::string& why);
  std::vector<ActionStatus> list() const;

 private:
  using Key = std::pair<std::string, std::string>;
  struct Entry {
    ActionStatus status;
    std::weak_ptr<ActionHandle> handle;
  };
  Result<void> change_hold(const Key& key, std::optional<ActionHold> hold, ActionEvent event);

  StatePort* const state_;
  const base::Clock* const clock_;
  const Noted noted_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<Key, Entry> entries_;
  std::map<std::string, std::tuple<std::string, std::string, std::string>> under_way_;  // by id
};

}  // namespace penstock::ingest
