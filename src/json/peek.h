// One look at a request body without building a document: is it one valid JSON object, and what do the few top-level
// fields say that routing and policy need? Everything else stays the client's bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::json {

// Bytes that must be readable (not valid) behind the text handed to peek().
constexpr std::size_t kPadding = 64;

// What was found at one requested top-level field.
struct Field {
  enum class Kind { absent, null, boolean, integer, number, string, array, object };
  Kind kind = Kind::absent;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string string;     // unescaped, for strings
  std::size_t begin = 0;  // the value's bytes in the text: [begin, end)
  std::size_t end = 0;
  std::size_t elements = 0;  // for arrays
};

struct Peeked {
  std::size_t object_begin = 0;  // offset of the opening brace
  bool empty = false;            // "{}"
  std::vector<Field> fields;     // one per requested name, in the order asked for
};

// Parses `text` strictly (RFC 8259, UTF-8, at most kDepthMax deep) and reads the named top-level fields. A requested
// field that appears twice is refused: gateway and provider could read different ones. `text` must lie in a buffer with
// kPadding more readable bytes. Uses a parser per thread; no allocation in the steady state beyond the strings.
Result<Peeked> peek(std::string_view text, std::span<const std::string_view> names);

}  // namespace penstock::json
