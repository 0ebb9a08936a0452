#include "mock/instance.h"

#include <algorithm>
#include <cmath>

#include "mock/text.h"

namespace penstock::mock {
namespace {

// Gemini writes types in capitals.
std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

constexpr int kDepthMax = 8;
constexpr int kDepthEnd = 24;  // a schema that requires itself has no finite instance
constexpr std::size_t kItemsMax = 64;
constexpr std::size_t kLengthMax = 4096;

class Generator {
 public:
  Generator(const json::Value& root, std::uint64_t seed) : root_(root), random_(seed) {}

  json::Value make(const json::Value& schema, int depth) {
    if (depth > kDepthEnd || !schema.is_object()) return nullptr;
    if (const auto* value = json::find(schema, "const")) return *value;
    if (const auto* values = json::find(schema, "enum");
        values != nullptr && values->is_array() && !values->get_array().empty()) {
      return values->get_array().at(random_.next() % values->get_array().size());
    }
    if (const auto* target = resolve(json::string_or(schema, "$ref", ""))) return make(*target, depth + 1);
    for (std::string_view choice : {"anyOf", "oneOf"}) {
      const auto* options = json::find(schema, choice);
      if (options != nullptr && options->is_array() && !options->get_array().empty()) {
        return make(options->get_array().front(), depth + 1);
      }
    }
    if (const auto* parts = json::find(schema, "allOf"); parts != nullptr && parts->is_array()) {
      return merged(parts->get_array(), schema, depth);
    }
    return typed(type_of(schema), schema, depth);
  }

 private:
  // "#/$defs/name" within the root; null for anything else.
  const json::Value* resolve(std::string_view reference) const {
    if (!reference.starts_with('#')) return nullptr;
    const json::Value* at = &root_;
    reference.remove_prefix(1);
    while (!reference.empty()) {
      reference.remove_prefix(1);
      std::size_t slash = reference.find('/');
      at = json::find(*at, reference.substr(0, slash));
      if (at == nullptr) return nullptr;
      reference.remove_prefix(std::min(slash, reference.size()));
    }
    return at;
  }

  static std::string type_of(const json::Value& schema) {
    const auto* type = json::find(schema, "type");
    if (type != nullptr && type->is_array() && !type->get_array().empty()) type = &type->get_array().front();
    if (type != nullptr && type->is_string()) return lower_case(type->get_string());
    if (json::find(schema, "properties") != nullptr) return "object";
    if (json::find(schema, "items") != nullptr) return "array";
    return "string";
  }

  json::Value merged(const json::Array& parts, const json::Value& schema, int depth) {
    json::Object all;
    auto take = [&all](const json::Value& value) {
      if (!value.is_object()) return;
      for (const auto& member : value.get_object()) all.insert_or_assign(member.key(), member.value());
    };
    for (const auto& part : parts) take(make(part, depth + 1));
    if (json::find(schema, "properties") != nullptr) take(typed("object", schema, depth));
    return all;
  }

  json::Value typed(std::string_view type, const json::Value& schema, int depth) {
    if (type == "object") return object(schema, depth);
    if (type == "array") return array(schema, depth);
    if (type == "integer") return static_cast<std::int64_t>(number(schema, 1.0));
    if (type == "number") return number(schema, 0.5);
    if (type == "boolean") return true;
    if (type == "null") return nullptr;
    return string(schema);
  }

  json::Value object(const json::Value& schema, int depth) {
    json::Object result;
    const auto* properties = json::find(schema, "properties");
    if (properties == nullptr || !properties->is_object()) return result;
    const auto* required = json::find(schema, "required");
    for (const auto& member : properties->get_object()) {
      bool needed = required != nullptr && required->is_array() &&
                    std::ranges::any_of(required->get_array(), [&](const json::Value& name) {
                      return name.is_string() && name.get_string() == member.key();
                    });
      if (needed || depth < kDepthMax) result.insert_or_assign(member.key(), make(member.value(), depth + 1));
    }
    return result;
  }

  json::Value array(const json::Value& schema, int depth) {
    json::Array result;
    auto count = static_cast<std::size_t>(
        std::max<std::int64_t>(json::int_or(schema, "minItems", depth < kDepthMax ? 1 : 0), 0));
    const auto* items = json::find(schema, "items");
    static const json::Value kAnything = json::Object();
    for (std::size_t i = 0; i < std::min(count, kItemsMax); ++i)
      result.push_back(make(items != nullptr ? *items : kAnything, depth + 1));
    return result;
  }

  static std::optional<double> bound(const json::Value& schema, std::string_view key) {
    const auto* value = json::find(schema, key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
  }

  double number(const json::Value& schema, double margin) {
    auto low = bound(schema, "minimum");
    auto high = bound(schema, "maximum");
    if (auto above = bound(schema, "exclusiveMinimum")) low = *above + margin;
    if (auto below = bound(schema, "exclusiveMaximum")) high = *below - margin;
    double from = low.value_or(high ? *high - 10 : 1);
    double to = high.value_or(from + 10);
    double value = std::floor(from + random_.unit() * (to - from));
    value = std::clamp(value, std::min(from, to), std::max(from, to));
    if (auto step = bound(schema, "multipleOf"); step && *step > 0) value = std::ceil(from / *step) * *step;
    // Beyond 2^53 a double is no exact integer any more.
    constexpr double kExactMax = 9007199254740992.0;
    return std::isfinite(value) ? std::clamp(value, -kExactMax, kExactMax) : 0;
  }

  json::Value string(const json::Value& schema) {
    std::string_view format = json::string_or(schema, "format", "");
    if (format == "date-time") return "2024-01-15T09:30:00Z";
    if (format == "date") return "2024-01-15";
    if (format == "time") return "09:30:00Z";
    if (format == "email") return "user@example.com";
    if (format == "uri" || format == "url") return "https://example.com/";
    if (format == "uuid") return "123e4567-e89b-42d3-a456-426614174000";
    if (format == "ipv4") return "192.0.2.1";
    std::string text = words(random_.next(), 2).text;
    auto shortest = static_cast<std::size_t>(std::max<std::int64_t>(json::int_or(schema, "minLength", 0), 0));
    auto longest = static_cast<std::size_t>(std::max<std::int64_t>(json::int_or(schema, "maxLength", kLengthMax), 0));
    while (text.size() < std::min(shortest, kLengthMax)) text += 'x';
    if (text.size() > longest) text.resize(longest);
    return json::Value(std::string_view(text));
  }

  const json::Value& root_;
  Random random_;
};

}  // namespace

json::Value instance_of(const json::Value& schema, std::uint64_t seed) {
  return Generator(schema, seed).make(schema, 0);
}

}  // namespace penstock::mock
