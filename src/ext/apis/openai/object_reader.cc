#include "ext/apis/openai/object_reader.h"

namespace penstock::ext {

std::string OpenAiPlace::text() const {
  std::string out = parent == nullptr ? "" : parent->text();
  if (!out.empty() && !name.empty()) out += '.';
  out += name;
  if (index) out += fmt::format("[{}]", *index);
  return out;
}

void OpenAiReading::leave_unread(const OpenAiPlace& place) {
  constexpr std::size_t kUnreadMax = 100;
  if (unread.size() < kUnreadMax) unread.push_back(place.text());
}

void OpenAiReading::fail(const OpenAiPlace& place, std::string_view what) {
  if (mistake) return;
  std::string path = place.text();
  mistake = Error{Errc::invalid_argument, fmt::format("{}: {}", path.empty() ? "the request" : path, what)};
}

OpenAiObject::OpenAiObject(const json::Value& value, OpenAiPlace place, OpenAiReading& reading)
    : object_(value.if_object()), place_(place), reading_(reading) {
  if (object_ == nullptr) {
    reading_.fail(place_, "must be an object");
  } else {
    taken_.resize(object_->size());
  }
}

OpenAiObject::~OpenAiObject() {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    const auto& member = *(object_->begin() + static_cast<std::ptrdiff_t>(i));
    if (taken_[i] || member.value().is_null()) continue;
    reading_.leave_unread(at({member.key().data(), member.key().size()}));
  }
}

const json::Value* OpenAiObject::take(std::string_view name) {
  if (object_ == nullptr) return nullptr;
  auto found = object_->find(boost::json::string_view(name.data(), name.size()));
  if (found == object_->end()) return nullptr;
  taken_[static_cast<std::size_t>(found - object_->begin())] = true;
  return found->value().is_null() ? nullptr : &found->value();
}

std::string_view OpenAiObject::string(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get_string().data(), value->get_string().size()};
  fail(name, "must be a string");
  return {};
}

std::optional<bool> OpenAiObject::boolean(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  fail(name, "must be true or false");
  return std::nullopt;
}

std::optional<double> OpenAiObject::number(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->to_number<double>();
  fail(name, "must be a number");
  return std::nullopt;
}

std::optional<std::int64_t> OpenAiObject::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const json::Value* value = take(name);
  if (value == nullptr) return std::nullopt;
  boost::system::error_code ec;
  auto number = value->is_number() ? value->to_number<std::int64_t>(ec) : 0;
  if (!value->is_number() || ec) {
    fail(name, "must be a whole number");
    return std::nullopt;
  }
  if (number >= least && number <= most) return number;
  fail(name, most == std::numeric_limits<std::int64_t>::max() ? fmt::format("must be at least {}", least)
                                                              : fmt::format("must be from {} to {}", least, most));
  return std::nullopt;
}

const json::Array* OpenAiObject::list(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr) return nullptr;
  if (value->is_array()) return &value->get_array();
  fail(name, "must be a list");
  return nullptr;
}

const json::Value* OpenAiObject::object(std::string_view name) {
  const json::Value* value = take(name);
  if (value == nullptr || value->is_object()) return value;
  fail(name, "must be an object");
  return nullptr;
}

void OpenAiObject::unread(std::string_view name) {
  if (take(name) != nullptr) reading_.leave_unread(at(name));
}

}  // namespace penstock::ext
