// Appends JSON text to a string and sets the commas itself:
//
//   Writer out(text);
//   out.open_object().member("model", name).key("stop").open_array().string("a").close_array().close_object();
//
// Keeps nothing but where it began: whether a comma is due shows in the last byte. Strings that are not valid UTF-8 are
// repaired. Brackets are the caller's to close.
#pragma once

#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

#include "base/text.h"
#include "json/value.h"

namespace penstock::json {

class Writer {
 public:
  // What stands in `out` already is left alone.
  explicit Writer(std::string& out) : out_(out), begin_(out.size()) {}

  Writer& open_object() { return raw("{"); }
  Writer& close_object() { return bracket('}'); }
  Writer& open_array() { return raw("["); }
  Writer& close_array() { return bracket(']'); }
  // A name that needs no escapes.
  Writer& key(std::string_view name) {
    comma();
    base::append(out_, "\"", name, "\":");
    return *this;
  }

  Writer& string(std::string_view text) {
    comma();
    append_quoted(out_, text);
    return *this;
  }
  Writer& number(std::int64_t value) { return raw(base::Digits(value)); }
  // What is not finite has no number in JSON: null.
  Writer& number(std::floating_point auto value) {
    if (!std::isfinite(value)) return null();
    char digits[40];
    return raw({digits, std::to_chars(digits, digits + sizeof digits, value).ptr});
  }
  Writer& boolean(bool value) { return raw(value ? "true" : "false"); }
  Writer& null() { return raw("null"); }
  Writer& value(const Value& document) { return raw(dump(document)); }
  // One value that is JSON text already.
  Writer& raw(std::string_view text) {
    comma();
    out_ += text;
    return *this;
  }

  Writer& member(std::string_view name, std::string_view text) { return key(name).string(text); }
  Writer& member(std::string_view name, const char* text) { return key(name).string(text); }
  Writer& member(std::string_view name, const std::string& text) { return key(name).string(text); }
  Writer& member(std::string_view name, std::integral auto number) {
    if constexpr (std::same_as<decltype(number), bool>) {
      return key(name).boolean(number);
    } else {
      return key(name).number(static_cast<std::int64_t>(number));
    }
  }
  Writer& member(std::string_view name, std::floating_point auto value) { return key(name).number(value); }
  Writer& member(std::string_view name, const Value& document) { return key(name).value(document); }

 private:
  void comma() {
    if (out_.size() == begin_) return;
    char last = out_.back();
    if (last != '{' && last != '[' && last != ':') out_ += ',';
  }
  Writer& bracket(char close) {
    out_ += close;
    return *this;
  }

  std::string& out_;
  std::size_t begin_;
};

}  // namespace penstock::json
