// The width and height that an image file states in its first bytes: PNG, JPEG, GIF, WebP. Decodes no picture. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::token {

struct ImageSize {
  std::uint32_t width = 0;  // pixels
  std::uint32_t height = 0;
};

// Nothing for other formats, for sizes of 0, and when the statement is not among `bytes`.
std::optional<ImageSize> read_image_size(std::string_view bytes);
// The same of base64; looks at no more than the first 256 KiB, where a JPEG may have its size behind a thumbnail.
std::optional<ImageSize> image_size_of_base64(std::string_view base64);

}  // namespace penstock::token
