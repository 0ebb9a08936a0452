// A document read by somebody who does not trust it: every access says what it expects, and the first value that is
// something else is remembered with its path.
//
//   Mistake mistake;
//   Place body(document, mistake);
//   std::string_view model = body.at("model").text();
//   body.at("messages").each([&](Place message) { ... });
//   if (mistake.made()) return fail(Errc::invalid_argument, mistake.text());
//
// Reading goes on after a mistake with empty values, so that checking once at the end is enough. Single-threaded.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"

namespace penstock::json {

class Mistake {
 public:
  bool made() const { return !text_.empty(); }
  const std::string& text() const { return text_; }  // "messages[3].content: must be a string"
  void note(std::string text) {
    if (text_.empty()) text_ = std::move(text);
  }

 private:
  std::string text_;
};

// Cheap to copy; valid as long as the document and the Mistake.
class Place {
 public:
  Place(const Value& document, Mistake& mistake) : value_(&document), mistake_(&mistake) {}

  bool present() const { return value_ != nullptr && !value_->is_null(); }  // null counts as not said
  bool is_string() const { return value_ != nullptr && value_->is_string(); }
  bool is_array() const { return value_ != nullptr && value_->is_array(); }
  bool is_object() const { return value_ != nullptr && value_->is_object(); }
  const Value* value() const { return value_; }

  // An absent place when there is no such member, or this is no object. `key` outlives the place.
  Place at(std::string_view key) const;
  // Members in their order; nothing of an absent place; a mistake of what is no object. The same for elements.
  template <class Take>
  void members(Take take) const;
  template <class Take>
  void each(Take take) const;

  // Empty or nothing when absent or null; a mistake of another type. Views of the document.
  std::string_view text() const;
  std::optional<bool> boolean() const;
  std::optional<double> number() const;
  std::optional<std::int64_t> integer() const;  // also 12.0
  // The same, and a mistake when absent or empty.
  std::string_view required_text() const;
  // A mistake unless it is an object.
  const Value* required_object() const;

  // The paths of the members that are said but not named here.
  void list_others(std::initializer_list<std::string_view> known, std::vector<std::string>& paths) const;

  std::string path() const;  // "messages[3].content"; empty for the document
  // Notes a mistake of this place: "must be a string".
  void wrong(std::string_view what) const;

 private:
  // Deeper places are named by the first so many steps.
  static constexpr std::size_t kStepsMax = 10;
  struct Step {
    std::string_view key;  // or, when null:
    std::size_t index = 0;
  };
  Place below(Step step, const Value* value) const;

  const Value* value_;
  Mistake* mistake_;
  std::array<Step, kStepsMax> steps_;
  std::size_t depth_ = 0;
};

template <class Take>
void Place::members(Take take) const {
  if (!present()) return;
  if (!is_object()) return wrong("must be an object");
  for (const auto& member : value_->get_object()) {
    std::string_view key(member.key().data(), member.key().size());
    take(key, below({key}, &member.value()));
  }
}

template <class Take>
void Place::each(Take take) const {
  if (!present()) return;
  if (!is_array()) return wrong("must be a list");
  std::size_t index = 0;
  for (const Value& element : value_->get_array()) take(below({{}, index++}, &element));
}

}  // namespace penstock::json
