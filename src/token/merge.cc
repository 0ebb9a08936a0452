#include "token/merge.h"

#include <algorithm>
#include <memory>

namespace penstock::token {
namespace {

// From here on stepping is as fast.
constexpr std::size_t kScannedBytes = 16;

// ---- Short pieces: look for the lowest pair, merge it, look again ---------------------------------

struct Parts {
  std::uint8_t start[kScannedMax + 1];
  std::uint32_t rank[kScannedMax];  // of the pair that begins here
  std::size_t count;
};

void scan(const Ranks& ranks, std::string_view piece, Parts& parts) {
  const char* text = piece.data();
  const char* end = text + piece.size();
  auto pair = [&](std::size_t i) {
    if (i + 2 > parts.count) return Ranks::kNone;
    return ranks.find(text + parts.start[i], static_cast<std::size_t>(parts.start[i + 2] - parts.start[i]), end);
  };
  parts.count = piece.size();
  for (std::size_t i = 0; i <= piece.size(); ++i) parts.start[i] = static_cast<std::uint8_t>(i);
  for (std::size_t i = 0; i < piece.size(); ++i) parts.rank[i] = pair(i);
  for (;;) {
    std::size_t least = 0;
    for (std::size_t i = 1; i < parts.count; ++i) {
      if (parts.rank[i] < parts.rank[least]) least = i;
    }
    if (parts.rank[least] == Ranks::kNone) return;
    --parts.count;
    std::copy(parts.start + least + 2, parts.start + parts.count + 2, parts.start + least + 1);
    std::copy(parts.rank + least + 2, parts.rank + parts.count + 1, parts.rank + least + 1);
    parts.rank[least] = pair(least);
    if (least > 0) parts.rank[least - 1] = pair(least - 1);
  }
}

// ---- Longer pieces: from left to right ------------------------------------------------------------
// A row of tokens is what merging makes of its bytes exactly when that holds for every two neighbours in it. So each
// beginning of the piece has one such row, which is that of a shorter beginning and one token more: the longest that
// stands apart from the one before, or a shorter one when the rest cannot be reached from there.

// Whether merging leaves `left` and `right` apart, which meet at `seam`. Undoes their merges, latest first, and asks
// each time whether what then met there would have merged across before.
bool stay_apart(const Ranks& ranks, std::uint32_t left, std::uint32_t right, const char* seam, const char* end) {
  std::uint32_t before = Ranks::kNone;  // the merge that ended the meeting; across the seam it had to be earlier
  for (;;) {
    std::size_t reach = ranks.size_of(left);
    if (ranks.find(seam - reach, reach + ranks.size_of(right), end) < before) return false;
    // Of equal merges the left one came first.
    if (left > right) {
      before = left;
      left = ranks.halves_of(left).right;
      if (left == Ranks::kNone) return true;
    } else {
      before = right + 1;
      right = ranks.halves_of(right).left;
      if (right == Ranks::kNone) return true;
    }
  }
}

// Room for a row over a piece: a token a byte at most, and a mark a position.
struct Room {
  std::uint32_t* row;
  std::uint64_t* dead;  // bit i: nothing that follows position i reaches the end; all 0 at first
};

// For a table that no merging made, where nothing else may be left.
std::size_t single_bytes(const Ranks& ranks, std::string_view piece, std::uint32_t* row) {
  for (std::size_t i = 0; i < piece.size(); ++i) row[i] = ranks.find(&piece[i], 1, piece.data() + piece.size());
  return piece.size();
}

// Returns how many tokens the row has.
std::size_t step_through(const Ranks& ranks, std::string_view piece, Room room) {
  const char* at = piece.data();
  const char* const end = at + piece.size();
  auto position = [&](const char* where) { return static_cast<std::size_t>(where - piece.data()); };
  auto is_dead = [&](const char* where) { return (room.dead[position(where) / 64] >> position(where) % 64 & 1) != 0; };
  std::size_t count = 0;
  std::uint32_t token = ranks.longest(at, end);
  for (;;) {
    const char* next = at + ranks.size_of(token);
    if (!is_dead(next) && (count == 0 || stay_apart(ranks, room.row[count - 1], token, at, end))) {
      room.row[count++] = token;
      at = next;
      if (at == end) return count;
      token = ranks.longest(at, end);
      continue;
    }
    token = ranks.shorter(token, at, end);
    if (token != Ranks::kNone) continue;
    if (count == 0) return single_bytes(ranks, piece, room.row);
    room.dead[position(at) / 64] |= std::uint64_t{1} << position(at) % 64;
    token = room.row[--count];
    at -= ranks.size_of(token);
  }
}

// Calls done(row, count).
template <class Done>
void step(const Ranks& ranks, std::string_view piece, Done done) {
  constexpr std::size_t kSmall = 256;
  if (piece.size() <= kSmall) {
    std::uint32_t row[kSmall];
    std::uint64_t dead[kSmall / 64 + 1] = {};
    done(row, step_through(ranks, piece, {row, dead}));
  } else {
    auto row = std::make_unique_for_overwrite<std::uint32_t[]>(piece.size());
    std::vector<std::uint64_t> dead(piece.size() / 64 + 1);
    done(row.get(), step_through(ranks, piece, {row.get(), dead.data()}));
  }
}

}  // namespace

std::size_t count_scanned(const Ranks& ranks, std::string_view piece) {
  Parts parts;
  scan(ranks, piece, parts);
  return parts.count;
}

std::size_t count_stepped(const Ranks& ranks, std::string_view piece) {
  std::size_t tokens = 0;
  step(ranks, piece, [&](const std::uint32_t*, std::size_t count) { tokens = count; });
  return tokens;
}

std::size_t count_merged(const Ranks& ranks, std::string_view piece) {
  return piece.size() <= kScannedBytes ? count_scanned(ranks, piece) : count_stepped(ranks, piece);
}

void encode_merged(const Ranks& ranks, std::string_view piece, std::vector<std::uint32_t>& out) {
  step(ranks, piece, [&](const std::uint32_t* row, std::size_t count) { out.insert(out.end(), row, row + count); });
}

}  // namespace penstock::token
