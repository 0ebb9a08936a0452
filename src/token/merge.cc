#include "token/merge.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

namespace penstock::token {
namespace {

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

// ---- Long pieces: from left to right --------------------------------------------------------------
// A row of tokens is what merging makes of its bytes exactly when that holds for every two neighbours in it. So every
// beginning of the text has one last token, found from those of shorter beginnings, and only as many of these are ever
// needed as a token has bytes.

struct Step {
  std::uint32_t last = Ranks::kNone;  // the token that ends here
  std::uint32_t count = 0;            // tokens up to here
};

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

// `steps`: a power of two of them, more than kLongestMax; step i is steps[i % size] until i + size is reached.
Step step_through(const Ranks& ranks, std::string_view piece, std::span<Step> steps) {
  const char* text = piece.data();
  const char* end = text + piece.size();
  std::size_t wrap = steps.size() - 1;
  steps[0] = {};
  for (std::size_t at = 0; at < piece.size(); ++at) {
    Step here = steps[at & wrap];
    std::size_t left = piece.size() - at;
    std::size_t most = left < 2 ? 1 : std::clamp<std::size_t>(ranks.longest_from(text + at), 1, left);
    steps[(at + Ranks::kLongestMax) & wrap] = {};
    for (std::size_t size = 1; size <= most; ++size) {
      Step& there = steps[(at + size) & wrap];
      if (there.last != Ranks::kNone) continue;
      std::uint32_t token = ranks.find(text + at, size, end);
      if (token == Ranks::kNone) continue;
      if (at == 0 || stay_apart(ranks, here.last, token, text + at, end)) there = {token, here.count + 1};
    }
  }
  return steps[piece.size() & wrap];
}

}  // namespace

std::size_t count_scanned(const Ranks& ranks, std::string_view piece) {
  Parts parts;
  scan(ranks, piece, parts);
  return parts.count;
}

std::size_t count_stepped(const Ranks& ranks, std::string_view piece) {
  std::array<Step, std::bit_ceil(Ranks::kLongestMax + 1)> steps;
  return step_through(ranks, piece, steps).count;
}

std::size_t count_merged(const Ranks& ranks, std::string_view piece) {
  return piece.size() <= kScannedMax ? count_scanned(ranks, piece) : count_stepped(ranks, piece);
}

void encode_merged(const Ranks& ranks, std::string_view piece, std::vector<std::uint32_t>& out) {
  if (piece.size() <= kScannedMax) {
    Parts parts;
    scan(ranks, piece, parts);
    for (std::size_t i = 0; i < parts.count; ++i) {
      auto size = static_cast<std::size_t>(parts.start[i + 1] - parts.start[i]);
      out.push_back(ranks.find(piece.data() + parts.start[i], size, piece.data() + piece.size()));
    }
    return;
  }
  std::vector<Step> steps(std::bit_ceil(piece.size() + Ranks::kLongestMax + 1));
  Step step = step_through(ranks, piece, steps);
  std::size_t first = out.size();
  out.resize(first + step.count);
  for (std::size_t end = piece.size(), i = out.size(); i > first; end -= ranks.size_of(out[i]))
    out[--i] = steps[end].last;
}

}  // namespace penstock::token
