#include "ext/apis/gemini/request_reader.h"

#include <algorithm>

#include "chat/schema.h"
#include "chat/turns.h"
#include "ext/apis/gemini/contents_reader.h"

namespace penstock::ext {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

// A schema may be written in OpenAPI's words or as JSON Schema, under two names.
json::Value read_schema(Members& from, std::string_view openapi, std::string_view json_schema) {
  const json::Value* other = from.take(json_schema);
  const json::Value* own = from.take(openapi);
  if (other != nullptr && own != nullptr) from.wrong(openapi, "excludes the other way of giving a schema");
  const json::Value* given = other != nullptr ? other : own;
  if (given == nullptr) return {};
  if (!given->is_object()) {
    from.wrong(other != nullptr ? json_schema : openapi, "must be an object");
    return {};
  }
  return other != nullptr ? *other : chat::from_openapi(*own);
}

void read_tools(Reading& reading, Members& body, chat::Request& request) {
  for (const auto& [value, path] : body.list("tools")) {
    Members tool(reading, value, path);
    for (const auto& [declaration, at] : tool.list("functionDeclarations")) {
      Members function(reading, declaration, at);
      chat::Tool made;
      made.name = function.text("name");
      if (made.name.empty()) function.wrong("name", "is missing");
      made.description = function.text("description");
      made.schema = read_schema(function, "parameters", "parametersJsonSchema");
      request.tools.push_back(std::move(made));
      function.done();
    }
    tool.done();
  }
}

void read_tool_config(Members& body, chat::ToolChoice& choice) {
  Members config = body.object("toolConfig");
  Members calling = config.object("functionCallingConfig");
  using Mode = chat::ToolChoice::Mode;
  std::string mode = lower(calling.text("mode"));
  choice.allowed = calling.texts("allowedFunctionNames");
  if (mode == "auto" || mode == "validated") {
    choice.mode = Mode::automatic;
  } else if (mode == "none") {
    choice.mode = Mode::none;
  } else if (mode == "any") {
    choice.mode = choice.allowed.size() == 1 ? Mode::one : Mode::required;
    if (choice.mode == Mode::one) choice.name = std::exchange(choice.allowed, {})[0];
  } else if (!mode.empty() && mode != "mode_unspecified") {
    calling.wrong("mode", "must be AUTO, ANY, NONE or VALIDATED");
  }
  calling.done();
  config.done();
}

void read_format(Members& config, chat::OutputFormat& format) {
  std::string type = config.text("responseMimeType");
  format.schema = read_schema(config, "responseSchema", "responseJsonSchema");
  if (type == "application/json") {
    format.kind = format.schema.is_null() ? chat::OutputFormat::Kind::json : chat::OutputFormat::Kind::schema;
  } else if (type == "text/x.enum") {
    config.unread("responseMimeType");
  } else if (!type.empty() && type != "text/plain") {
    config.wrong("responseMimeType", "must be text/plain, application/json or text/x.enum");
  } else if (!format.schema.is_null()) {
    config.wrong("responseMimeType", "must be application/json when there is a schema");
  }
}

void read_thinking(Members& config, chat::Reasoning& reasoning) {
  Members thinking = config.object("thinkingConfig");
  reasoning.show = thinking.boolean("includeThoughts");
  reasoning.effort = lower(thinking.text("thinkingLevel"));
  if (reasoning.effort == "thinking_level_unspecified") reasoning.effort.clear();
  if (auto budget = thinking.integer("thinkingBudget")) {
    // -1 leaves it to the model.
    if (*budget < 0)
      reasoning.on = true;
    else
      reasoning.budget_tokens = *budget;
  }
  thinking.done();
}

void read_modalities(Members& config) {
  for (std::string& modality : config.texts("responseModalities")) {
    if (lower(std::move(modality)) != "text") {
      config.unread("responseModalities");
      return;
    }
  }
}

void read_config(Members& body, chat::Request& request) {
  Members config = body.object("generationConfig");
  request.temperature = config.number("temperature");
  request.top_p = config.number("topP");
  // A protocol buffer of this API says it as a number with a fraction; the fraction means nothing.
  if (auto top_k = config.number("topK")) request.top_k = static_cast<std::int64_t>(std::clamp(*top_k, 0.0, 1e9));
  request.n = config.integer("candidateCount");
  request.max_output_tokens = config.integer("maxOutputTokens");
  request.stop = config.texts("stopSequences");
  request.seed = config.integer("seed");
  request.presence_penalty = config.number("presencePenalty");
  request.frequency_penalty = config.number("frequencyPenalty");
  request.logprobs = config.boolean("responseLogprobs");
  request.top_logprobs = config.integer("logprobs");
  if (request.n && (*request.n < 1 || *request.n > 128)) config.wrong("candidateCount", "must be from 1 to 128");
  if (request.max_output_tokens && *request.max_output_tokens < 1)
    config.wrong("maxOutputTokens", "must be at least 1");
  read_format(config, request.format);
  read_thinking(config, request.reasoning);
  read_modalities(config);
  config.done();
}

void read_labels(Members& body, chat::Request& request) {
  const json::Value* labels = body.take("labels");
  if (labels == nullptr) return;
  if (!labels->is_object()) {
    body.wrong("labels", "must be an object");
    return;
  }
  for (const auto& label : labels->get_object()) {
    if (const auto* text = label.value().if_string())
      request.metadata[std::string(label.key())] = std::string(*text);
    else
      body.wrong("labels", "must hold strings only");
  }
}

Result<chat::Request> finished(Reading& reading, chat::Request& request) {
  bool said = std::ranges::any_of(request.messages, [](const chat::Message& message) {
    return message.role != chat::Role::system && !message.parts.empty();
  });
  if (!said) reading.wrong("contents", "must say something");
  if (reading.error) return std::unexpected(*reading.error);
  request.unread = std::move(reading.unread);
  chat::tie_calls(request.messages);
  return std::move(request);
}

// Everything but the model, which stands in the path.
void read_body(Reading& reading, Members& body, chat::Request& request) {
  (void)body.text("model");
  if (const json::Value* instruction = body.take("systemInstruction"))
    read_instruction(reading, *instruction, body.at("systemInstruction"), request.messages);
  for (const auto& [content, path] : body.list("contents")) read_content(reading, *content, path, request.messages);
  read_tools(reading, body, request);
  read_tool_config(body, request.tool_choice);
  read_config(body, request);
  read_labels(body, request);
  std::string tier = lower(body.text("serviceTier"));
  request.service_tier = tier == "standard" ? "default" : tier == "unspecified" ? "" : tier;
  // What the cache holds is part of the conversation, and only Google has it.
  if (body.take("cachedContent") != nullptr)
    body.wrong("cachedContent", "is known to Google only, and this model is served by another provider");
  body.done();
}

}  // namespace

Result<chat::Request> read_generate(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed) return std::unexpected(parsed.error());
  Reading reading;
  chat::Request request;
  Members body(reading, &*parsed, "");
  read_body(reading, body, request);
  return finished(reading, request);
}

Result<chat::Request> read_count(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed) return std::unexpected(parsed.error());
  Reading reading;
  chat::Request request;
  Members body(reading, &*parsed, "");
  if (Members whole = body.object("generateContentRequest"); !whole.empty()) {
    if (body.take("contents") != nullptr) body.wrong("contents", "excludes generateContentRequest");
    (void)body.text("model");
    read_body(reading, whole, request);
    body.done();
  } else {
    read_body(reading, body, request);
  }
  return finished(reading, request);
}

}  // namespace penstock::ext
