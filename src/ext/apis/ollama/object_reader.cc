#include "ext/apis/ollama/object_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace penstock::ext {

namespace {

// null and what is empty ask for nothing.
bool says_something(const json::Value& value) {
  if (const auto* text = value.if_string()) return !text->empty();
  if (const auto* list = value.if_array()) return !list->empty();
  if (const auto* object = value.if_object()) return !object->empty();
  return !value.is_null();
}

}  // namespace

ObjectReader::ObjectReader(const json::Value& value, std::string path, Findings& findings)
    : object_(value.if_object()), path_(std::move(path)), findings_(findings) {
  if (object_ != nullptr || findings_.mistake) return;
  std::string at = path_.empty() ? "the body" : path_.substr(0, path_.size() - 1);
  findings_.mistake = Error{Errc::invalid_argument, at + ": must be an object"};
}

const json::Value* ObjectReader::get(std::string_view name) {
  known_.push_back(name);
  const json::Value* value = object_ == nullptr ? nullptr : object_->if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string ObjectReader::text(std::string_view name) {
  const json::Value* value = get(name);
  if (value == nullptr) return {};
  if (value->is_string()) return std::string(value->get_string());
  mistake(name, "must be a string");
  return {};
}

std::optional<bool> ObjectReader::boolean(std::string_view name) {
  const json::Value* value = get(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  mistake(name, "must be true or false");
  return std::nullopt;
}

std::optional<double> ObjectReader::number(std::string_view name) {
  const json::Value* value = get(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->to_number<double>();
  mistake(name, "must be a number");
  return std::nullopt;
}

std::optional<std::int64_t> ObjectReader::integer(std::string_view name) {
  const json::Value* value = get(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64()) return value->get_int64();
  constexpr double kMax = 9e18;
  if (value->is_double() && std::abs(value->get_double()) < kMax &&
      std::floor(value->get_double()) == value->get_double())
    return static_cast<std::int64_t>(value->get_double());
  mistake(name, "must be a whole number");
  return std::nullopt;
}

const json::Array* ObjectReader::list(std::string_view name) {
  const json::Value* value = get(name);
  if (value == nullptr) return nullptr;
  if (value->is_array()) return &value->get_array();
  mistake(name, "must be a list");
  return nullptr;
}

std::vector<std::string> ObjectReader::texts(std::string_view name) {
  std::vector<std::string> out;
  const json::Array* all = list(name);
  if (all == nullptr) return out;
  for (std::size_t i = 0; i < all->size(); ++i) {
    if ((*all)[i].is_string()) {
      out.emplace_back((*all)[i].get_string());
    } else {
      mistake(fmt::format("{}[{}]", name, i), "must be a string");
    }
  }
  return out;
}

void ObjectReader::done() {
  if (object_ == nullptr) return;
  for (const auto& member : *object_) {
    std::string_view name = member.key();
    if (says_something(member.value()) && std::ranges::find(known_, name) == known_.end())
      findings_.unread.push_back(path(name));
  }
}

void ObjectReader::mistake(std::string_view name, std::string_view what) {
  if (!findings_.mistake) findings_.mistake = Error{Errc::invalid_argument, fmt::format("{}: {}", path(name), what)};
}

}  // namespace penstock::ext
