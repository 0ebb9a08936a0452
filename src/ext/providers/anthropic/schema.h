// JSON Schemas as Anthropic takes them.
#pragma once

#include "json/value.h"

namespace penstock::ext::anthropic {

// For structured output and strict tools: objects take nothing but what they name, oneOf is anyOf, nothing stands
// beside a reference, and keywords that are not understood there (limits, patterns, formats but the common ones) become
// words in the description.
json::Value output_schema(const json::Value& schema);

// For a tool's input: an object schema. An error when it is something else.
Result<json::Value> input_schema(const json::Value& schema);

}  // namespace penstock::ext::anthropic
