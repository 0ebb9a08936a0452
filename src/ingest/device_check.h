// What a sample may say of whose it is.
#pragma once

#include <string_view>

#include "base/result.h"

namespace penstock::ingest {

// Longer than any serial number; a registry's names are shorter still (device/name.h).
constexpr std::size_t kDeviceBytesMax = 256;

// Names stand in topics, paths, JSON and logs: 1 to 256 bytes of UTF-8, without control characters and without what
// parts or matches levels of a topic ('/', '+', '#'). Errors: invalid_argument; the name is not repeated in it.
Result<void> check_device(std::string_view name);

}  // namespace penstock::ingest
