// RFC 4648 base64 with padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::mock {

std::string base64(std::string_view bytes);
// How many bytes `text` stands for; nothing when it is no base64 (URL-safe letters and missing padding are taken).
std::optional<std::size_t> base64_size(std::string_view text);

// The type of an image by its first bytes, "image" for one that is not known: image/png, image/jpeg, image/gif,
// image/webp.
std::string_view image_type(std::string_view base64);

}  // namespace penstock::mock
