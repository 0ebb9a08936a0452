// Byte pair encoding by a list of merges over characters: the pair of neighbours that comes first in the list merges
// first, the leftmost of equals, until none is in it (Sennrich, Haddow and Birch, 2016).
#pragma once

#include <array>

#include "token/piece_model.h"

namespace penstock::token {

// Which two tokens merge into which, and when. Built once.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank = Vocabulary::kNone;  // kNone: they do not
    std::uint32_t id = 0;
  };
  explicit MergeTable(std::size_t count);
  // The last of equal pairs holds.
  void add(std::uint32_t left, std::uint32_t right, Merge merge);
  Merge find(std::uint32_t left, std::uint32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = 0;
    Merge merge;
  };
  std::size_t place(std::uint64_t pair) const {
    return static_cast<std::size_t>(pair * 0x9E3779B97F4A7C15 >> 24) & (slots_.size() - 1);
  }
  std::vector<Slot> slots_;  // a power of two, half of them free
};

class BytePair : public PieceModel {
 public:
  struct Settings {
    std::uint32_t unknown = Vocabulary::kNone;  // kNone: what is not known is left out
    std::string prefix = {};                    // of all characters of a piece but the first
    std::string suffix = {};                    // of its last character
    bool fuse_unknown = false;                  // neighbours that are unknown are one
    bool byte_fallback = false;                 // what is not known becomes the tokens of its bytes: <0x0A>
    bool ignore_merges = false;                 // a piece that is a token is that token
  };
  BytePair(Vocabulary vocabulary, MergeTable merges, Settings settings);

  void encode(std::string_view piece, std::vector<std::uint32_t>& out) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  // The characters' own tokens.
  void begin(std::string_view piece, std::vector<std::uint32_t>& symbols) const;
  std::uint32_t character(std::string_view text, bool first, bool last) const;
  bool add_bytes(std::string_view text, std::vector<std::uint32_t>& symbols) const;
  void merge_short(std::vector<std::uint32_t>& symbols) const;
  void merge_long(std::vector<std::uint32_t>& symbols) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  Settings settings_;
  bool plain_;                             // neither prefix nor suffix
  std::array<std::uint32_t, 0x800> near_;  // tokens of characters of one or two bytes, when plain
  std::array<std::uint32_t, 256> bytes_;   // for byte_fallback
};

}  // namespace penstock::token
