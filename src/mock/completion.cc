#include "mock/completion.h"

#include "json/peek.h"
#include "json/value.h"
#include "mock/conversation.h"

namespace penstock::mock {
namespace {

using Kind = json::Field::Kind;

enum At : std::size_t {
  kModel,
  kMessages,
  kPrompt,
  kStream,
  kN,
  kMaxTokens,
  kMaxCompletionTokens,
  kStop,
  kStreamOptions,
  kTools,
  kToolChoice,
  kParallel,
  kResponseFormat,
  kReasoningEffort,
  kLogprobs,
  kPromptCacheKey,
  kCount
};
constexpr std::array<std::string_view, kCount> kNames = {"model",
                                                         "messages",
                                                         "prompt",
                                                         "stream",
                                                         "n",
                                                         "max_tokens",
                                                         "max_completion_tokens",
                                                         "stop",
                                                         "stream_options",
                                                         "tools",
                                                         "tool_choice",
                                                         "parallel_tool_calls",
                                                         "response_format",
                                                         "reasoning_effort",
                                                         "logprobs",
                                                         "prompt_cache_key"};

struct Body {
  std::string_view text;
  std::vector<json::Field> fields;
  const json::Field& at(At index) const { return fields[index]; }
  bool given(At index) const { return at(index).kind != Kind::absent && at(index).kind != Kind::null; }
  std::string_view bytes(At index) const { return text.substr(at(index).begin, at(index).end - at(index).begin); }
  // The value as a document: only for what few requests carry. peek() has found it valid.
  json::Value value(At index) const {
    return given(index) ? json::parse(bytes(index)).value_or(nullptr) : json::Value();
  }
};

// An integer within bounds, the fallback when not given.
std::expected<std::int64_t, Refusal> integer(const Body& body, At index, std::int64_t low, std::int64_t high,
                                             std::int64_t fallback) {
  if (!body.given(index)) return fallback;
  const json::Field& field = body.at(index);
  if (field.kind != Kind::integer || field.integer < low || field.integer > high) {
    return refuse(fmt::format("'{}' must be an integer from {} to {}.", kNames[index], low, high), kNames[index]);
  }
  return field.integer;
}

std::vector<std::string> stop_strings(const Body& body) {
  std::vector<std::string> stops;
  json::Value value = body.value(kStop);
  if (value.is_string()) stops.emplace_back(value.get_string());
  if (value.is_array()) {
    for (const auto& item : value.get_array()) {
      if (item.is_string()) stops.emplace_back(item.get_string());
    }
  }
  return stops;
}

// One part of a message's content: its text, or how it is described.
void take_part(const json::Value& part, Prompt& prompt) {
  std::string_view type = json::string_or(part, "type", "");
  if (type == "text") prompt.text += std::string(json::string_or(part, "text", "")) + '\n';
  if (const json::Value* image = json::find(part, "image_url"))
    prompt.attachments.push_back(describe_link("image", json::string_or(*image, "url", "")));
  if (const json::Value* audio = json::find(part, "input_audio")) {
    prompt.attachments.push_back(describe_bytes("audio", fmt::format("audio/{}", json::string_or(*audio, "format", "")),
                                                json::string_or(*audio, "data", "")));
  }
  if (const json::Value* file = json::find(part, "file")) {
    std::string_view data = json::string_or(*file, "file_data", "");
    std::string_view id = json::string_or(*file, "file_id", "");
    prompt.attachments.push_back(data.empty() ? fmt::format("[file id {}]", id) : describe_link("file", data));
  }
}

std::string text_of(const json::Value& content) {
  if (content.is_string()) return std::string(content.get_string());
  std::string text;
  if (!content.is_array()) return text;
  for (const auto& part : content.get_array()) text += json::string_or(part, "text", "");
  return text;
}

// What came last: the user's words and attachments, or results of tools.
void take_last(const json::Array& messages, Prompt& prompt) {
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    if (json::string_or(*message, "role", "") != "tool") break;
    const json::Value* content = json::find(*message, "content");
    prompt.results.insert(prompt.results.begin(), content != nullptr ? text_of(*content) : "");
  }
  if (!prompt.results.empty() || messages.empty() || json::string_or(messages.back(), "role", "") != "user") return;
  const json::Value* content = json::find(messages.back(), "content");
  if (content == nullptr) return;
  if (content->is_string()) prompt.text = content->get_string();
  if (!content->is_array()) return;
  for (const auto& part : content->get_array()) take_part(part, prompt);
}

void take_tools(const Body& body, Prompt& prompt) {
  json::Value tools = body.value(kTools);
  if (!tools.is_array()) return;
  for (const auto& tool : tools.get_array()) {
    const json::Value* function = json::find(tool, "function");
    if (function == nullptr) continue;
    const json::Value* parameters = json::find(*function, "parameters");
    prompt.tools.push_back(
        {std::string(json::string_or(*function, "name", "")), parameters != nullptr ? *parameters : json::Value()});
  }
  json::Value choice = body.value(kToolChoice);
  if (choice.is_string() && choice.get_string() == "none") prompt.choose = Choose::none;
  if (choice.is_string() && choice.get_string() == "required") prompt.choose = Choose::required;
  if (const json::Value* function = json::find(choice, "function"))
    prompt.forced = json::string_or(*function, "name", "");
  if (body.at(kParallel).kind == Kind::boolean) prompt.parallel = body.at(kParallel).boolean;
}

void take_format(const Body& body, Prompt& prompt) {
  json::Value format = body.value(kResponseFormat);
  std::string_view type = json::string_or(format, "type", "");
  if (type == "json_object") prompt.format = Prompt::Format::object;
  const json::Value* wrapper = json::find(format, "json_schema");
  const json::Value* schema = wrapper != nullptr ? json::find(*wrapper, "schema") : nullptr;
  if (type != "json_schema" || schema == nullptr) return;
  prompt.format = Prompt::Format::schema;
  prompt.schema = *schema;
}

// How OpenAI names the ways an answer ends.
std::string_view finish_name(Reply::Finish finish) {
  switch (finish) {
    case Reply::Finish::length: return "length";
    case Reply::Finish::calls: return "tool_calls";
    case Reply::Finish::filter: return "content_filter";
    default: return "stop";
  }
}

Choice choice_of(Reply reply) {
  Choice choice;
  choice.finish = finish_name(reply.finish);
  choice.calls = std::move(reply.calls);
  choice.thoughts = std::move(reply.thoughts);
  choice.refuses = reply.finish == Reply::Finish::refusal;
  choice.content = std::move(reply.content);
  return choice;
}

// A hash of every beginning of the conversation.
std::vector<std::uint64_t> beginnings(const json::Array& messages, std::uint64_t seed) {
  std::vector<std::uint64_t> hashes;
  for (const auto& message : messages) hashes.push_back(seed = hash(json::dump(message), seed));
  return hashes;
}

// Tokens of the prompt that were seen before. What is asked now is seen from now on.
std::int64_t cached_tokens(const json::Array& messages, std::uint64_t seed, PrefixMemory& memory) {
  std::size_t known = memory.seen(beginnings(messages, seed));
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < known; ++i) tokens += estimate_tokens(json::dump(messages[i]));
  return tokens;
}

std::expected<Body, Refusal> read(std::string_view text) {
  auto peeked = json::peek(text, kNames);
  if (!peeked) return refuse(peeked.error().detail);
  return Body{text, std::move(peeked->fields)};
}

// What both kinds of completion have in common; `prompts` is how many inputs one body carries.
std::expected<Completion, Refusal> fill(const Body& body, Prompt prompt, const Options& options, std::size_t prompts) {
  constexpr std::int64_t kChoicesMax = 128;
  Completion result;
  if (body.at(kModel).kind != Kind::string) return refuse("you must provide a model parameter", "model");
  if (body.given(kStream) && body.at(kStream).kind != Kind::boolean)
    return refuse("'stream' must be a boolean.", "stream");
  auto n = integer(body, kN, 1, kChoicesMax, 1);
  if (!n) return std::unexpected(n.error());
  auto tokens_max = integer(body, kMaxTokens, 1, INT32_MAX, INT32_MAX);
  if (tokens_max) tokens_max = integer(body, kMaxCompletionTokens, 1, INT32_MAX, *tokens_max);
  if (!tokens_max) return std::unexpected(tokens_max.error());

  result.model = body.at(kModel).string;
  result.key = hash(body.text, options.seed);
  result.stream = body.at(kStream).boolean;
  if (body.given(kStreamOptions))
    result.include_usage = json::bool_or(body.value(kStreamOptions), "include_usage", false);

  result.traits = traits_of(result.model);
  prompt.stops = stop_strings(body);
  prompt.tokens_max = static_cast<std::size_t>(*tokens_max);
  prompt.think = body.at(kReasoningEffort).kind == Kind::string && body.at(kReasoningEffort).string != "none";
  take_tools(body, prompt);
  take_format(body, prompt);
  result.logprobs =
      body.at(kLogprobs).kind == Kind::boolean ? body.at(kLogprobs).boolean : body.at(kLogprobs).kind == Kind::integer;
  Random random(result.key);
  std::size_t count = static_cast<std::size_t>(*n) * prompts;
  result.choices.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    Reply reply = reply_to(prompt, result.traits, options, random.next());
    result.completion_tokens += reply.tokens() + reply.thought_tokens();
    result.reasoning_tokens += reply.thought_tokens();
    result.choices.push_back(choice_of(std::move(reply)));
  }
  return result;
}

}  // namespace

std::expected<Completion, Refusal> complete_chat(std::string_view text, const Options& options, PrefixMemory* memory) {
  auto body = read(text);
  if (!body) return std::unexpected(body.error());
  if (body->at(kMessages).kind != Kind::array || body->at(kMessages).elements == 0) {
    return refuse("'messages' must be an array with at least one message.", "messages");
  }
  json::Value messages = body->value(kMessages);
  Prompt prompt;
  if (messages.is_array()) take_last(messages.get_array(), prompt);
  auto result = fill(*body, std::move(prompt), options, 1);
  if (!result) return result;
  result->prompt_tokens = estimate_tokens(body->bytes(kMessages));
  result->remembers = result->traits.has(Trait::cache) || body->at(kPromptCacheKey).kind == Kind::string;
  if (result->remembers && memory != nullptr && messages.is_array()) {
    std::uint64_t seed = hash(body->at(kPromptCacheKey).string.view(), options.seed);
    result->cached_tokens = std::min(cached_tokens(messages.get_array(), seed, *memory), result->prompt_tokens);
  }
  return result;
}

std::expected<Completion, Refusal> complete_text(std::string_view text, const Options& options) {
  auto body = read(text);
  if (!body) return std::unexpected(body.error());
  std::size_t prompts = 1;
  if (body->at(kPrompt).kind == Kind::array) {
    json::Value prompt = body->value(kPrompt);
    const json::Array& items = prompt.get_array();
    if (items.empty() || items.size() > 2048) return refuse("'prompt' must hold 1 to 2048 inputs.", "prompt");
    if (!items.front().is_number()) prompts = items.size();
  } else if (body->at(kPrompt).kind != Kind::string) {
    return refuse("'prompt' must be a string or an array.", "prompt");
  }
  auto result = fill(*body, {}, options, prompts);
  if (!result) return result;
  result->chat = false;
  result->prompt_tokens = estimate_tokens(body->bytes(kPrompt));
  return result;
}

}  // namespace penstock::mock
