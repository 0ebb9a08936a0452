#include "token/byte_pair.h"

#include <fmt/format.h>

#include <bit>
#include <queue>

#include "token/unicode.h"

namespace penstock::token {
namespace {

constexpr std::uint32_t kNone = Vocabulary::kNone;

std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32 | right; }

}  // namespace

MergeTable::MergeTable(std::size_t count) : slots_(std::bit_ceil(std::max<std::size_t>(16, count * 2 + 1))) {}

void MergeTable::add(std::uint32_t left, std::uint32_t right, Merge merge) {
  std::uint64_t pair = pair_of(left, right);
  std::size_t at = place(pair);
  while (slots_[at].merge.rank != kNone && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {pair, merge};
}

MergeTable::Merge MergeTable::find(std::uint32_t left, std::uint32_t right) const {
  std::uint64_t pair = pair_of(left, right);
  for (std::size_t at = place(pair);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.merge.rank == kNone || slot.pair == pair) return slot.merge;
  }
}

BytePair::BytePair(Vocabulary vocabulary, MergeTable merges, Settings settings)
    : vocabulary_(std::move(vocabulary)),
      merges_(std::move(merges)),
      settings_(std::move(settings)),
      plain_(settings_.prefix.empty() && settings_.suffix.empty()) {
  for (std::uint32_t point = 0; point < near_.size(); ++point) {
    std::string text;
    append_point(text, point);
    near_[point] = vocabulary_.find(text);
  }
  for (unsigned byte = 0; byte < bytes_.size(); ++byte)
    bytes_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
}

std::uint32_t BytePair::character(std::string_view text, bool first, bool last) const {
  if (!plain_) {
    std::string token;
    if (!first) token += settings_.prefix;
    token += text;
    if (last) token += settings_.suffix;
    return vocabulary_.find(token);
  }
  if (text.size() > 2) return vocabulary_.find(text);
  const char* at = text.data();
  char32_t point = take_point(at, at + text.size());
  // A byte that is no UTF-8 is U+FFFD.
  return point < near_.size() ? near_[point] : vocabulary_.find(text);
}

// All of the bytes or none. With prefix and suffix, as the library has it.
bool BytePair::add_bytes(std::string_view text, std::vector<std::uint32_t>& symbols) const {
  std::size_t before = symbols.size();
  for (char byte : text) {
    std::uint32_t id = bytes_[static_cast<unsigned char>(byte)];
    if (id == kNone) {
      symbols.resize(before);
      return false;
    }
    symbols.push_back(id);
  }
  return true;
}

void BytePair::begin(std::string_view piece, std::vector<std::uint32_t>& symbols) const {
  bool unknown = false;  // one waits to be written
  const char *start = piece.data(), *end = start + piece.size();
  for (const char* at = start; at != end;) {
    const char* from = at;
    (void)take_point(at, end);
    std::string_view text(from, static_cast<std::size_t>(at - from));
    std::uint32_t id = character(text, from == start, at == end);
    if (id != kNone) {
      if (unknown) symbols.push_back(settings_.unknown);
      unknown = false;
      symbols.push_back(id);
      continue;
    }
    if (settings_.byte_fallback && add_bytes(text, symbols)) continue;
    if (settings_.unknown == kNone) continue;
    if (unknown && !settings_.fuse_unknown) symbols.push_back(settings_.unknown);
    unknown = true;
  }
  if (unknown) symbols.push_back(settings_.unknown);
}

void BytePair::encode(std::string_view piece, std::vector<std::uint32_t>& out) const {
  if (settings_.ignore_merges) {
    std::uint32_t id = vocabulary_.find(piece);
    if (id != kNone) return out.push_back(id);
  }
  constexpr std::size_t kShort = 48;
  thread_local std::vector<std::uint32_t> symbols;
  symbols.clear();
  begin(piece, symbols);
  if (symbols.size() <= kShort) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  out.insert(out.end(), symbols.begin(), symbols.end());
  constexpr std::size_t kKept = 1 << 16;
  if (symbols.capacity() > kKept) std::vector<std::uint32_t>().swap(symbols);
}

// Looks at all pairs for each merge: the quickest for words.
void BytePair::merge_short(std::vector<std::uint32_t>& symbols) const {
  thread_local std::vector<MergeTable::Merge> pairs;
  pairs.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) pairs.push_back(merges_.find(symbols[i], symbols[i + 1]));
  while (!pairs.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < pairs.size(); ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNone) return;
    symbols[best] = pairs[best].id;
    auto gone = static_cast<std::ptrdiff_t>(best);
    symbols.erase(symbols.begin() + gone + 1);
    pairs.erase(pairs.begin() + gone);
    if (best < pairs.size()) pairs[best] = merges_.find(symbols[best], symbols[best + 1]);
    if (best > 0) pairs[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
  }
}

// A queue of the pairs that can merge; entries that no longer hold are passed over.
void BytePair::merge_long(std::vector<std::uint32_t>& symbols) const {
  struct Link {
    std::uint32_t before, next;
  };
  struct Wait {
    std::uint32_t rank, at, left, right, id;
    bool operator<(const Wait& other) const {  // the queue gives the greatest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<Link> links(count);
  std::vector<Wait> waiting;
  auto wait = [&](std::uint32_t at, std::uint32_t next) {
    auto merge = merges_.find(symbols[at], symbols[next]);
    return merge.rank == kNone ? Wait{kNone, 0, 0, 0, 0} : Wait{merge.rank, at, symbols[at], symbols[next], merge.id};
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    links[i] = {i - 1, i + 1};
    if (i + 1 == count) break;
    if (Wait entry = wait(i, i + 1); entry.rank != kNone) waiting.push_back(entry);
  }
  std::priority_queue<Wait> queue(std::less<Wait>(), std::move(waiting));
  while (!queue.empty()) {
    Wait top = queue.top();
    queue.pop();
    std::uint32_t next = links[top.at].next;
    if (symbols[top.at] != top.left || next >= count || symbols[next] != top.right) continue;
    symbols[top.at] = top.id;
    symbols[next] = kNone;  // gone
    std::uint32_t after = links[next].next;
    links[top.at].next = after;
    if (after < count) {
      links[after].before = top.at;
      if (Wait entry = wait(top.at, after); entry.rank != kNone) queue.push(entry);
    }
    std::uint32_t before = links[top.at].before;
    if (before >= count) continue;
    if (Wait entry = wait(before, top.at); entry.rank != kNone) queue.push(entry);
  }
  std::erase(symbols, kNone);
}

}  // namespace penstock::token
