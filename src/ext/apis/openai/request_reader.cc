#include "ext/apis/openai/request_reader.h"

#include <algorithm>
#include <array>

#include "ext/apis/openai/message_reader.h"
#include "ext/apis/openai/tool_reader.h"

namespace penstock::ext {
namespace {

// As many as OpenAI allows.
constexpr std::int64_t kChoicesMax = 128;
constexpr std::int64_t kTopLogprobsMax = 20;

bool contains(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view view(const boost::json::string& text) { return {text.data(), text.size()}; }

void read_stop(OpenAiObject& top, chat::Request& request) {
  const json::Value* stop = top.take("stop");
  if (stop == nullptr) return;
  if (stop->is_string()) {
    request.stop.emplace_back(view(stop->get_string()));
    return;
  }
  if (!stop->is_array()) return top.fail("stop", "must be a string or a list of strings");
  for (const json::Value& entry : stop->get_array()) {
    if (!entry.is_string()) return top.fail("stop", "must be a string or a list of strings");
    request.stop.emplace_back(view(entry.get_string()));
  }
}

void read_bias(OpenAiObject& top, chat::Request& request) {
  const json::Value* bias = top.object("logit_bias");
  if (bias == nullptr) return;
  for (const auto& [token, value] : bias->get_object()) {
    if (!value.is_number()) return top.fail("logit_bias", "must map tokens to numbers");
    request.logit_bias[std::string(token)] = value.to_number<double>();
  }
}

void read_metadata(OpenAiObject& top, chat::Request& request) {
  const json::Value* metadata = top.object("metadata");
  if (metadata == nullptr) return;
  for (const auto& [key, value] : metadata->get_object()) {
    if (!value.is_string()) return top.fail("metadata", "must map names to strings");
    request.metadata[std::string(key)] = view(value.get_string());
  }
}

void read_stream(OpenAiObject& top, chat::Request& request) {
  request.stream = top.boolean("stream").value_or(false);
  request.include_usage = false;
  const json::Value* value = top.object("stream_options");
  if (value == nullptr) return;
  OpenAiObject options(*value, top.at("stream_options"), top.reading());
  request.include_usage = options.boolean("include_usage").value_or(false);
  // Padding against listeners on the line; our chunks have none.
  options.skip("include_obfuscation");
}

// What chat and completions have in common.
void read_sampling(OpenAiObject& top, chat::Request& request) {
  request.model = top.string("model");
  if (request.model.empty()) top.fail("model", "must be the name of a model");
  read_stream(top, request);
  request.temperature = top.number("temperature");
  request.top_p = top.number("top_p");
  request.top_k = top.integer("top_k");
  request.min_p = top.number("min_p");
  request.frequency_penalty = top.number("frequency_penalty");
  request.presence_penalty = top.number("presence_penalty");
  request.repeat_penalty = top.number("repetition_penalty");
  request.seed = top.integer("seed");
  request.n = top.integer("n", 1, kChoicesMax);
  request.max_output_tokens = top.integer("max_tokens", 1);
  request.user = top.string("user");
  read_stop(top, request);
  read_bias(top, request);
}

void read_format(OpenAiObject& top, chat::Request& request) {
  const json::Value* value = top.object("response_format");
  if (value == nullptr) return;
  using Kind = chat::OutputFormat::Kind;
  OpenAiObject in(*value, top.at("response_format"), top.reading());
  std::string_view type = in.string("type");
  if (type == "text") return;
  request.format.kind = type == "json_schema" ? Kind::schema : Kind::json;
  if (type == "json_object") return;
  if (type != "json_schema") return in.fail("type", "must be text, json_object or json_schema");
  const json::Value* named = in.object("json_schema");
  if (named == nullptr) return in.fail("json_schema", "is missing");
  OpenAiObject schema(*named, in.at("json_schema"), in.reading());
  request.format.name = schema.string("name");
  request.format.description = schema.string("description");
  request.format.strict = schema.boolean("strict");
  if (const json::Value* document = schema.object("schema")) request.format.schema = *document;
}

void read_reasoning(OpenAiObject& top, chat::Request& request) {
  constexpr std::array<std::string_view, 7> kEfforts{"none", "minimal", "low", "medium", "high", "xhigh", "max"};
  constexpr std::array<std::string_view, 3> kVerbosities{"low", "medium", "high"};
  request.reasoning.effort = top.string("reasoning_effort");
  if (!request.reasoning.effort.empty() && !contains(kEfforts, request.reasoning.effort))
    top.fail("reasoning_effort", "must be none, minimal, low, medium, high, xhigh or max");
  request.verbosity = top.string("verbosity");
  if (!request.verbosity.empty() && !contains(kVerbosities, request.verbosity))
    top.fail("verbosity", "must be low, medium or high");
}

// Anthropic's field, which its models' clients say in this dialect, too.
void read_thinking(OpenAiObject& top, chat::Request& request) {
  const json::Value* value = top.object("thinking");
  if (value == nullptr) return;
  OpenAiObject in(*value, top.at("thinking"), top.reading());
  std::string_view type = in.string("type");
  if (type != "enabled" && type != "disabled" && type != "adaptive")
    in.fail("type", "must be enabled, disabled or adaptive");
  request.reasoning.on = type != "disabled";
  if (request.reasoning.on == true) request.reasoning.show = true;
  request.reasoning.budget_tokens = in.integer("budget_tokens", 1);
}

// Fields that change nothing at these values; at others they have no counterpart.
void read_defaults(OpenAiObject& top) {
  const json::Value* modalities = top.take("modalities");
  if (modalities != nullptr && *modalities != json::Value(json::Array{"text"})) top.unread("modalities");
  if (top.boolean("store").value_or(false)) top.unread("store");
}

void read_chat_settings(OpenAiObject& top, chat::Request& request) {
  if (auto tokens = top.integer("max_completion_tokens", 1)) request.max_output_tokens = tokens;
  request.logprobs = top.boolean("logprobs");
  request.top_logprobs = top.integer("top_logprobs", 0, kTopLogprobsMax);
  request.service_tier = top.string("service_tier");
  std::string_view safety_identifier = top.string("safety_identifier");
  if (request.user.empty()) request.user = safety_identifier;
  read_metadata(top, request);
  read_format(top, request);
  read_reasoning(top, request);
  read_thinking(top, request);
  read_defaults(top);
}

void read_prompt(OpenAiObject& top, chat::Request& request) {
  const json::Value* prompt = top.take("prompt");
  const json::Value* text = prompt;
  if (prompt != nullptr && prompt->is_array() && prompt->get_array().size() == 1) text = &prompt->get_array().front();
  if (text == nullptr || !text->is_string())
    return top.fail("prompt", "must be one string: lists of prompts and of tokens are not translated");
  chat::Message message;
  message.parts.push_back({.content = chat::Text{std::string(view(text->get_string()))}});
  request.messages.push_back(std::move(message));
}

// A prompt repeated before its answer, text behind the answer, several tries of which one is shown: no other API has
// these, and an answer without them is another answer.
void refuse_completions_only(OpenAiObject& top, const chat::Request& request) {
  if (top.boolean("echo").value_or(false)) top.fail("echo", "cannot be translated for this model's provider");
  if (!top.string("suffix").empty()) top.fail("suffix", "cannot be translated for this model's provider");
  auto best_of = top.integer("best_of", 1, kChoicesMax);
  if (best_of && *best_of != request.n.value_or(1))
    top.fail("best_of", "cannot be translated for this model's provider unless it equals n");
}

template <class Read>
Result<chat::Request> read(std::string_view body, Read read_more) {
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  OpenAiReading reading;
  chat::Request request;
  {
    OpenAiObject top(*parsed, {}, reading);
    read_sampling(top, request);
    read_more(top, request);
  }
  if (reading.mistake) return std::unexpected(std::move(*reading.mistake));
  request.unread = std::move(reading.unread);
  return request;
}

}  // namespace

Result<chat::Request> read_openai_chat(std::string_view body) {
  return read(body, [](OpenAiObject& top, chat::Request& request) {
    read_chat_settings(top, request);
    read_openai_tools(top, request);
    read_openai_messages(top, request.messages);
  });
}

Result<chat::Request> read_openai_completion(std::string_view body) {
  return read(body, [](OpenAiObject& top, chat::Request& request) {
    request.top_logprobs = top.integer("logprobs", 0, kTopLogprobsMax);
    if (request.top_logprobs) request.logprobs = true;
    read_prompt(top, request);
    refuse_completions_only(top, request);
  });
}

}  // namespace penstock::ext
