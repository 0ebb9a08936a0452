// What is remembered of an action for one device and one reason, so that it is never made twice: written before it is
// made.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace penstock::ext::steps {

struct RunRecord {
  std::string device = {};
  std::string id = {};                        // of the last attempt
  std::string trigger = {};                   // "wear.raised", or "forced"
  base::WallMicros alarm_at = 0;              // event time of the alarm that was the reason
  std::string stage = {};                     // begun, confirmed, failed, refused, missed, unknown
  base::WallMicros began = 0;                 // by our clock
  std::vector<base::WallMicros> starts = {};  // those that still count for `at_most`, oldest first

  bool unfinished() const { return stage == "begun"; }
};

std::string to_text(const RunRecord& record);
// data_loss for what was not written by it.
Result<RunRecord> run_record_from(std::string_view text);

}  // namespace penstock::ext::steps
