// The exchange rate between the measures of how much to think.
#pragma once

#include <cstdint>
#include <string_view>

#include "chat/request.h"

namespace penstock::chat {

// Tokens for a word of effort: none 0, minimal 1,024, low 2,048, medium 8,192, high 16,384, xhigh and max 32,768.
// Unknown words count as medium.
std::int64_t tokens_of_effort(std::string_view effort);
// The word for so many tokens: the smallest whose tokens are not fewer, at most high; "none" for 0.
std::string_view effort_of_tokens(std::int64_t tokens);

// More than any model thinks, and safe to add to any limit.
constexpr std::int64_t kThinkingTokensMax = 1'000'000;

// What a request wants, in one measure. Nothing said, or only on: medium. Negative where the client leaves the number
// to the provider; never above kThinkingTokensMax.
std::int64_t tokens_of(const Reasoning& reasoning);
std::string_view effort_of(const Reasoning& reasoning);
// The request says that the model must not think.
bool is_off(const Reasoning& reasoning);

}  // namespace penstock::chat
