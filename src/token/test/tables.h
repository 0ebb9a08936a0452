// The tables the build made, and the published vectors, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "token/encoding.h"

namespace penstock::token::test {

// Null, and the test fails or is skipped, when the build had no ranks.
inline const Encoding* encoding(std::string_view name) {
  setenv("PENSTOCK_SHARE", PENSTOCK_SHARE_DIR, 0);
  return Encoding::find(name);
}

inline std::vector<std::string> shared_lines(const std::string& name) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  std::ifstream in((shared != nullptr ? std::string(shared) : PENSTOCK_SOURCE_DIR "/../shared") + "/data/tokenizer/" +
                   name);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace penstock::token::test
