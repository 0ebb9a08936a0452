// Durations that somebody waits for.
#pragma once

#include "config/document.h"

namespace penstock::config {

// A duration of at least a millisecond and at most a day; anything else is reported on the map and gives `fallback`.
base::Duration read_timeout(Map& map, std::string_view key, base::Duration fallback);

}  // namespace penstock::config
