// The tables the build made, and published vectors, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

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

}  // namespace penstock::token::test
