// RFC 4648 base64 with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::mock {

std::string base64(std::string_view bytes);
// How many bytes `text` stands for; nothing when it is no base64 (URL-safe letters and missing padding are taken).
std::optional<std::size_t> base64_size(std::string_view text);

}  // namespace penstock::mock
