// The special tokens around a text: the `post_processor` entry of a tokenizer.json, for a single text.
#pragma once

#include <cstdint>
#include <vector>

#include "token/json_node.h"

namespace penstock::token {

struct Frame {
  struct Special {
    std::uint32_t id;
    std::uint32_t type;
  };
  std::vector<Special> before;
  std::vector<Special> after;
  std::uint32_t type = 0;  // of the text's own tokens
  std::size_t size() const { return before.size() + after.size(); }
};

// Kinds that are not known are noted as a mistake by name.
Frame read_frame(const JsonNode& node);

}  // namespace penstock::token
