// WordPiece: the longest token that a word begins with, then the longest continuation, and so on; a word that cannot be
// made up is one unknown token (Schuster and Nakajima, 2012; as BERT uses it).
#pragma once

#include "token/piece_model.h"

namespace penstock::token {

class WordPiece : public PieceModel {
 public:
  struct Settings {
    std::uint32_t unknown = 0;
    std::string prefix = "##";         // of continuations in the vocabulary
    std::size_t characters_max = 100;  // of a word; longer ones are unknown
  };
  WordPiece(Vocabulary vocabulary, Settings settings);

  void encode(std::string_view piece, std::vector<std::uint32_t>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  Vocabulary continuations_;  // without their prefix
  Settings settings_;
};

}  // namespace penstock::token
