// Base64 (RFC 4648 section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::chat {

// With padding.
std::string encode_base64(std::string_view bytes);
// The alphabet of section 5 and missing padding are taken, too. Nothing for what is no base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace penstock::chat
