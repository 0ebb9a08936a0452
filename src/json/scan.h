// How this module's readers pass over JSON text: a strict scanner that keeps nothing, with the means to look at what it
// passes. RFC 8259, valid UTF-8. Never reads outside the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "json/number.h"
#include "json/value.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace penstock::json {

inline bool is_blank(char byte) {
  constexpr std::uint64_t kBlanks = 1ULL << ' ' | 1ULL << '\n' | 1ULL << '\r' | 1ULL << '\t';
  auto code = static_cast<unsigned char>(byte);
  return code <= ' ' && (kBlanks >> code & 1) != 0;
}

// The first quote, backslash or control character in [at, end), or `end`. Clears `ascii` when a byte before it is
// beyond ASCII.
inline const char* plain_end_bytes(const char* at, const char* end, bool& ascii) {
  for (; at != end; ++at) {
    auto byte = static_cast<unsigned char>(*at);
    if (byte == '"' || byte == '\\' || byte < 0x20) break;
    if (byte >= 0x80) ascii = false;
  }
  return at;
}

// The same, eight bytes at a time.
inline const char* plain_end_words(const char* at, const char* end, bool& ascii) {
  if constexpr (std::endian::native == std::endian::little) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    constexpr std::uint64_t kHighs = 0x8080808080808080;
    for (; end - at >= 8; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, at, 8);
      std::uint64_t quote = word ^ kOnes * '"';
      std::uint64_t slash = word ^ kOnes * '\\';
      // A borrow can only mark bytes above a true hit, and the lowest hit is what counts.
      std::uint64_t hits =
          (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) | ((word - kOnes * 0x20) & ~word)) & kHighs;
      if (hits == 0) {
        if ((word & kHighs) != 0) ascii = false;
        continue;
      }
      int before = std::countr_zero(hits) / 8;
      if ((word & kHighs & ((1ULL << before * 8) - 1)) != 0) ascii = false;
      return at + before;
    }
  }
  return plain_end_bytes(at, end, ascii);
}

// For the last few bytes of a text.
const char* plain_end_tail(const char* at, const char* end, bool& ascii);

// The same, sixteen at a time where the processor has them.
[[gnu::always_inline]] inline const char* plain_end(const char* at, const char* end, bool& ascii) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i slash = _mm_set1_epi8('\\');
  const __m128i control = _mm_set1_epi8(0x1F);
  for (; end - at >= 16; at += 16) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
                               _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    auto hits = static_cast<unsigned>(_mm_movemask_epi8(hit));
    auto highs = static_cast<unsigned>(_mm_movemask_epi8(bytes));
    if (hits != 0) {
      if ((highs & (hits ^ (hits - 1))) != 0) ascii = false;
      return at + std::countr_zero(hits);
    }
    if (highs != 0) ascii = false;
  }
#endif
  return plain_end_tail(at, end, ascii);
}

// The first byte in [at, end) that is no blank, or `end`. Mostly that is `at`, or one behind it; else it is the white
// space of an indented text, taken in blocks.
[[gnu::always_inline]] inline const char* blanks_end(const char* at, const char* end) {
  if (at == end || !is_blank(*at)) return at;
  ++at;
#if defined(__SSE2__)
  for (; end - at >= 16; at += 16) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    __m128i blank = _mm_or_si128(
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'))),
        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'))));
    auto others = ~static_cast<unsigned>(_mm_movemask_epi8(blank)) & 0xFFFF;
    if (others != 0) return at + std::countr_zero(others);
  }
#endif
  while (at != end && is_blank(*at)) ++at;
  return at;
}

// Whether this byte behind a backslash makes a whole escape sequence.
inline bool is_short_escape(char byte) {
  switch (byte) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return true;
    default: return false;
  }
}

// A set of the sizes of names, to tell at once that a key is none of them.
inline std::uint64_t size_bit(std::string_view name) { return std::uint64_t{1} << (name.size() % 64); }

// What is wrong with a text and where; `what` is null when nothing is.
struct Mistake {
  const char* at = nullptr;
  const char* what = nullptr;
};

// Passes over the escape sequence whose backslash stands at `at`; `code` is the character it means.
Mistake take_escape(const char*& at, const char* end, std::uint32_t& code);
// Appends what stands between a string's quotes.
Mistake unescape(std::string_view raw, std::string& out);

class Scanner {
 public:
  // What stands between a string's quotes.
  struct String {
    std::string_view raw;
    bool escaped = false;
  };
  // Whether numbers beyond what 64 bits hold (a float, or a whole number of either sign) are a mistake.
  enum class Numbers { must_fit, any };

  explicit Scanner(std::string_view text, Numbers numbers = Numbers::must_fit)
      : begin_(text.data()), end_(text.data() + text.size()), at_(begin_), numbers_(numbers) {
    blanks();
  }

  // The first byte of what stands next; 0 at the end.
  char next() const { return at_ == end_ ? '\0' : *at_; }
  std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }

  // Checks and passes over one value of any kind.
  bool skip();
  bool string(String& string);
  bool number(Number& number);
  // An object, whose brace stands next: `take(key)` must take each member's value. Objects and arrays with something in
  // them may stand kDepthMax - 1 deep, empty ones one deeper.
  template <class Take>
  bool members(Take take);
  // An array, whose bracket stands next: `take()` must take each element.
  template <class Take>
  bool elements(Take take);
  // Only blanks may be left, and all that was read must be valid UTF-8.
  bool finish();

  // Always false. The first mistake stays; false must be passed on at once.
  bool fail(const char* what) { return fail_at(at_, what); }
  // "malformed JSON at byte 17: expected ..."
  std::unexpected<Error> error() const;

 private:
  void blanks() { at_ = blanks_end(at_, end_); }
  bool take(char byte) {
    if (at_ == end_ || *at_ != byte) return false;
    ++at_;
    return true;
  }
  bool literal(std::string_view word);
  bool skip_number();
  bool fits(const Number& number) const;
  bool escapes(String& string, const char* start);
  bool fail_at(const char* at, const char* what) {
    mistake_ = {at, what};
    return false;
  }

  const char* begin_;
  const char* end_;
  const char* at_;
  std::size_t depth_ = 0;
  Numbers numbers_;
  bool ascii_ = true;
  Mistake mistake_;
};

[[gnu::always_inline]] inline bool Scanner::string(String& string) {
  if (!take('"')) [[unlikely]]
    return fail("expected a string");
  const char* start = at_;
  at_ = plain_end(at_, end_, ascii_);
  if (at_ == end_ || *at_ != '"') [[unlikely]]
    return escapes(string, start);
  string = {{start, static_cast<std::size_t>(at_ - start)}, false};
  ++at_;
  return true;
}

template <class Take>
bool Scanner::members(Take take_member) {
  ++at_;
  blanks();
  if (take('}')) return true;
  if (++depth_ >= kDepthMax) return fail("nested too deeply");
  while (true) {
    String key;
    if (!string(key)) return false;
    blanks();
    if (!take(':')) return fail("expected ':'");
    blanks();
    if (!take_member(key)) return false;
    blanks();
    if (take(',')) {
      blanks();
      continue;
    }
    if (!take('}')) return fail("expected ',' or '}'");
    --depth_;
    return true;
  }
}

template <class Take>
bool Scanner::elements(Take take_element) {
  ++at_;
  blanks();
  if (take(']')) return true;
  if (++depth_ >= kDepthMax) return fail("nested too deeply");
  while (true) {
    if (!take_element()) return false;
    blanks();
    if (take(',')) {
      blanks();
      continue;
    }
    if (!take(']')) return fail("expected ',' or ']'");
    --depth_;
    return true;
  }
}

}  // namespace penstock::json
