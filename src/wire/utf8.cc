#include "wire/utf8.h"

#include <cstring>

namespace penstock::wire {

// RFC 3629 section 4: the first byte says how many follow, and what the second may be, which leaves out overlong forms,
// surrogates and everything above U+10FFFF.
bool Utf8Validator::feed_byte(unsigned char byte) {
  if (left_ > 0) {
    if (byte < low_ || byte > high_) return false;
    low_ = 0x80;
    high_ = 0xBF;
    --left_;
    return true;
  }
  if (byte < 0x80) return true;
  if (byte >= 0xC2 && byte <= 0xDF) {
    left_ = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    left_ = 2;
    if (byte == 0xE0) low_ = 0xA0;
    if (byte == 0xED) high_ = 0x9F;
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    left_ = 3;
    if (byte == 0xF0) low_ = 0x90;
    if (byte == 0xF4) high_ = 0x8F;
  } else {
    return false;
  }
  return true;
}

bool Utf8Validator::feed(std::string_view bytes) {
  const char* p = bytes.data();
  const char* end = p + bytes.size();
  while (p != end) {
    // Mostly plain ASCII, eight bytes at a time.
    std::uint64_t word = 0;
    while (left_ == 0 && end - p >= 8) {
      std::memcpy(&word, p, sizeof word);
      if ((word & 0x8080808080808080ULL) != 0) break;
      p += 8;
    }
    if (p == end) break;
    if (!feed_byte(static_cast<unsigned char>(*p++))) return false;
  }
  return true;
}

}  // namespace penstock::wire
