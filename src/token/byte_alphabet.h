// The visible characters that byte-level vocabularies write bytes as: printable Latin-1 stands for itself, all else is
// U+0100 and on, in order.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace penstock::token {

struct VisibleByte {
  char bytes[2];
  unsigned char size;
};

constexpr std::array<VisibleByte, 256> kVisibleBytes = [] {
  std::array<VisibleByte, 256> table{};
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    unsigned point = printable ? byte : next++;
    if (point < 0x80) {
      table[byte] = {{static_cast<char>(point), 0}, 1};
    } else {
      table[byte] = {{static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))}, 2};
    }
  }
  return table;
}();

inline void append_visible(std::string& out, std::string_view bytes) {
  out.reserve(out.size() + bytes.size() + bytes.size() / 2);
  for (char byte : bytes) {
    const VisibleByte& visible = kVisibleBytes[static_cast<unsigned char>(byte)];
    out.append(visible.bytes, visible.size);
  }
}

}  // namespace penstock::token
