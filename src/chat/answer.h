// One answer in no dialect, and what it cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chat/content.h"
#include "chat/finish.h"

namespace penstock::chat {

// Tokens as the provider reported them; each counted once. `input` includes `cached`, `cache_write` and `audio_input`;
// `output` includes `reasoning` and `audio_output`.
struct Usage {
  bool known = false;
  std::int64_t input = 0;
  std::int64_t output = 0;
  std::int64_t cached = 0;
  std::int64_t cache_write = 0;       // both lifetimes together
  std::int64_t cache_write_hour = 0;  // of these, kept for an hour
  std::int64_t reasoning = 0;
  std::int64_t audio_input = 0;
  std::int64_t audio_output = 0;
  bool input_known = true;  // false: `known` is said of the rest, and `input` is 0
  bool operator==(const Usage&) const = default;
};

struct Choice {
  std::vector<Part> parts;  // Text, Media, Thinking, ToolCall, Refusal, in the order they came
  Finish finish = Finish::none;
  std::string stop_sequence = {};  // which one it was, when the provider says so
  json::Value logprobs = {};       // OpenAI's {"content": [...]}; null: none
};

struct Answer {
  std::string id;
  std::string model;         // as the provider names it
  std::int64_t created = 0;  // 0: not said
  std::vector<Choice> choices;
  Usage usage;
  std::string service_tier = {};
  std::string system_fingerprint = {};
};

// A provider's word for what went wrong, in no dialect. `type` is one of OpenAI's error types.
struct ProviderError {
  int status = 500;
  std::string type = {};
  std::string message = {};
  std::string param = {};
  std::string code = {};
  std::string request_id = {};  // of the client's call; whoever reads an answer leaves it empty
};

}  // namespace penstock::chat
