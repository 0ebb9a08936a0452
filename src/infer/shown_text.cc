#include "infer/shown_text.h"

#include "json/value.h"

namespace penstock::infer {

std::string shown_text(std::string text) {
  bool valid = json::is_valid_utf8(text);
  for (char& byte : text) {
    auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code == 0x7f) byte = ' ';
    if (code >= 0x80 && !valid) byte = '?';
  }
  return text;
}

}  // namespace penstock::infer
