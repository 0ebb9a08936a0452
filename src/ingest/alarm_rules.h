// What is to be done about the alarms of a pipeline, as its `alarm` steps say.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"

namespace penstock::ingest {

struct AlarmRules {
  bool acknowledge = false;              // a cleared one stays on the board until somebody acknowledged it
  std::vector<std::string> notify = {};  // names of `alarms: { notify: ... }`
  base::Duration escalate_after{};       // unacknowledged for so long: 0 is never
  std::string escalate_severity = {};    // what it becomes then; empty: stays
  std::vector<std::string> escalate_notify = {};
};

// By name. Filled while the pipeline is built, in the order of its steps; an `alarm` refuses a name that is taken.
using AlarmTable = std::map<std::string, AlarmRules, std::less<>>;

// Beyond `most` raises of one severity in one pipeline within `per` alarms of that severity are listed and remembered,
// but nobody is told of each: one alarm called kFloodAlarm stands for them until no more than half as many came in that
// time. Critical alarms are no part of it: each is always told.
struct FloodLimit {
  std::size_t most = 20;
  base::Duration per = std::chrono::minutes(1);
};
inline constexpr const char* kFloodAlarm = "flood";

}  // namespace penstock::ingest
