// Ranks in the form in which they are published, for tests.
#pragma once

#include <string>
#include <vector>

#include "chat/base64.h"

namespace penstock::token::test {

// The 256 bytes, then these in their order.
inline std::string published(const std::vector<std::string>& tokens) {
  std::string text;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char one = static_cast<char>(byte);
    text += chat::write_base64({&one, 1}) + " " + std::to_string(byte) + "\n";
  }
  for (std::size_t i = 0; i < tokens.size(); ++i)
    text += chat::write_base64(tokens[i]) + " " + std::to_string(256 + i) + "\n";
  return text;
}

}  // namespace penstock::token::test
