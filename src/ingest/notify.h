// Telling people and other systems of alarms.
#pragma once

#include <string>
#include <vector>

#include "ingest/sample.h"

namespace penstock::ingest {

struct Notice {
  std::string id = {};     // the same however often it is sent
  std::string event = {};  // raised, cleared, escalated, test
  AlarmChange alarm = {};
  base::WallMicros at = 0;  // by our clock
};

// Any thread.
class NotifyPort {
 public:
  virtual ~NotifyPort() = default;
  // Names of the targets of the configuration that is being read, or was last.
  virtual std::vector<std::string> targets() const = 0;
  // Never blocks. A target that there is no more is left out.
  virtual void tell(const std::vector<std::string>& targets, const Notice& notice) = 0;
};

}  // namespace penstock::ingest
