// Names of devices.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::device {

// As long as a certificate's common name may be (RFC 5280, ub-common-name).
constexpr std::size_t kNameBytesMax = 64;

// The gateway's own, at its broker and in logs.
constexpr std::string_view kReservedName = "penstock-gateway";

// 1 to 64 letters, digits, '.', '_' and '-': one level of an MQTT topic, one segment of a path, a file's name.
inline bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

// Whether a device may be made under it. Errors: invalid_argument.
inline Result<void> check_name(std::string_view name) {
  if (name.starts_with(kReservedName)) {
    return fail(Errc::invalid_argument,
                fmt::format("names that begin with '{}' are the gateway's own: choose another one", kReservedName));
  }
  if (is_name(name)) return {};
  return fail(Errc::invalid_argument,
              "a device's name has 1 to 64 letters, digits, '.', '_' and '-', and does not begin with '.'");
}

}  // namespace penstock::device
