// Classes of bytes in HTTP heads (RFC 9110 section 5.6.2, RFC 9112 section 3.2) and the searches that long texts need.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace penstock::wire {

namespace chars {

constexpr std::array<bool, 256> members(std::string_view punctuation) {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = table[c + 32] = true;
  for (char c : punctuation) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr std::array<bool, 256> kToken = members("!#$%&'*+-.^_`|~");
// Visible ASCII but the fragment's mark, which no request target may have.
constexpr std::array<bool, 256> kTarget = members("!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
// A name or IPv4 address of a host. Delimiters the grammar allows (a comma, say) would only hide a second host.
constexpr std::array<bool, 256> kHost = members("-._~%");

}  // namespace chars

inline bool is_token(char c) { return chars::kToken[static_cast<unsigned char>(c)]; }
inline bool is_target(char c) { return chars::kTarget[static_cast<unsigned char>(c)]; }
inline bool is_host(char c) { return chars::kHost[static_cast<unsigned char>(c)]; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }
// Never part of a field value: a tab is the one control character that may be.
inline bool is_control(char c) {
  auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// The first control character in [p, end) that no field value may have, or `end`. Sixteen bytes at a time where the
// processor can.
inline const char* find_control(const char* p, const char* end) {
#ifdef __SSE2__
  const __m128i space = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(block, space), block);
    __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(block, tab), low), _mm_cmpeq_epi8(block, del));
    if (auto mask = static_cast<unsigned>(_mm_movemask_epi8(bad))) return p + std::countr_zero(mask);
  }
#endif
  while (p != end && !is_control(*p)) ++p;
  return p;
}

// The first colon in [p, end), or `end`.
inline const char* find_colon(const char* p, const char* end) {
#ifdef __SSE2__
  const __m128i colon = _mm_set1_epi8(':');
  for (; end - p >= 16; p += 16) {
    __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    auto mask = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, colon)));
    if (mask != 0) return p + std::countr_zero(mask);
  }
#endif
  while (p != end && *p != ':') ++p;
  return p;
}

// Where the first CR or LF in `text` from `at` on stands, or its size.
inline std::size_t find_line_end(std::string_view text, std::size_t at) {
#ifdef __SSE2__
  const __m128i cr = _mm_set1_epi8('\r');
  const __m128i lf = _mm_set1_epi8('\n');
  for (; at + 16 <= text.size(); at += 16) {
    __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    auto mask =
        static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, cr), _mm_cmpeq_epi8(block, lf))));
    if (mask != 0) return at + static_cast<std::size_t>(std::countr_zero(mask));
  }
#endif
  while (at < text.size() && text[at] != '\r' && text[at] != '\n') ++at;
  return at;
}

}  // namespace penstock::wire
