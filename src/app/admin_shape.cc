#include "app/admin_shape.h"

#include <charconv>

#include "base/quantity.h"
#include "http/exchange.h"
#include "ingest/sample_json.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    std::size_t end = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// Where a value stands in a body: limits.rpm
std::string place(std::string_view parent, std::string_view name) {
  return parent.empty() ? std::string(name) : fmt::format("{}.{}", parent, name);
}

std::unexpected<Error> wrong(std::string_view where, std::string_view expected) {
  return fail(Errc::invalid_argument, fmt::format("'{}' has to be {}", where, expected));
}

std::string suggestion(std::string_view name, const std::vector<Field>& fields) {
  std::vector<std::string> known;
  for (const Field& field : fields) known.emplace_back(field.name);
  if (auto near = base::closest(name, known)) return fmt::format("; did you mean '{}'?", *near);
  return known.empty() ? "" : fmt::format("; there are: {}", fmt::join(known, ", "));
}

const Field* find_field(const std::vector<Field>& fields, std::string_view name) {
  auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

std::string_view view(boost::json::string_view text) { return {text.data(), text.size()}; }

std::string range_of(const Field& field) {
  if (field.most == INT64_MAX) return fmt::format("a whole number of at least {}", field.least);
  return fmt::format("a whole number between {} and {}", field.least, field.most);
}

Result<void> check_word(std::string_view word, const Field& field, const std::string& where) {
  if (field.of.empty()) return {};
  std::vector<std::string> words = words_of(field.of);
  if (std::find(words.begin(), words.end(), word) != words.end()) return {};
  return fail(Errc::invalid_argument,
              fmt::format("'{}': there is no '{}'; choose from: {}", where, word, fmt::join(words, ", ")));
}

Result<void> check_texts(const Value& value, const Field& field, const std::string& where) {
  const Array* array = value.if_array();
  if (array == nullptr) return wrong(where, R"(a list of strings: ["a", "b"])");
  for (const Value& item : *array) {
    if (!item.is_string()) return wrong(where, R"(a list of strings: ["a", "b"])");
    if (auto known = check_word(view(item.get_string()), field, where); !known) return known;
  }
  return {};
}

Result<void> check_labels(const Value& value, const std::string& where) {
  constexpr std::string_view kExpected = R"(an object of strings: {"app": "billing"})";
  const Object* object = value.if_object();
  if (object == nullptr) return wrong(where, kExpected);
  for (const auto& member : *object) {
    if (!member.value().is_string() && !member.value().is_null())
      return wrong(place(where, view(member.key())), "a string, or null to take it away");
  }
  return {};
}

// What one of them says is checked by whoever reads it.
Result<void> check_one_or_more(const Value& value, bool objects, const std::string& where, std::string_view expected) {
  auto fits = [&](const Value& one) { return one.is_string() || (objects && one.is_object()); };
  if (const Array* array = value.if_array()) {
    if (std::all_of(array->begin(), array->end(), fits)) return {};
  } else if (fits(value)) {
    return {};
  }
  return wrong(where, expected);
}

Result<void> check_object(const Object& object, const Shape& shape, const std::string& where);

Result<void> check_list(const Value& value, const Field& field, const std::string& where) {
  const Array* array = value.if_array();
  if (array == nullptr) return wrong(where, "a list");
  for (const Value& item : *array) {
    if (!item.is_object()) return wrong(where, "a list of objects");
    if (auto fine = check_object(item.get_object(), shape(field.of), where); !fine) return fine;
  }
  return {};
}

Result<void> check_integer(const Value& value, const Field& field, const std::string& where) {
  const std::int64_t* number = value.if_int64();
  if (number == nullptr || *number < field.least || *number > field.most) return wrong(where, range_of(field));
  return {};
}

Result<void> check_value(const Value& value, const Field& field, const std::string& where) {
  if (value.is_null() && field.null) return {};
  switch (field.kind) {
    case Kind::text:
    case Kind::time:
      if (!value.is_string()) return wrong(where, "a string");
      return check_word(view(value.get_string()), field, where);
    case Kind::integer: return check_integer(value, field, where);
    case Kind::number: return value.is_number() ? Result<void>() : wrong(where, "a number");
    case Kind::boolean: return value.is_bool() ? Result<void>() : wrong(where, "true or false");
    case Kind::texts: return check_texts(value, field, where);
    case Kind::labels: return check_labels(value, where);
    case Kind::object:
      if (!value.is_object()) return wrong(where, "an object");
      return check_object(value.get_object(), shape(field.of), where);
    case Kind::list: return check_list(value, field, where);
    case Kind::rates:
      return check_one_or_more(value, false, where, R"(a rate or a list of rates: "10/s" or ["10/s", "1000/day"])");
    case Kind::budgets:
      return check_one_or_more(
          value, true, where,
          R"(a budget or a list of budgets: "5USD/day", ["5USD/day", {"amount": "50USD", "per": "month"}])");
    case Kind::any: return {};
  }
  return {};
}

Result<void> check_object(const Object& object, const Shape& shape, const std::string& where) {
  for (const auto& member : object) {
    std::string_view name = view(member.key());
    const Field* field = find_field(shape.fields, name);
    if (field == nullptr) {
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is not known{}", place(where, name), suggestion(name, shape.fields)));
    }
    if (auto fine = check_value(member.value(), *field, place(where, name)); !fine) return fine;
  }
  for (const Field& field : shape.fields) {
    if (field.required && !object.contains(field.name))
      return fail(Errc::invalid_argument, fmt::format("'{}' is missing: {}", place(where, field.name), field.about));
  }
  return {};
}

Object typed(std::string_view type) { return Object{{"type", type}}; }

Object list_of(Object items) { return Object{{"type", "array"}, {"items", std::move(items)}}; }

Object reference(std::string_view name) { return Object{{"$ref", fmt::format("#/components/schemas/{}", name)}}; }

Object one_or_more(Array alternatives) {
  Array list = alternatives;
  alternatives.push_back(list_of(Object{{"anyOf", std::move(list)}}));
  return Object{{"anyOf", std::move(alternatives)}};
}

Object word_schema(const Field& field) {
  Object schema = typed("string");
  if (field.kind == Kind::time) schema["examples"] = Array{"2026-01-31T12:00:00Z"};
  if (field.of.empty()) return schema;
  Array words;
  for (const std::string& word : words_of(field.of)) words.push_back(Value(word));
  schema["enum"] = std::move(words);
  return schema;
}

Object integer_schema(const Field& field) {
  Object schema{{"type", "integer"}, {"format", "int64"}, {"minimum", field.least}};
  if (field.least == INT64_MIN) schema.erase("minimum");
  if (field.most != INT64_MAX) schema["maximum"] = field.most;
  return schema;
}

Object plain_schema(const Field& field) {
  switch (field.kind) {
    case Kind::text:
    case Kind::time: return word_schema(field);
    case Kind::integer: return integer_schema(field);
    case Kind::number: return typed("number");
    case Kind::boolean: return typed("boolean");
    case Kind::texts: return list_of(word_schema(field));
    case Kind::labels:
      return Object{{"type", "object"}, {"additionalProperties", Object{{"type", Array{"string", "null"}}}}};
    case Kind::object: return reference(field.of);
    case Kind::list: return list_of(reference(field.of));
    case Kind::rates: return one_or_more({typed("string")});
    case Kind::budgets: return one_or_more({typed("string"), typed("object")});
    case Kind::any: return {};
  }
  return {};
}

}  // namespace

const Shape& shape(std::string_view name) {
  auto found = std::find_if(shapes().begin(), shapes().end(), [&](const Shape& one) { return one.name == name; });
  static const Shape kNone;
  return found == shapes().end() ? kNone : *found;
}

Result<Object> read_body(std::string_view text, const Shape& shape) {
  auto value = text.empty() ? Result<Value>(Object()) : json::parse(text);
  if (!value) return fail(Errc::protocol_error, fmt::format("the body is not JSON: {}", value.error().detail));
  if (!value->is_object()) return fail(Errc::protocol_error, "the body has to be a JSON object");
  if (auto fine = check_object(value->get_object(), shape, ""); !fine) return std::unexpected(fine.error());
  return std::move(value->get_object());
}

Result<Query> read_query(std::string_view query, const std::vector<Field>& fields) {
  Query values;
  while (!query.empty()) {
    std::size_t end = std::min(query.find('&'), query.size());
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    std::size_t equals = std::min(pair.find('='), pair.size());
    std::string name = http::percent_decode(pair.substr(0, equals));
    std::string value(pair.substr(std::min(equals + 1, pair.size())));
    std::replace(value.begin(), value.end(), '+', ' ');
    value = http::percent_decode(value);
    if (name.empty()) continue;
    const Field* field = find_field(fields, name);
    if (field == nullptr) {
      return fail(Errc::invalid_argument,
                  fmt::format("the parameter '{}' is not known{}", name, suggestion(name, fields)));
    }
    std::int64_t number = 0;
    if (field->kind == Kind::integer) {
      auto [stop, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (ec != std::errc{} || stop != value.data() + value.size() || number < field->least || number > field->most)
        return wrong(name, range_of(*field));
    } else if (auto known = check_word(value, *field, name); field->kind == Kind::text && !known) {
      return std::unexpected(known.error());
    }
    values[name] = std::move(value);
  }
  return values;
}

Result<base::WallMicros> read_time(std::string_view text, base::WallMicros now, bool ahead) {
  if (auto span = base::parse_duration(text)) {
    std::int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(*span).count();
    return ahead ? now + micros : std::max<std::int64_t>(now - micros, 0);
  }
  // A number alone may be seconds, or a duration whose unit was forgotten.
  if (text.size() > 4 && text[4] == '-') {
    auto at = ingest::parse_time(text);
    if (at && *at > 0) return at;
  }
  return fail(Errc::invalid_argument,
              fmt::format("'{}' is no time: write 2026-01-31T12:00:00Z, or a duration such as 24h or 30d", text));
}

Object schema_of(const Field& field) {
  Object schema = plain_schema(field);
  if (field.null && field.kind != Kind::any) schema = Object{{"anyOf", Array{std::move(schema), typed("null")}}};
  if (!field.about.empty()) schema["description"] = field.about;
  return schema;
}

Object schema_of(const Shape& shape) {
  Object properties;
  Array required;
  for (const Field& field : shape.fields) {
    properties[field.name] = schema_of(field);
    if (field.required) required.push_back(Value(field.name));
  }
  Object schema{{"type", "object"}, {"description", shape.about}, {"properties", std::move(properties)}};
  schema["additionalProperties"] = false;
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

}  // namespace penstock::app
