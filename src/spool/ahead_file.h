// The file `ahead`: what was dealt with out of order, beyond each cursor. Without it these entries come again, no more.
//
//   "PNSTKAHD" | CRC-32C of the rest (4) | rest: identity (8) | cursors (4) |
//     for each: length of the name (1) | name | ranges (varint) | for each: gap before it, length - 1 (varints)
#pragma once

#include <map>
#include <string>

#include "spool/spool.h"

namespace penstock::spool {

using Aheads = std::map<std::string, Ranges>;

// Of the ranges what is above `cursor`.
Ranges above(const Ranges& ranges, std::uint64_t cursor);

// Nothing when there is none, or none that is whole and of this identity. Errors: those of the file.
Result<Aheads> load_aheads(Storage& storage, const std::string& folder, std::uint64_t identity);
// In the place of what was there; on the medium when it returns. At most kAheadRangesMax ranges of each are kept.
Result<void> save_aheads(Storage& storage, const std::string& folder, std::uint64_t identity, const Aheads& aheads);

}  // namespace penstock::spool
