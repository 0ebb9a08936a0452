// What is remembered of an action for one device and one reason, so that it is never made twice: written before it is
// made.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ext/steps/do/deed.h"

namespace penstock::ext::steps {

// What nobody knows of an attempt, as far as a look at the machine can tell.
struct Doubt {
  std::vector<Wanted> points = {};  // may have been set, in this order; none: there is nothing to look at
  std::string blind = {};           // behind them; may have been made, and leaves no trace: calls, messages
  std::string skipped = {};         // behind them; was not made
};

struct RunRecord {
  std::string device = {};
  std::string id = {};                        // of the last attempt
  std::string trigger = {};                   // "wear.raised", or "forced"
  base::WallMicros alarm_at = 0;              // event time of the alarm considered last
  base::WallMicros newest = 0;                // of the newest one considered: what is not newer comes again
  base::WallMicros passed_at = 0;             // of the newest change the other way
  std::string stage = {};                     // begun, confirmed, failed, refused, missed, unknown
  base::WallMicros began = 0;                 // by our clock
  std::vector<base::WallMicros> starts = {};  // those that still count for `at_most`, oldest first
  Doubt doubt = {};                           // while begun, or unknown and still to be read back

  bool unfinished() const { return stage == "begun"; }
  // An alarm was considered, for good or not. One from beyond `horizon` says nothing about those that are new.
  void consider(base::WallMicros at, base::WallMicros horizon) {
    alarm_at = at;
    if (at <= horizon && (at > newest || newest > horizon)) newest = at;
  }
};

std::string to_text(const RunRecord& record);
// data_loss for what was not written by it.
Result<RunRecord> run_record_from(std::string_view text);

}  // namespace penstock::ext::steps
