// Telling people and other systems of alarms.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "ingest/sample.h"

namespace penstock::ingest {

struct Notice {
  std::string id = {};     // the same however often it is sent
  std::string event = {};  // raised, cleared, escalated, test
  AlarmChange alarm = {};
  base::WallMicros at = 0;  // by our clock
};

// How a notice that waits is written down.
std::string to_text(const Notice& notice);
// data_loss for what was not written by it.
Result<Notice> notice_from(std::string_view text);

// Any thread.
class NotifyPort {
 public:
  virtual ~NotifyPort() = default;
  // Names of the targets of the configuration that is being read, or was last.
  virtual std::vector<std::string> targets() const = 0;
  // Never blocks. A target that there is no more is left out.
  virtual void tell(const std::vector<std::string>& targets, const Notice& notice) = 0;
};

// Knows names and tells nobody: where a configuration is only looked at.
class SilentNotifier : public NotifyPort {
 public:
  explicit SilentNotifier(std::vector<std::string> targets) : targets_(std::move(targets)) {}
  std::vector<std::string> targets() const override { return targets_; }
  void tell(const std::vector<std::string>&, const Notice&) override {}

 private:
  std::vector<std::string> targets_;
};

}  // namespace penstock::ingest
