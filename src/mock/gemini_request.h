// A generateContent request as Gemini's API takes or refuses it (ai.google.dev/api/generate-content).
#pragma once

#include "mock/answer.h"
#include "mock/conversation.h"

namespace penstock::mock {

struct GeminiRequest {
  Prompt prompt;
  bool show_thoughts = false;
  std::int64_t candidates = 1;
  bool cached = false;  // cachedContent names one
  std::int64_t prompt_tokens = 0;
  std::vector<std::uint64_t> beginnings;  // hashes of the conversation up to each turn
};

// The refusal's `param` is empty: Gemini says the path within its message.
std::expected<GeminiRequest, Refusal> read_gemini(const json::Value& body, std::uint64_t seed);

// What comes with a call or a thought and must come back with it.
std::string thought_signature(std::string_view what, std::uint64_t seed);

}  // namespace penstock::mock
