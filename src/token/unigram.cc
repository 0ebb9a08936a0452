#include "token/unigram.h"

#include <fmt/format.h>

#include <algorithm>

#include "token/unicode.h"

namespace penstock::token {
namespace {

constexpr std::uint32_t kNone = Vocabulary::kNone;
// What an unknown character is worse than the worst token.
constexpr double kUnknownPenalty = 10;

}  // namespace

Unigram::Unigram(Vocabulary vocabulary, std::vector<double> scores, std::uint32_t unknown, bool byte_fallback)
    : vocabulary_(std::move(vocabulary)),
      scores_(std::move(scores)),
      unknown_(unknown),
      unknown_score_(*std::ranges::min_element(scores_) - kUnknownPenalty) {
  if (!byte_fallback) return;
  for (unsigned byte = 0; byte < 256; ++byte) bytes_.push_back(vocabulary_.find(fmt::format("<0x{:02X}>", byte)));
}

void Unigram::add_tokens(std::string_view piece, std::size_t at, std::vector<Node>& nodes) const {
  double base = nodes[at].score;
  auto reach = [&](std::size_t end, double score, std::uint32_t id) {
    Node& node = nodes[end];
    if (node.begin != kNone && score + base <= node.score) return;
    node = {score + base, static_cast<std::uint32_t>(at), id};
  };
  const char* next = piece.data() + at;
  (void)take_point(next, piece.data() + piece.size());
  auto one = static_cast<std::size_t>(next - piece.data());
  bool single = false;
  std::uint64_t hash = Vocabulary::kSeed;
  std::size_t end = std::min(piece.size(), at + vocabulary_.longest());
  for (std::size_t i = at; i < end; ++i) {
    hash = Vocabulary::hash(hash, piece[i]);
    if (i + 1 < piece.size() && (static_cast<unsigned char>(piece[i + 1]) & 0xC0) == 0x80) continue;
    std::uint32_t id = vocabulary_.find(piece.substr(at, i + 1 - at), hash);
    if (id == kNone) continue;
    reach(i + 1, scores_[id], id);
    single = single || i + 1 == one;
  }
  if (!single) reach(one, unknown_score_, unknown_);
}

void Unigram::encode(std::string_view piece, std::vector<std::uint32_t>& out) const {
  if (piece.empty()) return;
  std::vector<Node> nodes(piece.size() + 1);
  const char *begin = piece.data(), *end = begin + piece.size();
  for (const char* at = begin; at != end; (void)take_point(at, end))
    add_tokens(piece, static_cast<std::size_t>(at - begin), nodes);
  write(piece, nodes, out);
}

// From behind; neighbours that are unknown are one.
void Unigram::write(std::string_view piece, const std::vector<Node>& nodes, std::vector<std::uint32_t>& out) const {
  struct Part {
    std::size_t begin, end;
    std::uint32_t id;
  };
  std::vector<Part> parts;
  for (std::size_t end = piece.size(); end > 0;) {
    const Node& node = nodes[end];
    bool fused = node.id == unknown_ && !parts.empty() && parts.back().id == unknown_;
    if (fused) {
      parts.back().begin = node.begin;
    } else {
      parts.push_back({node.begin, end, node.id});
    }
    end = node.begin;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->id != unknown_) {
      out.push_back(part->id);
    } else {
      write_unknown(piece.substr(part->begin, part->end - part->begin), out);
    }
  }
}

void Unigram::write_unknown(std::string_view text, std::vector<std::uint32_t>& out) const {
  // Several that were put together may be a token after all.
  if (std::uint32_t id = vocabulary_.find(text); id != kNone) return out.push_back(id);
  std::size_t before = out.size();
  for (char byte : text) {
    std::uint32_t id = bytes_.empty() ? kNone : bytes_[static_cast<unsigned char>(byte)];
    if (id == kNone) {
      out.resize(before);
      return out.push_back(unknown_);
    }
    out.push_back(id);
  }
}

}  // namespace penstock::token
