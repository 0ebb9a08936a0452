// JSON Schemas as Anthropic takes them.
#pragma once

#include "json/value.h"

namespace penstock::ext::anthropic {

// For structured output: objects take nothing but what they name, and the limits that are not understood there (of
// numbers, lengths and counts) become words in the description.
json::Value output_schema(json::Value schema);

// For a tool's input: an object schema. An error when it is something else.
Result<json::Value> input_schema(const json::Value& schema);

}  // namespace penstock::ext::anthropic
