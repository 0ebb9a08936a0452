#include "ext/providers/anthropic/schema.h"

#include <algorithm>

namespace penstock::ext::anthropic {
namespace {

json::Value adapted(const json::Value& schema);

using Keywords = std::initializer_list<std::string_view>;

bool is_among(std::string_view word, Keywords words) { return std::ranges::find(words, word) != words.end(); }

bool is_plain(const json::Value& value) { return !value.is_object() && !value.is_array(); }

json::Value each_adapted(const json::Value& list) {
  json::Array out;
  for (const json::Value& each : list.get_array()) out.push_back(adapted(each));
  return json::Value(std::move(out));
}

json::Value named_adapted(const json::Value& named) {
  json::Object out;
  for (const auto& member : named.get_object()) out[member.key()] = adapted(member.value());
  return json::Value(std::move(out));
}

bool is_understood_format(const json::Value& value) {
  return value.is_string() && is_among(value.get_string(), {"date-time", "time", "date", "duration", "email",
                                                            "hostname", "uri", "ipv4", "ipv6", "uuid"});
}

// Keywords with plain values that are understood as they are.
bool is_understood(std::string_view key, const json::Value& value) {
  if (is_among(key, {"type", "title", "description", "$ref"})) return true;
  if (key == "required") return value.is_array();
  if (key == "const") return is_plain(value);
  if (key == "enum") return value.is_array() && std::ranges::all_of(value.get_array(), is_plain);
  if (key == "format") return is_understood_format(value);
  return key == "minItems" && value.is_int64() && (value.get_int64() == 0 || value.get_int64() == 1);
}

// Writes the member as it is understood; false when it is not.
bool adapt_member(std::string_view key, const json::Value& value, const json::Object& from, json::Object& out) {
  if (is_understood(key, value)) {
    out[key] = value;
  } else if (is_among(key, {"properties", "$defs", "definitions"}) && value.is_object()) {
    out[key] = named_adapted(value);
  } else if (is_among(key, {"anyOf", "allOf"}) && value.is_array()) {
    out[key] = each_adapted(value);
  } else if (key == "oneOf" && value.is_array() && !from.contains("anyOf")) {
    out["anyOf"] = each_adapted(value);
  } else if (key == "items" && value.is_object()) {
    out[key] = adapted(value);
  } else {
    return false;
  }
  return true;
}

bool is_object_schema(const json::Object& schema) {
  const json::Value* type = schema.if_contains("type");
  if (type == nullptr) return schema.contains("properties");
  return *type == "object" ||
         (type->is_array() && std::ranges::find(type->get_array(), "object") != type->get_array().end());
}

json::Value adapted(const json::Value& schema) {
  if (!schema.is_object()) return schema;
  const json::Object& from = schema.get_object();
  json::Object out;
  std::string words;
  for (const auto& member : from) {
    std::string_view key = member.key();
    bool beside_reference = from.contains("$ref") && !is_among(key, {"$ref", "$defs", "definitions"});
    bool about_document = is_among(key, {"$schema", "$id", "$anchor", "$comment"});
    if (beside_reference || about_document || key == "additionalProperties") continue;
    if (adapt_member(key, member.value(), from, out)) continue;
    words += words.empty() ? "" : ", ";
    words += key;
    words += ": " + json::dump(member.value());
  }
  if (!from.contains("$ref") && is_object_schema(from)) out["additionalProperties"] = false;
  if (words.empty()) return json::Value(std::move(out));
  std::string description(json::string_or(schema, "description", ""));
  out["description"] = description + (description.empty() ? "(" : "\n\n(") + words + ")";
  return json::Value(std::move(out));
}

}  // namespace

json::Value output_schema(const json::Value& schema) { return adapted(schema); }

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
