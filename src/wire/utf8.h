// UTF-8 (RFC 3629) checked while it arrives: a text may be cut anywhere, also within a character.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::wire {

class Utf8Validator {
 public:
  // False from the first byte on that cannot be part of any valid text.
  bool feed(std::string_view bytes);
  // No character is half there.
  bool complete() const { return left_ == 0; }
  void reset() { *this = {}; }

 private:
  bool feed_byte(unsigned char byte);
  std::uint8_t left_ = 0;  // bytes still to come of the character
  std::uint8_t low_ = 0x80;
  std::uint8_t high_ = 0xBF;  // what the next of them may be
};

}  // namespace penstock::wire
