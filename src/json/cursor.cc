#include "json/cursor.h"

#include <limits>
#include <type_traits>

#include "json/number.h"
#include "json/scan.h"
#include "json/value.h"

namespace penstock::json {
namespace {

constexpr double kInverses[kExactPower + 1] = {1e-0,  1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,
                                               1e-8,  1e-9,  1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15,
                                               1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22};

bool to_float_exactly(const Number& number, const char* at, float& out) {
  if (number.exact && number.digits == 0) {
    out = number.negative ? -0.0F : 0.0F;
    return true;
  }
  auto [end, error] = std::from_chars(at, number.end, out);
  if (error == std::errc{}) return true;
  std::string text(at, number.end);
  out = std::strtof(text.c_str(), nullptr);
  return std::isfinite(out);
}

// By way of a double that is at most two units off in its last place: the digits, the power of ten and the product are
// each rounded once. Rounding on to float is right unless that error could cross the middle between two floats; 29 bits
// are dropped, so their middle is 2^28. Floats that are not normal take the exact path, too.
inline bool to_float(const Number& number, const char* at, float& out) {
  constexpr std::uint64_t kLeast = std::uint64_t{1023 - 126} << 52;
  constexpr std::uint64_t kMost = std::uint64_t{1023 + 127} << 52;
  if (number.exact && std::abs(number.exponent) <= kExactPower && (number.digits >> 63) == 0) {
    auto value = static_cast<double>(static_cast<std::int64_t>(number.digits));
    value *= number.exponent < 0 ? kInverses[-number.exponent] : kPowers[number.exponent];
    auto bits = std::bit_cast<std::uint64_t>(value);
    auto from_middle = static_cast<std::int64_t>(bits & 0x1FFFFFFF) - 0x10000000;
    if (bits >= kLeast && bits < kMost && std::abs(from_middle) > 8) {
      out = static_cast<float>(number.negative ? -value : value);
      return true;
    }
  }
  return to_float_exactly(number, at, out);
}

template <class T>
bool to_whole(const Number& number, const char* at, T& out) {
  if (!number.whole) return false;
  if (number.exact && number.digits <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()) && !number.negative) {
    out = static_cast<T>(number.digits);
    return true;
  }
  if (std::is_unsigned_v<T> && number.negative) {
    out = 0;
    return number.exact && number.digits == 0;
  }
  auto [end, error] = std::from_chars(at, number.end, out);
  return error == std::errc{};
}

template <class T>
inline bool convert(const Number& number, const char* at, T& out) {
  if constexpr (std::is_same_v<T, double>) {
    return to_double(number, at, out);
  } else if constexpr (std::is_same_v<T, float>) {
    return to_float(number, at, out);
  } else {
    return to_whole(number, at, out);
  }
}

template <class T>
std::string expected_number() {
  if constexpr (std::is_same_v<T, double>) return "a number within the range of a 64-bit float";
  if constexpr (std::is_same_v<T, float>) return "a number within the range of a 32-bit float";
  if constexpr (std::is_integral_v<T>) {
    return fmt::format("a whole number from {} to {}", +std::numeric_limits<T>::min(), +std::numeric_limits<T>::max());
  }
}

// The start of what stands at `at`, to show it in a message.
std::string_view shown(const char* at, const char* end) {
  const char* stop = at;
  while (stop != end && stop - at < 24 && !is_blank(*stop) && *stop != ',' && *stop != ']' && *stop != '}') ++stop;
  return {at, static_cast<std::size_t>(stop - at)};
}

}  // namespace

Cursor::Cursor(std::string_view text) : begin_(text.data()), end_(text.data() + text.size()), at_(text.data()) {}

bool Cursor::fault(std::size_t offset, std::string_view what) {
  if (!failed_) {
    failed_ = true;
    error_ = fmt::format("byte {}: {}", offset, what);
  }
  return false;
}

void Cursor::blanks() {
  while (at_ != end_ && is_blank(*at_)) ++at_;
}

std::size_t Cursor::offset() {
  blanks();
  return static_cast<std::size_t>(at_ - begin_);
}

void Cursor::seek(std::size_t offset) {
  at_ = begin_ + offset;
  fresh_ = false;
}

Cursor::Kind Cursor::peek() {
  if (failed_) return Kind::none;
  blanks();
  if (at_ == end_) return Kind::none;
  switch (*at_) {
    case '{': return Kind::object;
    case '[': return Kind::array;
    case '"': return Kind::string;
    case 't':
    case 'f': return Kind::boolean;
    case 'n': return Kind::null;
    default: return *at_ == '-' || is_digit(*at_) ? Kind::number : Kind::none;
  }
}

bool Cursor::at_nested_array() {
  if (peek() != Kind::array) return false;
  const char* at = at_ + 1;
  while (at != end_ && is_blank(*at)) ++at;
  return at != end_ && *at == '[';
}

bool Cursor::expect(char byte, std::string_view what) {
  if (failed_) return false;
  blanks();
  if (at_ == end_) return fault(offset(), fmt::format("expected {} but the text ends", what));
  if (*at_ != byte) return fault(offset(), fmt::format("expected {}", what));
  ++at_;
  return true;
}

bool Cursor::enter(char open, std::string_view what) {
  if (!expect(open, what)) return false;
  if (++depth_ > kDepthMax) return fault(offset(), fmt::format("nested deeper than {} levels", kDepthMax));
  fresh_ = true;
  return true;
}

bool Cursor::open_object() { return enter('{', "an object"); }
bool Cursor::open_array() { return enter('[', "an array"); }

bool Cursor::next_element() {
  if (failed_) return false;
  blanks();
  if (at_ != end_ && *at_ == ']') {
    ++at_;
    --depth_;
    fresh_ = false;
    return false;
  }
  if (!fresh_ && !expect(',', "',' or ']'")) return false;
  fresh_ = false;
  if (peek() == Kind::none) return fault(offset(), "expected a value");
  return true;
}

bool Cursor::next_member(std::string_view& key) {
  if (failed_) return false;
  blanks();
  if (at_ != end_ && *at_ == '}') {
    ++at_;
    --depth_;
    fresh_ = false;
    return false;
  }
  if (!fresh_ && !expect(',', "',' or '}'")) return false;
  fresh_ = false;
  bool escaped = false;
  if (!scan_string(key, escaped)) return false;
  if (escaped) {
    scratch_.clear();
    if (!unescape(key, scratch_)) return false;
    key = scratch_;
  }
  return expect(':', "':'");
}

// Leaves `raw` between the quotes. Everything is checked except escapes, which unescape() checks.
bool Cursor::scan_string(std::string_view& raw, bool& escaped) {
  if (!expect('"', "a string")) return false;
  const char* start = at_;
  bool ascii = true;
  for (at_ = plain_end(at_, end_, ascii); at_ != end_ && *at_ != '"'; at_ = plain_end(at_, end_, ascii)) {
    if (*at_ != '\\') return fault(offset(), "a control character in a string must be escaped");
    escaped = true;
    if (++at_ == end_) break;
    if (static_cast<unsigned char>(*at_) < 0x20) return fault(offset(), "malformed escape");
    if (static_cast<unsigned char>(*at_) >= 0x80) ascii = false;
    ++at_;
  }
  if (at_ == end_) return fault(static_cast<std::size_t>(start - begin_), "the string does not end");
  raw = {start, static_cast<std::size_t>(at_ - start)};
  ++at_;
  if (!ascii && !is_valid_utf8(raw)) {
    return fault(static_cast<std::size_t>(start - begin_), "the string is not valid UTF-8");
  }
  return true;
}

bool Cursor::unescape(std::string_view raw, std::string& out) {
  Mistake mistake = json::unescape(raw, out);
  return mistake.what == nullptr || fault(static_cast<std::size_t>(mistake.at - begin_), mistake.what);
}

bool Cursor::read_string(std::string& out) {
  std::string_view raw;
  bool escaped = false;
  if (!scan_string(raw, escaped)) return false;
  if (!escaped) {
    out.assign(raw);
    return true;
  }
  out.clear();
  return unescape(raw, out);
}

bool Cursor::literal(std::string_view word) {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::string_view(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

bool Cursor::read_bool(bool& out) {
  if (failed_) return false;
  blanks();
  if (literal("true")) {
    out = true;
    return true;
  }
  if (literal("false")) {
    out = false;
    return true;
  }
  return fault(offset(), "expected true or false");
}

bool Cursor::read_null() {
  if (failed_) return false;
  blanks();
  return literal("null") || fault(offset(), "expected null");
}

template <class T>
bool Cursor::read_number(T& out) {
  if (failed_) return false;
  blanks();
  Number number = scan_number(at_, end_);
  if (number.end == nullptr || !convert(number, at_, out)) [[unlikely]] {
    return fault(offset(), fmt::format("expected {}, found '{}'", expected_number<T>(), shown(at_, end_)));
  }
  at_ = number.end;
  return true;
}

// The part of an array of numbers that is as expected: "1, 2, 3". Stops in front of the first thing that is not and
// leaves it to the caller, who knows how to say so; `comma` then tells whether a value must follow.
template <class T>
std::size_t Cursor::take_numbers(T* out, std::size_t count, bool& comma) {
  const char* at = at_;
  const char* const end = end_;
  for (std::size_t taken = 0; taken < count; ++taken) {
    while (at != end && is_blank(*at)) ++at;
    Number number = scan_number(at, end);
    if (number.end == nullptr || !convert(number, at, out[taken])) [[unlikely]]
      return taken;
    at = number.end;
    while (at != end && is_blank(*at)) ++at;
    comma = at != end && *at == ',';
    if (comma) ++at;
    at_ = at;
    fresh_ = false;
    if (!comma) return taken + 1;
  }
  return count;
}

template <class T>
bool Cursor::read_array(T* out, std::size_t count) {
  if (!open_array()) return false;
  std::size_t taken = 0;
  if constexpr (!std::is_same_v<T, bool>) {
    bool comma = false;
    taken = take_numbers(out, count, comma);
    if (comma && taken < count && !read_number(out[taken++])) return false;
    if (comma && taken == count) return fault(offset(), fmt::format("more than {} elements in the array", count));
  }
  while (next_element()) {
    if (taken == count) return fault(offset(), fmt::format("more than {} elements in the array", count));
    if constexpr (std::is_same_v<T, bool>) {
      if (!read_bool(out[taken])) return false;
    } else {
      if (!read_number(out[taken])) return false;
    }
    ++taken;
  }
  if (failed_) return false;
  if (taken < count) return fault(offset(), fmt::format("{} elements in the array, expected {}", taken, count));
  return true;
}

bool Cursor::skip_number() {
  Number number = scan_number(at_, end_);
  if (number.end == nullptr) return fault(offset(), "malformed number");
  at_ = number.end;
  return true;
}

bool Cursor::skip() {
  std::string_view key;
  bool flag = false;
  switch (peek()) {
    case Kind::object:
      if (!open_object()) return false;
      while (next_member(key)) skip();
      break;
    case Kind::array:
      if (!open_array()) return false;
      while (next_element()) skip();
      break;
    case Kind::string:
      if (scan_string(key, flag) && flag) {
        scratch_.clear();
        unescape(key, scratch_);
      }
      break;
    case Kind::number: skip_number(); break;
    case Kind::boolean: read_bool(flag); break;
    case Kind::null: read_null(); break;
    case Kind::none: fault(offset(), at_ == end_ ? "the text ends early" : "expected a value"); break;
  }
  return !failed_;
}

bool Cursor::finish() {
  if (failed_) return false;
  blanks();
  return at_ == end_ || fault(offset(), "more text after the end of the JSON value");
}

template bool Cursor::read_number(float&);
template bool Cursor::read_number(double&);
template bool Cursor::read_number(std::int8_t&);
template bool Cursor::read_number(std::int16_t&);
template bool Cursor::read_number(std::int32_t&);
template bool Cursor::read_number(std::int64_t&);
template bool Cursor::read_number(std::uint8_t&);
template bool Cursor::read_number(std::uint16_t&);
template bool Cursor::read_number(std::uint32_t&);
template bool Cursor::read_number(std::uint64_t&);
template bool Cursor::read_array(bool*, std::size_t);
template bool Cursor::read_array(float*, std::size_t);
template bool Cursor::read_array(double*, std::size_t);
template bool Cursor::read_array(std::int8_t*, std::size_t);
template bool Cursor::read_array(std::int16_t*, std::size_t);
template bool Cursor::read_array(std::int32_t*, std::size_t);
template bool Cursor::read_array(std::int64_t*, std::size_t);
template bool Cursor::read_array(std::uint8_t*, std::size_t);
template bool Cursor::read_array(std::uint16_t*, std::size_t);
template bool Cursor::read_array(std::uint32_t*, std::size_t);
template bool Cursor::read_array(std::uint64_t*, std::size_t);

}  // namespace penstock::json
