// Samples as CBOR (RFC 8949): the same members as in JSON (sample_json.h), in a third of the bytes, and arrays of
// numbers as typed arrays (RFC 8746), which is how a vibration sensor sends a burst.
//
// Reading: definite and indefinite lengths; numbers of every width, half floats included; text, whole numbers as names
// of members; typed arrays (tags 64 to 87) as arrays of numbers; other tags are stepped over. Refused: byte strings
// without such a tag, text that is no UTF-8, nesting deeper than kCborDepthMax.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ingest/sample_json.h"

namespace penstock::ingest {

constexpr int kCborDepthMax = 24;
// Data items in one message: memory grows with items, not with bytes.
constexpr std::size_t kCborItemsMax = 2'000'000;

// One map, an array of maps, or a sequence of either (RFC 8742). All or nothing: the error names the byte or element.
Result<std::vector<Sample>> samples_from_cbor(std::string_view bytes, const SampleDefaults& defaults);

// One item, which ends where `bytes` end.
Result<json::Value> value_from_cbor(std::string_view bytes);

// One map.
void append_cbor(std::string& out, const Sample& sample);
// The head of an array of so many items.
void append_cbor_array_head(std::string& out, std::size_t items);

}  // namespace penstock::ingest
