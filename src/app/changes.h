// What the main thread waits for: signals, and changes in a few folders, without looking again and again.
#pragma once

#include <signal.h>

#include <string>
#include <vector>

#include "base/clock.h"

namespace penstock::app {

// One thread, in which the signals are blocked.
class Changes {
 public:
  // Folders that cannot be watched are left out: wait() then ends by time alone. Files whose names begin with `ignored`
  // (empty: none) may change unheard.
  Changes(const std::vector<int>& signals, const std::vector<std::string>& folders, std::string ignored = {});
  ~Changes();
  Changes(const Changes&) = delete;
  Changes& operator=(const Changes&) = delete;

  // The signal that came, or 0: something in a folder changed (only when `folders_too`), or time has passed.
  int wait(base::Duration at_most, bool folders_too);
  // Whether the last wait() ended because something in a folder changed.
  bool changed() const { return changed_; }
  // Every folder is watched.
  bool complete() const { return complete_; }

 private:
  bool read_events();
  const std::string ignored_;
  sigset_t signals_;
  int signal_fd_ = -1;
  int folder_fd_ = -1;
  bool complete_ = true;
  bool changed_ = false;
};

}  // namespace penstock::app
