// Samples from a CSV file with a header line, for the feeds of inline tests and for replay.
//
//   time,device,temp [degC],state
//   2026-01-31T12:00:00Z,press-1,81.5,running
//
// RFC 4180: fields may be quoted, a quote inside is doubled. `time` or `timestamp` and `device` are read as in JSON;
// every other column is a field, its unit in square brackets behind the name. Numbers, true and false are recognised,
// an empty cell is no field.
#pragma once

#include <string_view>
#include <vector>

#include "ingest/sample_json.h"

namespace penstock::ingest {

// The error names the line. `defaults` as for JSON.
Result<std::vector<Sample>> samples_from_csv(std::string_view text, const SampleDefaults& defaults);

}  // namespace penstock::ingest
