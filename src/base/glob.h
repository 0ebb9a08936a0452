// Names with wildcards, as keys, limits and prices select models.
#pragma once

#include <string_view>

namespace penstock::base {

// `*` stands for any characters, also none; everything else for itself. Linear in practice, pattern times text at
// worst.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace penstock::base
