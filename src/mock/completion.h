// What a request is answered with: read from its body, nothing else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mock/answer.h"
#include "mock/conversation.h"
#include "mock/shared.h"

namespace penstock::mock {

struct Choice {
  Text thoughts;
  Text content;
  bool refuses = false;  // the content says so
  std::vector<ToolCall> calls;
  std::string_view finish = "stop";
};

struct Completion {
  bool chat = true;  // false: the older text completions
  std::string model;
  std::uint64_t key = 0;  // hash of seed and body: the id
  bool stream = false;
  bool include_usage = false;
  std::vector<Choice> choices;
  std::int64_t prompt_tokens = 0;  // four bytes of prompt per token, and 3 for the frame
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;  // within completion_tokens
  std::int64_t cached_tokens = 0;     // within prompt_tokens
  Traits traits;
  bool logprobs = false;
  bool remembers = false;  // the same request may have more cached tokens next time
};

// `memory` null: nothing counts as cached.
std::expected<Completion, Refusal> complete_chat(std::string_view body, const Options& options,
                                                 PrefixMemory* memory = nullptr);
std::expected<Completion, Refusal> complete_text(std::string_view body, const Options& options);

}  // namespace penstock::mock
