#include "token/word_piece.h"

#include <algorithm>

namespace penstock::token {
namespace {

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

struct Found {
  std::uint32_t id = Vocabulary::kNone;
  std::size_t size = 0;
};

Found longest(const Vocabulary& vocabulary, std::string_view text) {
  Found found;
  std::uint64_t hash = Vocabulary::kSeed;
  std::size_t end = std::min(text.size(), vocabulary.longest());
  for (std::size_t i = 0; i < end; ++i) {
    hash = Vocabulary::hash(hash, text[i]);
    if (i + 1 < text.size() && !begins_character(text[i + 1])) continue;
    std::uint32_t id = vocabulary.find(text.substr(0, i + 1), hash);
    if (id != Vocabulary::kNone) found = {id, i + 1};
  }
  return found;
}

}  // namespace

WordPiece::WordPiece(Vocabulary vocabulary, Settings settings)
    : vocabulary_(std::move(vocabulary)), settings_(std::move(settings)) {
  vocabulary_.each([this](std::string_view token, std::uint32_t id) {
    if (token.starts_with(settings_.prefix)) continuations_.add(token.substr(settings_.prefix.size()), id);
  });
}

void WordPiece::encode(std::string_view piece, std::vector<std::uint32_t>& out) const {
  bool whole = piece.size() <= settings_.characters_max ||
               static_cast<std::size_t>(std::ranges::count_if(piece, begins_character)) <= settings_.characters_max;
  std::size_t before = out.size();
  for (std::size_t at = 0; whole && at < piece.size();) {
    Found found = longest(at == 0 ? vocabulary_ : continuations_, piece.substr(at));
    whole = found.id != Vocabulary::kNone;
    at += found.size;
    out.push_back(found.id);
  }
  if (whole) return;
  out.resize(before);
  out.push_back(settings_.unknown);
}

}  // namespace penstock::token
