#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "chat/schema.h"
#include "chat/schema_budget.h"

namespace penstock::chat {
namespace {

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

bool is_null_type(const json::Value& schema) { return json::string_or(schema, "type", "") == "null"; }

std::string_view text_of(const json::Object& object, std::string_view key) {
  const json::Value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

// `over` on top of `base`; properties and required names add up.
json::Object merged(json::Object base, const json::Object& over) {
  for (const auto& member : over) {
    json::Value* had = base.if_contains(member.key());
    if (had != nullptr && had->is_object() && member.value().is_object() && member.key() == "properties") {
      for (const auto& property : member.value().get_object()) had->get_object()[property.key()] = property.value();
    } else if (had != nullptr && had->is_array() && member.value().is_array() && member.key() == "required") {
      for (const json::Value& name : member.value().get_array()) had->get_array().push_back(name);
    } else {
      base[member.key()] = member.value();
    }
  }
  return base;
}

// allOf has no counterpart: its parts become one schema.
json::Object without_all_of(const json::Object& from) {
  const json::Value* all = from.if_contains("allOf");
  if (all == nullptr || !all->is_array()) return from;
  json::Object out;
  for (const json::Value& part : all->get_array()) {
    if (part.is_object()) out = merged(std::move(out), without_all_of(part.get_object()));
  }
  json::Object rest = from;
  rest.erase("allOf");
  return merged(std::move(out), rest);
}

// The alternatives of anyOf, oneOf or a list of types, each with what stands beside them; null makes it nullable.
json::Array alternatives(const json::Object& from, bool& nullable, SchemaBudget& budget) {
  json::Object rest = from;
  json::Array found;
  for (std::string_view key : {"anyOf", "oneOf"}) {
    const json::Value* list = from.if_contains(key);
    if (list == nullptr || !list->is_array()) continue;
    rest.erase(key);
    for (const json::Value& entry : list->get_array()) {
      if (is_null_type(entry)) nullable = true;
      if (entry.is_object() && !is_null_type(entry)) found.push_back(entry);
    }
  }
  const json::Value* types = from.if_contains("type");
  if (found.empty() && types != nullptr && types->is_array()) {
    for (const json::Value& type : types->get_array()) {
      if (type == "null") nullable = true;
      if (type.is_string() && type != "null") found.push_back(json::Object{{"type", type}});
    }
  }
  rest.erase("description");
  json::Array out;
  std::size_t beside = found.size() > 1 ? weight(rest) : 0;
  for (const json::Value& entry : found) {
    if (!budget.take(beside)) break;
    out.push_back(json::Value(merged(rest, entry.get_object())));
  }
  return out;
}

void write_enum(const json::Object& from, json::Object& out) {
  json::Array values;
  if (const json::Value* constant = from.if_contains("const")) values.push_back(*constant);
  if (const json::Value* list = from.if_contains("enum"); list != nullptr && list->is_array())
    values = list->get_array();
  auto rest = std::ranges::remove_if(values, [](const json::Value& value) { return value.is_null(); });
  if (!rest.empty()) out["nullable"] = true;
  values.erase(rest.begin(), rest.end());
  if (values.empty()) return;
  if (std::ranges::all_of(values, [](const json::Value& value) { return value.is_string(); })) {
    if (!out.contains("type")) out["type"] = "STRING";
    out["enum"] = std::move(values);
    return;
  }
  std::string told(text_of(out, "description"));
  told += told.empty() ? "One of: " : " One of: ";
  for (std::size_t i = 0; i < values.size(); ++i) told += (i == 0 ? "" : ", ") + json::dump(values[i]);
  out["description"] = told + '.';
}

// Limits that exclude their own value become such that include it: exact for integers, as near as can be for others.
void write_limits(const json::Object& from, json::Object& out) {
  bool whole = text_of(out, "type") == "INTEGER";
  struct Limit {
    std::string_view exclusive, inclusive;
    int step;
  };
  for (const Limit& limit : {Limit{"exclusiveMinimum", "minimum", 1}, Limit{"exclusiveMaximum", "maximum", -1}}) {
    const json::Value* value = from.if_contains(limit.exclusive);
    if (value == nullptr || !value->is_number() || out.contains(limit.inclusive)) continue;
    const std::int64_t* integer = value->if_int64();
    constexpr std::int64_t kMost = 1LL << 53;
    out[limit.inclusive] = whole && integer != nullptr && *integer > -kMost && *integer < kMost
                               ? json::Value(*integer + limit.step)
                               : *value;
  }
}

void write_format(const json::Object& from, json::Object& out) {
  std::string_view format = text_of(from, "format");
  std::string_view type = text_of(out, "type");
  bool known = (type == "STRING" && (format == "date-time" || format == "enum")) ||
               (type == "NUMBER" && (format == "float" || format == "double")) ||
               (type == "INTEGER" && (format == "int32" || format == "int64"));
  if (known) out["format"] = format;
}

class OpenApiWriter {
 public:
  explicit OpenApiWriter(const json::Value& root) : budget_(root) {}

  json::Value schema(const json::Value& from) {
    // Alternatives repeat what stands beside them, each time.
    if (!from.is_object() || !budget_.take_node()) return json::Object();
    return json::Value(members(from.get_object()));
  }
  bool too_large() const { return budget_.spent(); }

 private:
  // Lists and objects: what they hold.
  void contents(const json::Object& from, json::Object& out);
  json::Object members(const json::Object& given);
  SchemaBudget budget_;
};

void OpenApiWriter::contents(const json::Object& from, json::Object& out) {
  if (const json::Value* properties = from.if_contains("properties"); properties && properties->is_object()) {
    json::Object named;
    for (const auto& member : properties->get_object()) named[member.key()] = schema(member.value());
    json::Array required;
    if (const json::Value* names = from.if_contains("required"); names != nullptr && names->is_array()) {
      std::set<std::string_view> seen;
      for (const json::Value& name : names->get_array()) {
        bool known = name.is_string() && named.contains(name.get_string());
        if (known && seen.insert(name.get_string()).second) required.push_back(name);
      }
    }
    // An object without properties is refused.
    if (!named.empty()) out["properties"] = std::move(named);
    if (!required.empty()) out["required"] = std::move(required);
  }
  if (text_of(out, "type") != "ARRAY") return;
  const json::Value* items = from.if_contains("items");
  const json::Value* first = from.if_contains("prefixItems");
  if (items != nullptr && items->is_object()) {
    out["items"] = schema(*items);
  } else if (first != nullptr && first->is_array() && !first->get_array().empty()) {
    json::Array each;
    for (const json::Value& entry : first->get_array()) each.push_back(schema(entry));
    out["items"] = each.size() == 1 ? std::move(each[0]) : json::Value(json::Object{{"anyOf", std::move(each)}});
  } else {
    out["items"] = json::Object{{"type", "STRING"}};  // a list must say of what
  }
}

json::Object OpenApiWriter::members(const json::Object& given) {
  json::Object from = without_all_of(given);
  bool nullable = false;
  json::Array choices = alternatives(from, nullable, budget_);
  json::Object out;
  if (choices.size() == 1) {
    if (json::Value only = schema(choices[0]); only.is_object()) out = std::move(only.get_object());
  } else if (!choices.empty()) {
    json::Array each;
    for (const json::Value& choice : choices) each.push_back(schema(choice));
    out["anyOf"] = std::move(each);
  }
  if (const json::Value* text = from.if_contains("description"); text != nullptr && text->is_string())
    out["description"] = *text;
  if (nullable) out["nullable"] = true;
  if (!choices.empty()) return out;
  if (const json::Value* type = from.if_contains("type"); type != nullptr && type->is_string())
    out["type"] = upper(type->get_string());
  else if (from.contains("properties"))
    out["type"] = "OBJECT";
  else if (from.contains("items") || from.contains("prefixItems"))
    out["type"] = "ARRAY";
  constexpr auto kSame =
      std::to_array<std::string_view>({"title", "minItems", "maxItems", "minProperties", "maxProperties", "minLength",
                                       "maxLength", "pattern", "minimum", "maximum", "propertyOrdering"});
  for (std::string_view key : kSame) {
    if (const json::Value* value = from.if_contains(key)) out[key] = *value;
  }
  write_limits(from, out);
  write_format(from, out);
  write_enum(from, out);
  contents(from, out);
  return out;
}

std::string camel(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    bool joint = name[i] == '_' && i + 1 < name.size() && name[i + 1] >= 'a' && name[i + 1] <= 'z';
    out += joint ? static_cast<char>(name[++i] - 32) : name[i];
  }
  return out;
}

// Whole numbers of 64 bits may be strings in the JSON of protocol buffers.
json::Value as_number(const json::Value& value) {
  const auto* text = value.if_string();
  if (text == nullptr) return value;
  auto number = json::parse(std::string_view(*text));
  return number && number->is_number() ? *number : value;
}

json::Value each_from_openapi(const json::Value& value) {
  json::Array out;
  for (const json::Value& entry : value.get_array()) out.push_back(from_openapi(entry));
  return json::Value(std::move(out));
}

void allow_null(json::Object& schema) {
  if (json::Value* values = schema.if_contains("enum"); values != nullptr && values->is_array())
    values->get_array().push_back(nullptr);
  if (json::Value* type = schema.if_contains("type"); type != nullptr && type->is_string()) {
    schema["type"] = json::Array{*type, "null"};
  } else if (json::Value* any = schema.if_contains("anyOf"); any != nullptr && any->is_array()) {
    any->get_array().push_back(json::Object{{"type", "null"}});
  }
}

}  // namespace

Result<json::Value> to_openapi(const json::Value& schema) {
  OpenApiWriter writer(schema);
  json::Value out = writer.schema(schema);
  if (writer.too_large())
    return fail(Errc::invalid_argument,
                fmt::format("the schema has more than {} parts in Gemini's words, or its alternatives repeat too much "
                            "of what stands beside them",
                            SchemaBudget::kNodesMax));
  return out;
}

json::Value from_openapi(const json::Value& schema) {
  if (!schema.is_object()) return schema;
  json::Object out;
  bool nullable = false;
  for (const auto& member : schema.get_object()) {
    std::string key = camel(member.key());
    const json::Value& value = member.value();
    if (key == "nullable") {
      nullable = value == true;
    } else if (key == "type" && value.is_string()) {
      if (value != "TYPE_UNSPECIFIED") out[key] = lower(value.get_string());
    } else if (key == "format" && value == "enum") {
      continue;
    } else if ((key == "properties" || key == "defs") && value.is_object()) {
      json::Object named;
      for (const auto& property : value.get_object()) named[property.key()] = from_openapi(property.value());
      out[key == "defs" ? "$defs" : key] = std::move(named);
    } else if (key == "ref" && value.is_string()) {
      std::string reference(value.get_string());
      if (reference.starts_with("#/defs/")) reference.insert(2, "$");
      out["$ref"] = reference;
    } else if ((key == "anyOf" || key == "prefixItems") && value.is_array()) {
      out[key] = each_from_openapi(value);
    } else if (key == "items" || key == "additionalProperties") {
      out[key] = from_openapi(value);
    } else if (key == "example") {
      out["examples"] = json::Array{value};
    } else if (key.starts_with("min") || key.starts_with("max")) {
      out[key] = as_number(value);
    } else {
      out[key] = value;
    }
  }
  if (nullable) allow_null(out);
  return json::Value(std::move(out));
}

}  // namespace penstock::chat
