// Which of the new things at a reload takes the place of which old one.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace penstock::ingest {

// For each of `before` the position in `after` of its successor: those of one identity, in the same order on both
// sides, as many as possible.
std::vector<std::optional<std::size_t>> successors(const std::vector<std::string>& before,
                                                   const std::vector<std::string>& after);

}  // namespace penstock::ingest
