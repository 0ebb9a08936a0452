// What a tokenizer.json does to a text before it is cut: the `normalizer` entry, as the tokenizers library (0.23) does
// it. Immutable; any thread.
#pragma once

#include <memory>
#include <string>

#include "token/json_node.h"

namespace penstock::token {

class Normalizer {
 public:
  // Texts that grow beyond are refused: 32 MiB.
  static constexpr std::size_t kBytesMax = 32U << 20;

  virtual ~Normalizer() = default;
  // False: the text became longer than kBytesMax, and is of no use.
  virtual bool apply(std::string& text) const = 0;
};

// Null when there is none, and after a mistake. Kinds that are not known are named as one.
std::unique_ptr<const Normalizer> read_normalizer(const JsonNode& node);

}  // namespace penstock::token
