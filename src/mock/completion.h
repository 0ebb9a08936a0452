// What a request is answered with: read from its body, nothing else.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mock/options.h"
#include "mock/text.h"

namespace penstock::mock {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON
};

struct Choice {
  Text content;
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
};

// What was wrong with a request: `param` names the field, empty when it is the body.
struct Refusal {
  std::string message;
  std::string param;
};

std::expected<Completion, Refusal> complete_chat(std::string_view body, const Options& options);
std::expected<Completion, Refusal> complete_text(std::string_view body, const Options& options);

}  // namespace penstock::mock
