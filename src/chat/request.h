// One chat request in no dialect. Readers (one per client dialect) make it, writers (one per provider) say it. What is
// not set was not said by the client: writers leave it out, too, and never make up a default but where the provider
// demands a value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "chat/content.h"

namespace penstock::chat {

struct Tool {
  std::string name;
  std::string description = {};
  json::Value schema = {};  // JSON Schema of the arguments: an object, or null when the tool takes none
  std::optional<bool> strict = std::nullopt;
  std::optional<std::string> cache = std::nullopt;  // as in Part
};

struct ToolChoice {
  enum class Mode : std::uint8_t { unset, automatic, none, required, one };
  Mode mode = Mode::unset;
  std::string name = {};                  // with `one`
  std::vector<std::string> allowed = {};  // with `automatic` and `required`: only these; empty means all
};

struct OutputFormat {
  enum class Kind : std::uint8_t { text, json, schema };
  Kind kind = Kind::text;
  std::string name = {};  // of the schema
  std::string description = {};
  json::Value schema = {};
  std::optional<bool> strict = std::nullopt;
};

// How much to think, in the client's own measure: a word, or tokens, or only on or off. See effort.h for the exchange
// rate between words and tokens.
struct Reasoning {
  std::optional<bool> on = std::nullopt;
  std::string effort = {};  // none, minimal, low, medium, high, xhigh, max
  std::optional<std::int64_t> budget_tokens = std::nullopt;
  std::optional<bool> show = std::nullopt;  // thoughts or a summary of them in the answer
  std::string summary = {};                 // OpenAI's: auto, concise, detailed
  bool said() const { return on || !effort.empty() || budget_tokens || show; }
};

struct Request {
  std::string model;  // as asked for
  std::vector<Message> messages;
  std::vector<Tool> tools;
  ToolChoice tool_choice;
  std::optional<bool> parallel_tool_calls;
  std::optional<std::int64_t> max_output_tokens;
  std::optional<double> temperature, top_p, min_p, frequency_penalty, presence_penalty, repeat_penalty;
  std::optional<std::int64_t> top_k, seed, n, top_logprobs;
  std::optional<bool> logprobs;
  std::vector<std::string> stop;
  std::map<std::string, double> logit_bias;
  OutputFormat format;
  Reasoning reasoning;
  std::string verbosity;     // low, medium, high
  std::string service_tier;  // OpenAI's words: auto, default, flex, priority
  std::string user;          // whom the client serves
  std::map<std::string, std::string> metadata;
  bool stream = false;
  bool include_usage = true;  // of a stream: the client wants to see it
  // Fields of the client's that no translation carries: unknown ones, and those with no counterpart. By their names in
  // the client's dialect, as paths: "safetySettings", "options.num_ctx", "messages[2].audio".
  std::vector<std::string> unread;
  // What the client's answer has to repeat of its request, in the words of its own dialect: for the codec that read it.
  json::Object echo;

  // Of the call itself, for what an answer must have and a provider leaves out.
  std::string id;
  std::int64_t created = 0;  // seconds since 1970
};

}  // namespace penstock::chat
