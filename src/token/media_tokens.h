// What pictures, sounds and documents in a request count as tokens. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "chat/content.h"
#include "token/image_size.h"

namespace penstock::token {

// OpenAI's published formulas where the model has one (tiles of 512 pixels, or patches of 32); for others the area over
// 750, at most 1,600, as Anthropic publishes. An image whose size is not known (a link, a file at the provider, another
// format) counts as the most there can be: eight tiles, all patches, or 1,600. "auto" and no detail count as high.
std::int64_t image_tokens(std::optional<ImageSize> size, std::string_view detail, std::string_view model);

// Any media. All but images are estimates: sounds 10 tokens a second, from their bytes; documents and videos by their
// bytes; 1,000 where there are none. Documents of type text/plain are text and not for this.
std::int64_t media_tokens(const chat::Media& media, std::string_view model);

}  // namespace penstock::token
