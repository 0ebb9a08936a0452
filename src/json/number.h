// Numbers as they stand in JSON text: scanned once, converted by whoever wants the value. For the readers of this
// module.
#pragma once

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

namespace penstock::json {

inline bool is_digit(char byte) { return static_cast<unsigned char>(byte - '0') < 10; }

// A number as it stands in the text: [begin, end), and its value as digits * 10^exponent when all digits fit.
struct Number {
  const char* end = nullptr;  // null: this is no JSON number
  std::uint64_t digits = 0;
  int exponent = 0;
  bool negative = false;
  bool whole = true;  // neither fraction nor exponent
  bool exact = true;  // at most 19 digits: `digits` did not overflow
};

inline bool eight_digits(const char* at, std::uint64_t& word) {
  std::memcpy(&word, at, 8);
  return ((word & 0xF0F0F0F0F0F0F0F0) | (((word + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) >> 4)) ==
         0x3333333333333333;
}

// Eight ASCII digits, first in the lowest byte, to their value: pairs, then fours, then eight.
inline std::uint64_t eight_value(std::uint64_t word) {
  word -= 0x3030303030303030;
  word = word * 10 + (word >> 8);
  constexpr std::uint64_t kMask = 0x000000FF000000FF;
  return (((word & kMask) * 0x000F424000000064) + (((word >> 16) & kMask) * 0x0000271000000001)) >> 32;
}

inline const char* take_digits(const char* at, const char* end, std::uint64_t& value) {
  if constexpr (std::endian::native == std::endian::little) {
    std::uint64_t word = 0;
    while (end - at >= 8 && eight_digits(at, word)) {
      value = value * 100000000 + (eight_value(word) & 0xFFFFFFFF);
      at += 8;
    }
  }
  while (at != end && is_digit(*at)) value = value * 10 + static_cast<std::uint64_t>(*at++ - '0');
  return at;
}

inline const char* take_exponent(const char* at, const char* end, int& exponent) {
  bool negative = false;
  if (at != end && (*at == '+' || *at == '-')) negative = *at++ == '-';
  if (at == end || !is_digit(*at)) return nullptr;
  int value = 0;
  for (; at != end && is_digit(*at); ++at) {
    if (value < 100000) value = value * 10 + (*at - '0');
  }
  exponent += negative ? -value : value;
  return at;
}

[[gnu::always_inline]] inline Number scan_number(const char* at, const char* end) {
  Number number;
  if (at != end && *at == '-') {
    number.negative = true;
    ++at;
  }
  const char* first = at;
  if (at == end || !is_digit(*at)) return number;
  // Mostly one to three digits: not worth the eight-at-a-time step.
  while (at != end && is_digit(*at)) number.digits = number.digits * 10 + static_cast<std::uint64_t>(*at++ - '0');
  if (*first == '0' && at - first > 1) return number;
  auto count = at - first;
  if (at != end && *at == '.') {
    const char* fraction = ++at;
    at = take_digits(at, end, number.digits);
    if (at == fraction) return number;
    count += at - fraction;
    // Absurdly long fractions take the exact path, which rereads the text.
    number.exponent = count <= 19 ? static_cast<int>(fraction - at) : 0;
    number.whole = false;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    at = take_exponent(at + 1, end, number.exponent);
    if (at == nullptr) return number;
    number.whole = false;
  }
  number.exact = count <= 19;
  number.end = at;
  return number;
}

inline constexpr int kExactPower = 22;  // 10^22 is the largest power of ten a double holds exactly
inline constexpr double kPowers[kExactPower + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline constexpr std::uint64_t kExactDigits = std::uint64_t{1} << 53;

inline double scaled(const Number& number) {
  double value = static_cast<double>(number.digits);
  value = number.exponent < 0 ? value / kPowers[-number.exponent] : value * kPowers[number.exponent];
  return number.negative ? -value : value;
}

// False when the magnitude is too large. Clinger's fast path: both factors exact, so one rounding.
inline bool to_double(const Number& number, const char* at, double& out) {
  if (number.exact && number.digits <= kExactDigits && std::abs(number.exponent) <= kExactPower) {
    out = scaled(number);
    return true;
  }
  auto [end, error] = std::from_chars(at, number.end, out);
  if (error == std::errc{}) return true;
  // from_chars reports too small like too large; too small is zero.
  if (number.exact && number.digits == 0) {
    out = number.negative ? -0.0 : 0.0;
    return true;
  }
  std::string text(at, number.end);
  out = std::strtod(text.c_str(), nullptr);
  return std::isfinite(out);
}

}  // namespace penstock::json
