// One look at a request body without building a document: is it one valid JSON object, and what do the few top-level
// fields say that routing and policy need? Everything else stays the client's bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::json {

// A string's value: the bytes of the text it was read from, which must outlive it and every copy, or a copy of its own
// when something in the string is escaped.
class Text {
 public:
  void refer_to(std::string_view bytes) { bytes_ = bytes; }
  void own(std::string unescaped) { own_ = std::move(unescaped); }
  std::string_view view() const { return own_.empty() ? bytes_ : std::string_view(own_); }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor): it is a view
  bool empty() const { return view().empty(); }
  friend bool operator==(const Text& a, std::string_view b) { return a.view() == b; }

 private:
  std::string_view bytes_;
  std::string own_;
};

// What was found at one requested top-level field.
struct Field {
  enum class Kind : std::uint8_t { absent, null, boolean, integer, number, string, array, object };
  Kind kind = Kind::absent;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;      // what is no integer of 64 bits
  Text string;            // unescaped, for strings
  std::size_t begin = 0;  // the value's bytes in the text: [begin, end)
  std::size_t end = 0;
  std::size_t elements = 0;  // for arrays
};

// The document as a whole.
struct Outline {
  std::size_t object_begin = 0;  // offset of the opening brace
  bool empty = false;            // "{}"
};

struct Peeked : Outline {
  std::vector<Field> fields;  // one per requested name, in the order asked for
};

// Reads `text` strictly (RFC 8259, UTF-8, at most kDepthMax deep, numbers that fit 64 bits, no byte order mark) and the
// named top-level fields in one pass. A requested field that appears twice is refused: gateway and provider could read
// different ones. `text` must outlive the fields. Any thread.
Result<Peeked> peek(std::string_view text, std::span<const std::string_view> names);

// The same into the caller's fields, fresh ones and as many as names: allocates nothing but for escaped strings.
Result<Outline> peek(std::string_view text, std::span<const std::string_view> names, std::span<Field> fields);

}  // namespace penstock::json
