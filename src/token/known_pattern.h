// The regular expressions by which published tokenizer.json files cut text, as far as they are known here: they are
// recognised, not interpreted. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "token/splitter.h"

namespace penstock::token {

struct KnownPattern {
  Pattern pattern = Pattern::r50k;
  unsigned digits = 0;  // numbers are cut once more, after so many; 0: they are not
};

std::optional<KnownPattern> known_pattern(std::string_view regex);

// The end of the first `most` characters of a number; `begin` when there is no number.
std::size_t end_of_number(std::string_view text, std::size_t begin, std::size_t end, unsigned most);

template <class Take>
void cut_number(std::string_view text, std::size_t from, std::size_t to, unsigned most, Take& take) {
  while (from < to) {
    std::size_t end = end_of_number(text, from, to, most);
    if (end == from) end = to;
    take(from, end);
    from = end;
  }
}

// Calls `take(begin, end)` for every match, which together are all of `text`.
template <class Take>
void each_match(KnownPattern known, std::string_view text, Take take) {
  NextPiece next = next_piece(known.pattern);
  const char *begin = text.data(), *end = begin + text.size();
  bool open = false;
  for (const char* at = begin; at != end;) {
    const char* piece_end = next(at, end, open);
    auto from = static_cast<std::size_t>(at - begin), to = static_cast<std::size_t>(piece_end - begin);
    at = piece_end;
    if (known.digits == 0) {
      take(from, to);
    } else {
      cut_number(text, from, to, known.digits, take);
    }
  }
}

}  // namespace penstock::token
