// How a tokenizer.json cuts a normalised text into pieces that tokens never cross: the `pre_tokenizer` entry, as the
// tokenizers library (0.23) does it. Immutable; any thread.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "token/json_node.h"

namespace penstock::token {

struct Piece {
  std::string_view text;
  bool first;  // it begins where the whole text began
};
using TakePiece = std::function<void(Piece)>;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Pieces are never empty, and valid only during the call.
  virtual void split(Piece piece, const TakePiece& take) const = 0;
  // How often in a row it writes two bytes for one.
  virtual std::size_t doublings() const { return 0; }
};

// Null when there is none, and after a mistake. Kinds and patterns that are not known are named as one.
std::unique_ptr<const PreTokenizer> read_pre_tokenizer(const JsonNode& node);

}  // namespace penstock::token
