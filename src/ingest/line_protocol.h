// Samples in InfluxDB's line protocol, as Telegraf, small devices and many PLC gateways send it.
//
//   weather,device=roof,line=A temp=21.5,rain=false,state="dry",count=3i 1769860800000000000
//
// The tag `device`, else `host`, names the device; the measurement becomes the tag `measurement`; every field is a
// field. A time is a whole number since 1970 whose size tells seconds, milliseconds, microseconds or nanoseconds.
// Format: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
#pragma once

#include <string_view>
#include <vector>

#include "ingest/sample_json.h"

namespace penstock::ingest {

// Blank lines and lines that begin with # are stepped over. All or nothing: the error names the line, from 1.
Result<std::vector<Sample>> samples_from_line_protocol(std::string_view text, const SampleDefaults& defaults);

}  // namespace penstock::ingest
