// An alarm on the board, with what people did about it, and how it is written down.
#pragma once

#include <string>

#include "base/result.h"
#include "ingest/sample.h"

namespace penstock::ingest {

// ISA-18.2 (IEC 62682): a normal alarm is not on the board at all.
struct AlarmRecord {
  enum class State : std::uint8_t {
    unacknowledged,  // stands, nobody has seen it
    acknowledged,    // stands
    returned,        // cleared, and nobody has seen it
  };
  AlarmChange change = {};  // the raise; its severity is the one it has now
  State state = State::unacknowledged;
  base::WallMicros noted = 0;    // when it came to the board, by our clock
  base::WallMicros cleared = 0;  // event time, of returned ones
  std::string acknowledged_by = {};
  std::string note = {};  // what that person wrote
  bool escalated = false;
  bool suppressed = false;  // came in a flood: nobody was told

  bool raised() const { return state != State::returned; }
};
std::string_view to_string(AlarmRecord::State state);

// Nobody is told of a shelved alarm until then.
struct AlarmShelf {
  std::string pipeline = {};
  std::string name = {};
  std::string device = {};  // empty: all of them
  base::WallMicros until = 0;
  std::string by = {};
  std::string why = {};
};

// One thing that happened to an alarm, for the history.
struct AlarmEvent {
  AlarmChange change = {};
  std::string what = {};  // raised, cleared, acknowledged, escalated, shelved, unshelved, suppressed
  base::WallMicros at = 0;
  std::string actor = {};  // empty: the pipeline
  std::string why = {};
};

std::string to_text(const AlarmRecord& record);
std::string to_text(const AlarmShelf& shelf);
// data_loss for what was not written by these.
Result<AlarmRecord> alarm_record_from(std::string_view text);
Result<AlarmShelf> alarm_shelf_from(std::string_view text);

}  // namespace penstock::ingest
