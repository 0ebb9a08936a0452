// JSON Schema and the subset of OpenAPI's schemas that Gemini's API has, told in terms of each other.
#pragma once

#include "json/value.h"

namespace penstock::chat {

// The schema with every reference within it ("$ref": "#/...") replaced by what it names, so that it needs no
// definitions any more; these and the words about the document itself ($schema, $id, ...) are taken out. Where a schema
// contains itself, the inner one keeps no more than its type. invalid_argument: written out it has more than 20,000
// nodes, or more than 1 MiB beyond four times its size, or a reference names nothing.
Result<json::Value> inline_references(const json::Value& schema);

// A schema without references in Gemini's words: upper-case types, `nullable`, and nothing that it refuses. What it
// cannot say is left out; choices among values that are no strings are told in the description. invalid_argument: as
// large as above.
Result<json::Value> to_openapi(const json::Value& schema);

// JSON Schema for such a schema, whose names may be in camelCase or snake_case.
json::Value from_openapi(const json::Value& schema);

}  // namespace penstock::chat
