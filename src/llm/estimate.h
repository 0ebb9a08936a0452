// Token counts where nobody counted.
#pragma once

#include <cstdint>
#include <string_view>

#include "chat/answer.h"
#include "chat/request.h"

namespace penstock::llm {

// Four bytes a token is the usual rule of thumb for text; the provider's own count settles it.
constexpr std::int64_t estimate_tokens(std::uint64_t text_bytes) {
  return static_cast<std::int64_t>((text_bytes + 3) / 4);
}

// Of the whole request as input: texts and tools by their bytes, four a message, and for media what providers charge
// for a middling one: 1,000 an image, 1,500 per 30 kB of base64 of a document, 32 per 16 kB of sound, 300 per 300 kB of
// video.
std::int64_t estimate_tokens(const chat::Request& request);
// Of all choices of an answer.
std::int64_t estimate_tokens(const chat::Answer& answer);

}  // namespace penstock::llm
