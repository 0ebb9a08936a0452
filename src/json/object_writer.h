// One JSON object, written member by member onto the end of a string.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "json/value.h"

namespace penstock::json {

class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }

  // The member's name; the caller appends its value.
  std::string& member(std::string_view name) {
    if (!std::exchange(first_, false)) out_ += ',';
    append_quoted(out_, name);
    out_ += ':';
    return out_;
  }
  void text(std::string_view name, std::string_view value) { append_quoted(member(name), value); }
  void boolean(std::string_view name, bool value) { member(name) += value ? "true" : "false"; }
  void integer(std::string_view name, std::int64_t value) { member(name) += std::to_string(value); }
  // The shortest text that reads back as `value`, which is finite.
  void number(std::string_view name, double value) { fmt::format_to(std::back_inserter(member(name)), "{}", value); }
  void value(std::string_view name, const Value& value) { member(name) += dump(value); }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace penstock::json
