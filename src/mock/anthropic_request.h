// A Messages request as Anthropic's API takes or refuses it (docs.anthropic.com, "Messages").
#pragma once

#include "mock/answer.h"
#include "mock/conversation.h"

namespace penstock::mock {

struct AnthropicRequest {
  std::string model;
  bool stream = false;
  Prompt prompt;
  bool hide_thoughts = false;  // thinking.display is omitted
  // The prompt's pieces in the order the cache sees them: tools, system, messages.
  struct Piece {
    std::uint64_t hash = 0;  // of everything up to here
    std::int64_t tokens = 0;
    bool breakpoint = false;  // cache_control stands here
    bool hour = false;        // to be kept for an hour
  };
  std::vector<Piece> pieces;
};

// `counting`: for count_tokens, where max_tokens is not needed.
std::expected<AnthropicRequest, Refusal> read_anthropic(std::string_view body, std::uint64_t seed, bool counting);

// What proves that thoughts are the mock's own.
std::string sign_thoughts(std::string_view thoughts, std::uint64_t seed);
// What hides them.
std::string redact_thoughts(std::uint64_t seed);

}  // namespace penstock::mock
