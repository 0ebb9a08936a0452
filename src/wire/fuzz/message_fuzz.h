// Messages parsed whole, as views, byte by byte and in pieces the input itself chooses must agree in verdict, head,
// fields, body, trailers and the byte they end at.
#pragma once

#include <cstdlib>

#include "wire/test/messages.h"

namespace penstock::wire {

inline void check_message(Http1Parser::Kind kind, std::string_view bytes) {
  if (bytes.size() < 4) return;
  std::vector<std::size_t> cuts;
  std::size_t at = 0;
  for (char c : bytes.substr(0, 3)) cuts.push_back(at += 1 + static_cast<unsigned char>(c) % 64);
  bytes.remove_prefix(3);
  std::vector<std::size_t> every(bytes.size());
  for (std::size_t i = 0; i < every.size(); ++i) every[i] = i + 1;
  std::string whole = transcript(kind, bytes, {});
  if (transcript(kind, bytes, {}, true) != whole) std::abort();
  if (transcript(kind, bytes, every) != whole) std::abort();
  if (transcript(kind, bytes, cuts) != whole) std::abort();
  if (transcript(kind, bytes, cuts, true) != whole) std::abort();
}

}  // namespace penstock::wire
