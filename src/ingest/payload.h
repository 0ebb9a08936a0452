// The formats samples arrive in: one list for every source that takes bytes.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "ingest/sample_json.h"

namespace penstock::ingest {

enum class Format : std::uint8_t { json, ndjson, csv, line, cbor };

// By its name in the configuration: json, ndjson, csv, line, cbor.
std::optional<Format> format_named(std::string_view name);
// By media type, its parameters aside (RFC 9110 section 8.3.1). No type at all is JSON: small devices send none.
std::optional<Format> format_of(std::string_view content_type);

// All or nothing, at most kSamplesPerMessageMax; the error names the line (from 1), the element (from 0) or the byte.
Result<std::vector<Sample>> samples_from(Format format, std::string_view bytes, const SampleDefaults& defaults);

// One JSON object per line; blank lines are skipped.
Result<std::vector<Sample>> samples_from_lines(std::string_view text, const SampleDefaults& defaults);

}  // namespace penstock::ingest
