#include "mock/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace penstock::mock {

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::size_t size = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8U | (k < size ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= size ? kAlphabet[group >> (18 - 6 * k) & 63U] : '=';
  }
  return out;
}

std::optional<std::size_t> base64_size(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  bool letters = std::ranges::all_of(text, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
           c == '-' || c == '_';
  });
  if (!letters || text.size() % 4 == 1) return std::nullopt;
  return text.size() * 3 / 4;
}

std::string_view image_type(std::string_view base64) {
  struct Sign {
    std::string_view begins;  // what the first bytes look like in base64
    std::string_view type;
  };
  constexpr std::array kSigns = {Sign{"iVBORw0KGgo", "image/png"}, Sign{"/9j/", "image/jpeg"},
                                 Sign{"R0lGOD", "image/gif"}, Sign{"UklGR", "image/webp"}};
  for (const Sign& sign : kSigns) {
    if (base64.starts_with(sign.begins)) return sign.type;
  }
  return "image";
}

}  // namespace penstock::mock
