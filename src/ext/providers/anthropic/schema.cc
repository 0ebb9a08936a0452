#include "ext/providers/anthropic/schema.h"

#include <algorithm>

namespace penstock::ext::anthropic {
namespace {

constexpr std::string_view kLimits[] = {"minimum",    "maximum",     "exclusiveMinimum", "exclusiveMaximum",
                                        "multipleOf", "minLength",   "maxLength",        "minItems",
                                        "maxItems",   "uniqueItems", "minProperties",    "maxProperties"};
// Below these stand schemas by name; below the others, one schema or a list of them.
constexpr std::string_view kNamed[] = {"properties", "$defs", "definitions"};
constexpr std::string_view kNested[] = {"items", "anyOf", "allOf", "oneOf", "prefixItems", "not"};

bool is_understood(std::string_view limit, const json::Value& value) {
  return limit == "minItems" && value.is_int64() && (value.get_int64() == 0 || value.get_int64() == 1);
}

void limits_to_words(json::Object& schema) {
  std::string words;
  for (std::string_view limit : kLimits) {
    const json::Value* value = schema.if_contains(limit);
    if (value == nullptr || is_understood(limit, *value)) continue;
    words += words.empty() ? "" : ", ";
    words += limit;
    words += ": " + json::dump(*value);
    schema.erase(limit);
  }
  if (words.empty()) return;
  std::string description;
  if (const json::Value* said = schema.if_contains("description"); said != nullptr && said->is_string())
    description = std::string(said->get_string().c_str()) + "\n\n";
  schema["description"] = description + "(" + words + ")";
}

void adapt(json::Value& value) {
  if (!value.is_object()) return;
  json::Object& schema = value.get_object();
  limits_to_words(schema);
  const json::Value* type = schema.if_contains("type");
  bool object =
      schema.contains("properties") || (type != nullptr && type->is_string() && type->get_string() == "object");
  if (object && !schema.contains("additionalProperties")) schema["additionalProperties"] = false;
  for (std::string_view name : kNamed) {
    json::Value* below = schema.if_contains(name);
    if (below == nullptr || !below->is_object()) continue;
    for (auto& member : below->get_object()) adapt(member.value());
  }
  for (std::string_view name : kNested) {
    json::Value* below = schema.if_contains(name);
    if (below == nullptr) continue;
    adapt(*below);
    if (!below->is_array()) continue;
    for (json::Value& each : below->get_array()) adapt(each);
  }
}

}  // namespace

json::Value output_schema(json::Value schema) {
  adapt(schema);
  return schema;
}

Result<json::Value> input_schema(const json::Value& schema) {
  if (schema.is_null()) return json::Value(json::Object{{"type", "object"}, {"properties", json::Object{}}});
  if (!schema.is_object()) return fail(Errc::invalid_argument, "must be an object");
  json::Value out = schema;
  json::Value& type = out.get_object()["type"];
  if (type.is_null()) type = "object";
  if (!type.is_string() || type.get_string() != "object")
    return fail(Errc::invalid_argument, "must have the type 'object': the provider takes no other");
  return out;
}

}  // namespace penstock::ext::anthropic
