#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "chat/schema.h"
#include "chat/schema_budget.h"

namespace penstock::chat {
namespace {

// Deeper nesting than this is taken for a schema that contains itself: documents are 64 levels deep at most.
constexpr std::size_t kLevelsMax = 24;

// What the members of a schema hold. Everything else is a plain value.
enum class Holds { value, schema, list, names };

Holds holds(std::string_view key) {
  constexpr auto kSchemas =
      std::to_array<std::string_view>({"items", "additionalProperties", "additionalItems", "not", "if", "then", "else",
                                       "contains", "propertyNames", "unevaluatedProperties", "unevaluatedItems"});
  constexpr auto kLists = std::to_array<std::string_view>({"anyOf", "oneOf", "allOf", "prefixItems"});
  constexpr auto kNames = std::to_array<std::string_view>({"properties", "patternProperties", "dependentSchemas"});
  if (std::ranges::find(kSchemas, key) != kSchemas.end()) return Holds::schema;
  if (std::ranges::find(kLists, key) != kLists.end()) return Holds::list;
  return std::ranges::find(kNames, key) != kNames.end() ? Holds::names : Holds::value;
}

bool is_about_document(std::string_view key) {
  constexpr auto kKeys = std::to_array<std::string_view>(
      {"$ref", "$defs", "definitions", "$schema", "$id", "$anchor", "$comment", "$vocabulary", "$dynamicAnchor"});
  return std::ranges::find(kKeys, key) != kKeys.end();
}

// One step of a JSON pointer (RFC 6901) in a URL's fragment: %25, ~1 and ~0 are undone.
std::string unescape(std::string_view step) {
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = static_cast<char>(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string plain;
  for (std::size_t i = 0; i < step.size(); ++i) {
    bool escaped = step[i] == '%' && i + 2 < step.size() && digit(step[i + 1]) >= 0 && digit(step[i + 2]) >= 0;
    plain += escaped ? static_cast<char>(digit(step[i + 1]) * 16 + digit(step[i + 2])) : step[i];
    if (escaped) i += 2;
  }
  std::string out;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    bool escaped = plain[i] == '~' && i + 1 < plain.size() && (plain[i + 1] == '0' || plain[i + 1] == '1');
    out += !escaped ? plain[i] : plain[++i] == '0' ? '~' : '/';
  }
  return out;
}

const json::Value* child(const json::Value& value, const std::string& step) {
  if (value.is_object()) return value.get_object().if_contains(step);
  if (!value.is_array() || step.empty() || step.size() > 4) return nullptr;
  std::size_t index = 0;
  for (char c : step) {
    if (c < '0' || c > '9') return nullptr;
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return value.get_array().if_contains(index);
}

class Inliner {
 public:
  explicit Inliner(const json::Value& root) : root_(root), budget_(root) {}

  json::Value schema(const json::Value& from) {
    if (!from.is_object()) return from;  // true and false are schemas, too
    if (error_) return {};
    if (!budget_.take_node()) return too_large();
    const json::Value* reference = from.get_object().if_contains("$ref");
    if (reference == nullptr || !reference->is_string()) return json::Value(members(from.get_object()));
    const json::Value* target = find(reference->get_string());
    if (target == nullptr) return {};
    json::Object out;
    bool within_itself = std::ranges::find(open_, target) != open_.end() || open_.size() >= kLevelsMax;
    if (within_itself) {
      if (const json::Value* type = json::find(*target, "type")) out["type"] = *type;
    } else {
      open_.push_back(target);
      json::Value inlined = schema(*target);
      open_.pop_back();
      if (inlined.is_object()) out = std::move(inlined.get_object());
    }
    for (auto& member : members(from.get_object())) out[member.key()] = std::move(member.value());
    return json::Value(std::move(out));
  }

  std::optional<Error>& error() { return error_; }

 private:
  json::Value too_large() {
    wrong(
        fmt::format("the schema has more than {} parts once its references are written out, or more than 1 MiB beyond "
                    "four times its size: name fewer or smaller definitions",
                    SchemaBudget::kNodesMax));
    return {};
  }

  json::Object members(const json::Object& from) {
    json::Object out;
    for (const auto& member : from) {
      if (error_) return out;
      if (is_about_document(member.key())) continue;
      if (!budget_.take(member.key().size())) too_large();
      out[member.key()] = inside(member.key(), member.value());
    }
    return out;
  }

  json::Value inside(std::string_view key, const json::Value& value) {
    Holds kind = holds(key);
    if (value.is_array() && (kind == Holds::list || kind == Holds::schema)) {
      json::Array out;
      for (const json::Value& entry : value.get_array()) out.push_back(schema(entry));
      return json::Value(std::move(out));
    }
    if (kind == Holds::schema) return schema(value);
    if (kind == Holds::names && value.is_object()) {
      json::Object out;
      for (const auto& member : value.get_object()) {
        if (!budget_.take(member.key().size())) return too_large();
        out[member.key()] = schema(member.value());
      }
      return json::Value(std::move(out));
    }
    return budget_.take(weight(value)) ? value : too_large();
  }

  const json::Value* find(std::string_view reference) {
    const json::Value* at = &root_;
    std::string_view rest = reference;
    if (!rest.starts_with('#')) at = nullptr;
    rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
    while (at != nullptr && rest.starts_with('/')) {
      std::size_t end = std::min(rest.find('/', 1), rest.size());
      at = child(*at, unescape(rest.substr(1, end - 1)));
      rest.remove_prefix(end);
    }
    if (at != nullptr && rest.empty()) return at;
    wrong(fmt::format("the reference '{}' names nothing in the schema", reference.substr(0, 200)));
    return nullptr;
  }

  void wrong(std::string what) {
    if (!error_) error_ = Error{Errc::invalid_argument, std::move(what)};
  }

  const json::Value& root_;
  std::vector<const json::Value*> open_;  // the targets that are being written out
  SchemaBudget budget_;
  std::optional<Error> error_;
};

}  // namespace

Result<json::Value> inline_references(const json::Value& schema) {
  Inliner inliner(schema);
  json::Value out = inliner.schema(schema);
  if (inliner.error()) return std::unexpected(*inliner.error());
  return out;
}

}  // namespace penstock::chat
