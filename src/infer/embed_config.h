// A model that turns text into vectors, for /v1/embeddings and its likes:
//   embed: { tokenizer: models/minilm/tokenizer.json, pooling: mean, normalize: true, max_tokens: 256,
//            prefix: { query: "query: " } }
#pragma once

#include <optional>
#include <string>

#include "config/document.h"

namespace penstock::infer {

struct EmbedConfig {
  enum class Pooling { mean, cls, max, last, none };  // none: the model's output is the vector
  std::string tokenizer;                              // path; empty: tokenizer.json beside the model
  Pooling pooling = Pooling::mean;
  bool normalize = true;  // to length 1
  std::size_t max_tokens = 512;
  bool truncate = false;  // longer texts; else they are refused
  std::string output;     // of the model; empty: the first that fits
  std::string prefix;     // before each text
  bool operator==(const EmbedConfig&) const = default;
};

std::optional<EmbedConfig> parse_embed(config::Map& model);

}  // namespace penstock::infer
