#include "json/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace penstock::json {

Place Place::below(Step step, const Value* value) const {
  Place place = *this;
  place.value_ = value;
  if (place.depth_ < kStepsMax) place.steps_[place.depth_++] = step;
  return place;
}

Place Place::at(std::string_view key) const {
  const Value* found = value_ == nullptr ? nullptr : find(*value_, key);
  return below({key}, found);
}

std::string_view Place::text() const {
  if (!present()) return {};
  if (!value_->is_string()) {
    wrong("must be a string");
    return {};
  }
  return {value_->get_string().data(), value_->get_string().size()};
}

std::optional<bool> Place::boolean() const {
  if (!present()) return std::nullopt;
  if (value_->is_bool()) return value_->get_bool();
  wrong("must be true or false");
  return std::nullopt;
}

std::optional<double> Place::number() const {
  if (!present()) return std::nullopt;
  if (value_->is_double()) return value_->get_double();
  if (value_->is_int64()) return static_cast<double>(value_->get_int64());
  if (value_->is_uint64()) return static_cast<double>(value_->get_uint64());
  wrong("must be a number");
  return std::nullopt;
}

std::optional<std::int64_t> Place::integer() const {
  if (!present()) return std::nullopt;
  if (value_->is_int64()) return value_->get_int64();
  constexpr double kExact = 9007199254740992;  // 2^53: beyond it a double is no exact integer
  if (value_->is_double() && std::trunc(value_->get_double()) == value_->get_double() &&
      std::abs(value_->get_double()) <= kExact)
    return static_cast<std::int64_t>(value_->get_double());
  wrong("must be an integer");
  return std::nullopt;
}

std::string_view Place::required_text() const {
  std::string_view found = text();
  if (found.empty()) wrong("must be a string that is not empty");
  return found;
}

const Value* Place::required_object() const {
  if (is_object()) return value_;
  wrong("must be an object");
  return nullptr;
}

void Place::list_others(std::initializer_list<std::string_view> known, std::vector<std::string>& paths) const {
  members([&](std::string_view key, const Place& member) {
    if (member.present() && std::find(known.begin(), known.end(), key) == known.end()) paths.push_back(member.path());
  });
}

std::string Place::path() const {
  std::string path;
  for (std::size_t i = 0; i < depth_; ++i) {
    const Step& step = steps_[i];
    if (step.key.data() == nullptr) {
      path += fmt::format("[{}]", step.index);
    } else {
      if (!path.empty()) path += '.';
      path += step.key.substr(0, 100);
    }
  }
  return path;
}

void Place::wrong(std::string_view what) const {
  if (mistake_->made()) return;
  mistake_->note(depth_ == 0 ? fmt::format("the body {}", what) : fmt::format("{}: {}", path(), what));
}

}  // namespace penstock::json
