// A JSON value that a schema accepts, for tool arguments and structured output.
#pragma once

#include "json/value.h"

namespace penstock::mock {

// Understands what function and response schemas commonly use: type, properties, required, items, minItems, enum,
// const, anyOf, oneOf, allOf, local $ref, minimum, maximum, multipleOf, minLength, format. Optional properties are
// filled in too. Recursive schemas end at eight levels, where only required properties are kept.
json::Value instance_of(const json::Value& schema, std::uint64_t seed);

}  // namespace penstock::mock
