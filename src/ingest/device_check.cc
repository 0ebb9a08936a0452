#include "ingest/device_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/value.h"

namespace penstock::ingest {

Result<void> check_device(std::string_view name) {
  const auto forbidden = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/' || c == '+' || c == '#';
  };
  if (!name.empty() && name.size() <= kDeviceBytesMax && std::none_of(name.begin(), name.end(), forbidden) &&
      json::is_valid_utf8(name))
    return {};
  return fail(Errc::invalid_argument,
              fmt::format("the name of the device is refused: 1 to {} bytes of UTF-8 text without control characters, "
                          "'/', '+' and '#'",
                          kDeviceBytesMax));
}

}  // namespace penstock::ingest
