// Tables and published vectors for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "chat/base64.h"
#include "token/encoding.h"

namespace penstock::token::test {

// Null when the build had no ranks: tests then skip.
inline const Encoding* encoding(std::string_view name) {
  setenv("PENSTOCK_SHARE", PENSTOCK_SHARE_DIR, 0);
  return Encoding::find(name);
}

#define PENSTOCK_NEED_ENCODING(variable, name)     \
  const Encoding* variable = test::encoding(name); \
  if (variable == nullptr) GTEST_SKIP() << Encoding::load(name).error().detail

inline std::vector<std::string> shared_lines(const std::string& name) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  std::string root = shared != nullptr ? std::string(shared) : PENSTOCK_SOURCE_DIR "/../shared";
  std::ifstream in(root + "/data/tokenizer/" + name);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Ranks as they are published: the 256 bytes, then these in their order.
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
