// Unigram: of all ways to cut a piece into tokens the likeliest one, by the sum of the tokens' scores (Kudo, 2018; as
// SentencePiece uses it).
#pragma once

#include "token/piece_model.h"

namespace penstock::token {

class Unigram : public PieceModel {
 public:
  static constexpr std::size_t kTokenBytesMax = 256;  // of a token: bounds the time for a character

  // `scores` are those of the tokens 0, 1, ...; `unknown` is one of them.
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::uint32_t unknown, bool byte_fallback);

  void encode(std::string_view piece, std::vector<std::uint32_t>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Node {
    double score = 0;
    std::uint32_t begin = Vocabulary::kNone;  // of the token that ends here; kNone: nothing does yet
    std::uint32_t id = 0;
  };
  void add_tokens(std::string_view piece, std::size_t at, std::vector<Node>& nodes) const;
  void write(std::string_view piece, const std::vector<Node>& nodes, std::vector<std::uint32_t>& out) const;
  void write_unknown(std::string_view text, std::vector<std::uint32_t>& out) const;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::uint32_t unknown_;
  double unknown_score_;
  std::vector<std::uint32_t> bytes_;  // tokens of single bytes; empty: they do not stand for what is unknown
};

}  // namespace penstock::token
