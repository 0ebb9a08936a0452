// Base64 (RFC 4648).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::chat {

// The alphabet of section 4, with padding.
std::string write_base64(std::string_view bytes);
// Either alphabet, with or without padding; nothing for what is no base64.
std::optional<std::string> read_base64(std::string_view text);
// The same bytes in the alphabet of section 4, with padding: for what came in the other, or without.
std::string standard_base64(std::string text);

}  // namespace penstock::chat
