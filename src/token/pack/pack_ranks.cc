// pack_ranks NAME PUBLISHED OUT   writes the table of one encoding that the gateway maps; see token/ranks.h.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "token/ranks.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: pack_ranks NAME PUBLISHED OUT\n");
    return 2;
  }
  std::ifstream in(argv[2], std::ios::binary);
  std::string published{std::istreambuf_iterator<char>(in), {}};
  auto packed = penstock::token::pack_ranks(argv[1], published);
  if (!packed) {
    fmt::print(stderr, "{}: {}\n", argv[2], packed.error().detail);
    return 1;
  }
  // Renamed into place: a running gateway may have the old one mapped.
  std::string fresh = std::string(argv[3]) + ".new";
  std::ofstream out(fresh, std::ios::binary);
  out << *packed;
  out.close();
  if (!out || std::rename(fresh.c_str(), argv[3]) != 0) {
    fmt::print(stderr, "{}: cannot be written\n", argv[3]);
    return 1;
  }
  return 0;
}
