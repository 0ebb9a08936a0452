// The JSON objects that the admin API takes and gives, as tables: what a body is checked against is what the
// description (openapi.json) says.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "json/value.h"

namespace penstock::app {

enum class Kind {
  text,
  integer,  // of 64 bits, between `least` and `most`
  number,
  boolean,
  time,     // RFC 3339; in queries and bodies a duration from or before now will do as well
  texts,    // a list of strings
  labels,   // an object whose values are strings
  object,   // of the shape `of`
  list,     // of objects of the shape `of`
  rates,    // a rate ("10/s") or a list of them
  budgets,  // "5USD/day", an object that says more, or a list of either
  any,      // of answers: whatever it is
};

struct Field {
  std::string_view name;
  Kind kind = Kind::text;
  std::string_view about = {};  // a sentence or less
  std::string_view of = {};     // the name of a shape; of text and texts: the words there are, separated by spaces
  bool required = false;        // in bodies; answers have what there is
  bool null = false;            // null may stand there
  std::int64_t least = 0;
  std::int64_t most = INT64_MAX;
};

struct Shape {
  std::string_view name;
  std::string_view about;
  std::vector<Field> fields;
};

// Parts of the table: admin_model_shapes.cc, admin_pipelines.cc.
std::vector<Shape> shapes_of_models();
std::vector<Shape> shapes_of_pipelines();
// The same: admin_alarm_shapes.cc.
std::vector<Shape> shapes_of_alarms();
// Another part: admin_device_shapes.cc.
std::vector<Shape> shapes_of_devices();
// All that routes name. shape() takes a name of the table.
const std::vector<Shape>& shapes();
const Shape& shape(std::string_view name);

// The body of a change: an object of that shape; an empty text is an empty object. Errors: protocol_error (no JSON
// object), invalid_argument (a field that is unknown, missing or of a wrong type: which, and what to write).
Result<json::Object> read_body(std::string_view text, const Shape& shape);

// What stands behind the question mark, of parameters among `fields`; absent ones are not in it. Errors:
// invalid_argument.
using Query = std::map<std::string, std::string, std::less<>>;
Result<Query> read_query(std::string_view query, const std::vector<Field>& fields);

// A point in time as people write it: 2026-01-31T12:00:00Z, or a duration ("24h") before now, or after it when
// `ahead`. Errors: invalid_argument.
Result<base::WallMicros> read_time(std::string_view text, base::WallMicros now, bool ahead = false);

// The same as JSON Schema (2020-12), other shapes by reference to #/components/schemas.
json::Object schema_of(const Shape& shape);
json::Object schema_of(const Field& field);

}  // namespace penstock::app
