// Samples as JSON, for sources, sinks and event streams.
//
//   {"time":"2026-01-31T12:00:00.123Z","device":"press-1","temp":81.5,"vib[]":[1,2],"quality":"bad",
//    "units":{"temp":"degC"},"tags":{"line":"A"}}
//
// Reading: `time` or `timestamp` is RFC 3339 text, or a number since the epoch whose size tells seconds, milliseconds,
// microseconds or nanoseconds; `device`, `quality`, `units` and `tags` are as above; every other member is a field.
// Nested objects become fields with dots in their names (motor.temp), arrays of numbers become array values, other
// arrays are numbered (axis.0.x), null is no field. `seq` (a positive integer) together with `origin` (a text) is the
// name that a journal or buffer gave the sample: whoever sees a pair twice has seen the sample twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/sample.h"
#include "json/value.h"

namespace penstock::ingest {

constexpr std::size_t kSampleFieldsMax = 512;
constexpr std::size_t kSampleArrayMax = 65536;
constexpr std::size_t kSamplesPerMessageMax = 10'000;

// What a message may leave out.
struct SampleDefaults {
  std::string device;        // when no `device` member
  base::WallMicros now = 0;  // ingest time; also the event time when there is none
};

void append_json(std::string& out, const Sample& sample);
std::string to_json(const Sample& sample);
std::string to_json(const AlarmChange& change);

Result<Sample> sample_from_json(const json::Value& value, const SampleDefaults& defaults);
// One object, an array of objects, or one object per line. All or nothing: the error names the line or element.
Result<std::vector<Sample>> samples_from_json(std::string_view text, const SampleDefaults& defaults);

// RFC 3339 in UTC with milliseconds, or microseconds where there are any.
void append_time(std::string& out, base::WallMicros time);

// "2026-01-31T12:00:00.123456Z", "2026-01-31 12:00:00+01:00", "2026-01-31"; without an offset it is UTC. Also a number
// since the epoch, as text.
Result<base::WallMicros> parse_time(std::string_view text);
// Seconds below 1e11, milliseconds below 1e14, microseconds below 1e17, else nanoseconds.
Result<base::WallMicros> time_from_epoch(double number);

}  // namespace penstock::ingest
