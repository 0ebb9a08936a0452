#include "json/scan.h"

namespace penstock::json {
namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

int hex_value(char byte) {
  if (is_digit(byte)) return byte - '0';
  auto letter = static_cast<unsigned char>((byte | 0x20) - 'a');
  return letter < 6 ? letter + 10 : -1;
}

// Four hexadecimal digits; -1 when they are not.
int take_hex(const char*& at, const char* end) {
  if (end - at < 4) return -1;
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    int digit = hex_value(*at++);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

Mistake take_unicode(const char*& at, const char* end, std::uint32_t& code) {
  constexpr const char* kHalf = "half of a surrogate pair";
  const char* place = at;
  int high = take_hex(at, end);
  if (high < 0) return {place, "\\u needs four hexadecimal digits"};
  code = static_cast<std::uint32_t>(high);
  if (code < 0xD800 || code >= 0xE000) return {};
  if (code >= 0xDC00 || end - at < 2 || at[0] != '\\' || at[1] != 'u') return {place, kHalf};
  at += 2;
  int low = take_hex(at, end);
  if (low < 0xDC00 || low >= 0xE000) return {place, kHalf};
  code = 0x10000 + ((code - 0xD800) << 10) + (static_cast<std::uint32_t>(low) - 0xDC00);
  return {};
}

}  // namespace

const char* plain_end_tail(const char* at, const char* end, bool& ascii) { return plain_end_words(at, end, ascii); }

Mistake take_escape(const char*& at, const char* end, std::uint32_t& code) {
  const char* slash = at++;
  if (at == end) return {slash, "the string does not end"};
  switch (*at++) {
    case '"': code = '"'; return {};
    case '\\': code = '\\'; return {};
    case '/': code = '/'; return {};
    case 'b': code = '\b'; return {};
    case 'f': code = '\f'; return {};
    case 'n': code = '\n'; return {};
    case 'r': code = '\r'; return {};
    case 't': code = '\t'; return {};
    case 'u': return take_unicode(at, end, code);
    default: return {slash, "unknown escape"};
  }
}

Mistake unescape(std::string_view raw, std::string& out) {
  const char* at = raw.data();
  const char* end = at + raw.size();
  while (at != end) {
    const auto* slash = static_cast<const char*>(std::memchr(at, '\\', static_cast<std::size_t>(end - at)));
    if (slash == nullptr) slash = end;
    out.append(at, slash);
    at = slash;
    if (at == end) break;
    std::uint32_t code = 0;
    if (Mistake mistake = take_escape(at, end, code); mistake.what != nullptr) return mistake;
    append_utf8(out, code);
  }
  return {};
}

// The rest of a string from its first byte that is not plain.
bool Scanner::escapes(String& string, const char* start) {
  string.escaped = true;
  const char* at = at_;
  bool ascii = ascii_;
  while (at != end_ && *at == '\\') {
    std::uint32_t code = 0;
    if (end_ - at >= 2 && is_short_escape(at[1])) {
      at += 2;
    } else if (Mistake mistake = take_escape(at, end_, code); mistake.what != nullptr) {
      return fail_at(mistake.at, mistake.what);
    }
    at = plain_end(at, end_, ascii);
  }
  at_ = at;
  ascii_ = ascii;
  if (at == end_) return fail_at(start, "the string does not end");
  if (*at != '"') return fail("a control character in a string must be escaped");
  string.raw = {start, static_cast<std::size_t>(at - start)};
  ++at_;
  return true;
}

bool Scanner::literal(std::string_view word) {
  if (!std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) return fail("expected a value");
  at_ += word.size();
  return true;
}

bool Scanner::fits(const Number& number) const {
  if (numbers_ == Numbers::any) return true;
  double real = 0;
  if (!number.whole) return to_double(number, at_, real);
  std::int64_t low = 0;
  std::uint64_t high = 0;
  return number.negative ? std::from_chars(at_, number.end, low).ec == std::errc{}
                         : std::from_chars(at_, number.end, high).ec == std::errc{};
}

bool Scanner::number(Number& number) {
  // 19 digits and this exponent stay below the largest float.
  constexpr int kSafeExponent = 289;
  constexpr auto kLeast = std::uint64_t{1} << 63;
  number = scan_number(at_, end_);
  if (number.end == nullptr) {
    if (at_ == end_) return fail("the text ends early");
    return fail(*at_ == '-' || is_digit(*at_) ? "malformed number" : "expected a value");
  }
  bool small = number.exact && number.exponent <= kSafeExponent && (!number.negative || number.digits <= kLeast);
  if (!small && !fits(number)) return fail("a number beyond what 64 bits hold");
  at_ = number.end;
  return true;
}

// Mostly a few digits.
bool Scanner::skip_number() {
  constexpr std::ptrdiff_t kFitting = 18;
  const char* at = at_;
  if (at != end_ && *at == '-') ++at;
  const char* first = at;
  while (at != end_ && is_digit(*at)) ++at;
  bool plain = at != first && at - first <= kFitting && (*first != '0' || at - first == 1) && at != end_ &&
               *at != '.' && (*at | 0x20) != 'e';
  if (plain) {
    at_ = at;
    return true;
  }
  Number value;
  return number(value);
}

bool Scanner::skip() {
  String text;
  switch (next()) {
    case '"': return string(text);
    case '{': return members([this](const String&) { return skip(); });
    case '[': return elements([this] { return skip(); });
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    default: return skip_number();
  }
}

bool Scanner::finish() {
  blanks();
  if (at_ != end_) return fail("more text after the end of the JSON value");
  if (!ascii_ && !is_valid_utf8({begin_, static_cast<std::size_t>(end_ - begin_)})) {
    return fail("the text is not valid UTF-8");
  }
  return true;
}

std::unexpected<Error> Scanner::error() const {
  return penstock::fail(Errc::invalid_argument,
                        fmt::format("malformed JSON at byte {}: {}", mistake_.at - begin_, mistake_.what));
}

}  // namespace penstock::json
