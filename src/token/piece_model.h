// How a piece of text becomes tokens: the `model` entry of a tokenizer.json. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "token/vocabulary.h"

namespace penstock::token {

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the piece's tokens. Time grows with n log n.
  virtual void encode(std::string_view piece, std::vector<std::uint32_t>& out) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

// Of the entry's JSON text. Null after a mistake, which stands in `defect`.
std::unique_ptr<const PieceModel> read_piece_model(std::string_view json, std::string& defect);

}  // namespace penstock::token
