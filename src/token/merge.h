// Byte pair encoding of one piece: the pair of neighbours whose union has the lowest rank merges first, the leftmost
// of equals, until none can. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "token/ranks.h"

namespace penstock::token {

// How many tokens the piece becomes, which is not empty. Time grows in proportion to its length; more than 256 bytes
// take some five times their size of memory meanwhile. A piece that is a token must be counted as one before; here it
// need not come out as one.
std::size_t count_merged(const Ranks& ranks, std::string_view piece);

// The tokens themselves, appended.
void encode_merged(const Ranks& ranks, std::string_view piece, std::vector<std::uint32_t>& out);

// The two ways there are to do it, for tests to hold against each other. `scanned`: at most kScannedMax bytes.
constexpr std::size_t kScannedMax = 64;
std::size_t count_scanned(const Ranks& ranks, std::string_view piece);
std::size_t count_stepped(const Ranks& ranks, std::string_view piece);

}  // namespace penstock::token
