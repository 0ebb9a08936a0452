#include "ext/apis/gemini/members.h"

#include <fmt/format.h>

#include <charconv>

namespace penstock::ext {
namespace {

std::string camel(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  for (std::size_t i = 0; i < name.size(); ++i) {
    bool joint = name[i] == '_' && i > 0 && i + 1 < name.size() && name[i + 1] >= 'a' && name[i + 1] <= 'z';
    out += joint ? static_cast<char>(name[++i] - 32) : name[i];
  }
  return out;
}

}  // namespace

void Reading::wrong(std::string_view path, std::string_view what) {
  if (!error) error = Error{Errc::invalid_argument, fmt::format("{}: {}", path, what)};
}

Members::Members(Reading& reading, const json::Value* value, std::string path)
    : reading_(&reading), path_(std::move(path)) {
  if (value == nullptr || value->is_null()) return;
  if (!value->is_object()) {
    reading.wrong(path_.empty() ? "the body" : path_, "must be an object");
    return;
  }
  members_.reserve(value->get_object().size());
  for (const auto& member : value->get_object()) members_.push_back({camel(member.key()), &member.value()});
}

const json::Value* Members::take(std::string_view name) {
  const json::Value* found = nullptr;
  for (Member& member : members_) {
    if (member.name != name) continue;
    if (found != nullptr) wrong(name, "stands twice");
    member.taken = true;
    found = member.value;
  }
  return found != nullptr && !found->is_null() ? found : nullptr;
}

std::string Members::text(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return {};
  if (const auto* text = value->if_string()) return std::string(*text);
  wrong(name, "must be a string");
  return {};
}

std::optional<std::int64_t> Members::integer(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return std::nullopt;
  if (const auto* whole = value->if_int64()) return *whole;
  // 1e15: beyond any limit of tokens, and exact as a double.
  if (const auto* real = value->if_double();
      real && *real == static_cast<double>(static_cast<std::int64_t>(std::abs(*real) < 1e15 ? *real : 0.5)))
    return static_cast<std::int64_t>(*real);
  if (const auto* text = value->if_string()) {
    std::int64_t number = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error == std::errc() && end == text->data() + text->size()) return number;
  }
  wrong(name, "must be a whole number");
  return std::nullopt;
}

std::optional<double> Members::number(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->to_number<double>();
  wrong(name, "must be a number");
  return std::nullopt;
}

std::optional<bool> Members::boolean(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return std::nullopt;
  if (const bool* truth = value->if_bool()) return *truth;
  wrong(name, "must be true or false");
  return std::nullopt;
}

std::vector<std::pair<const json::Value*, std::string>> Members::list(std::string_view name) {
  std::vector<std::pair<const json::Value*, std::string>> out;
  const json::Value* value = take(name);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    out.emplace_back(value, at(name));
    return out;
  }
  for (const json::Value& entry : value->get_array())
    out.emplace_back(&entry, fmt::format("{}[{}]", at(name), out.size()));
  return out;
}

std::vector<std::string> Members::texts(std::string_view name) {
  std::vector<std::string> out;
  for (const auto& [value, path] : list(name)) {
    if (const auto* text = value->if_string())
      out.emplace_back(*text);
    else
      reading_->wrong(path, "must be a string");
  }
  return out;
}

void Members::done() {
  for (const Member& member : members_) {
    if (!member.taken && !member.value->is_null()) reading_->unread.push_back(at(member.name));
  }
}

}  // namespace penstock::ext
