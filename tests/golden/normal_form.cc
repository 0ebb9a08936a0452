#include "normal_form.h"

#include <fmt/format.h>

#include <algorithm>

#include "chat/effort.h"
#include "chat/turns.h"

namespace penstock::golden {
namespace {

void put(json::Object& object, std::string_view key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}
template <class T>
void put(json::Object& object, std::string_view key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}
void put(json::Object& object, std::string_view key, std::int64_t number) {
  if (number != 0) object[key] = number;
}

// Arguments are compared by value: their spaces mean nothing.
json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  return value ? *value : json::Value(text);
}

json::Object form(const chat::Signature& signature) {
  return {{"bytes", signature.bytes}, {"family", chat::to_string(signature.family)}};
}

std::string_view kind_of(const chat::Media& media) {
  switch (media.kind) {
    case chat::Media::Kind::image: return "image";
    case chat::Media::Kind::audio: return "audio";
    case chat::Media::Kind::document: return "document";
    case chat::Media::Kind::video: return "video";
  }
  return "";
}

struct PartForm {
  json::Object operator()(const chat::Text& part) const {
    json::Object object{{"text", part.text}};
    for (const chat::Citation& citation : part.citations) {
      json::Object each;
      put(each, "url", citation.url);
      put(each, "title", citation.title);
      put(each, "quote", citation.quote);
      if (!object.contains("citations")) object["citations"] = json::Array();
      object["citations"].get_array().push_back(each);
    }
    return object;
  }
  json::Object operator()(const chat::Media& part) const {
    json::Object object;
    put(object, "type", part.type);
    put(object, "data", part.data);
    put(object, "url", part.url);
    put(object, "file", part.file);
    put(object, "name", part.name);
    put(object, "detail", part.detail);
    std::string kind(kind_of(part));
    if (!part.url.empty()) kind += "_url";
    if (!part.file.empty()) kind = "file";
    return {{kind, object}};
  }
  json::Object operator()(const chat::Thinking& part) const {
    json::Object object;
    put(object, "text", part.text);
    if (!part.signature.empty()) object["signature"] = form(part.signature);
    if (part.redacted) object["redacted"] = true;
    return {{"thinking", object}};
  }
  json::Object operator()(const chat::ToolCall& part) const {
    json::Object object{{"id", part.id}, {"name", part.name}, {"arguments", parsed(part.arguments)}};
    if (!part.signature.empty()) object["signature"] = form(part.signature);
    return {{"call", object}};
  }
  json::Object operator()(const chat::ToolResult& part) const {
    json::Object object{{"id", part.id}};
    put(object, "name", part.name);
    json::Array content;
    for (const auto& each : part.content) content.push_back(std::visit(*this, each));
    object["content"] = content;
    if (part.error) object["error"] = true;
    return {{"result", object}};
  }
  json::Object operator()(const chat::Refusal& part) const { return {{"refusal", part.text}}; }
};

json::Object form(const chat::Part& part) {
  json::Object object = std::visit(PartForm{}, part.content);
  put(object, "cache", part.cache);
  return object;
}

// Neighbours with nothing but a text, or nothing but an unsealed thought, are one.
void add(json::Array& parts, json::Object part) {
  if (!parts.empty()) {
    json::Object& before = parts.back().get_object();
    if (before.size() == 1 && part.size() == 1 && before.contains("text") && part.contains("text")) {
      before["text"] = fmt::format("{}{}", std::string_view(before["text"].get_string()),
                                   std::string_view(part["text"].get_string()));
      return;
    }
  }
  parts.push_back(std::move(part));
}

json::Object form(const chat::Tool& tool) {
  json::Object object{{"name", tool.name}};
  put(object, "description", tool.description);
  if (!tool.schema.is_null()) object["schema"] = tool.schema;
  put(object, "strict", tool.strict);
  put(object, "cache", tool.cache);
  return object;
}

json::Value form(const chat::ToolChoice& choice) {
  static constexpr std::string_view kModes[] = {"", "automatic", "none", "required", "one"};
  json::Object object{{"mode", kModes[static_cast<std::size_t>(choice.mode)]}};
  put(object, "name", choice.name);
  if (!choice.allowed.empty()) object["allowed"] = json::Array(choice.allowed.begin(), choice.allowed.end());
  return object;
}

json::Value form(const chat::OutputFormat& format) {
  static constexpr std::string_view kKinds[] = {"text", "json", "schema"};
  json::Object object{{"kind", kKinds[static_cast<std::size_t>(format.kind)]}};
  put(object, "name", format.name);
  put(object, "description", format.description);
  if (!format.schema.is_null()) object["schema"] = format.schema;
  put(object, "strict", format.strict);
  return object;
}

json::Value form(const chat::Reasoning& reasoning) {
  json::Object object{{"effort", chat::effort_of(reasoning)}};
  put(object, "show", reasoning.show);
  put(object, "summary", reasoning.summary);
  return object;
}

void put_parameters(json::Object& form, const chat::Request& request) {
  put(form, "parallel_tool_calls", request.parallel_tool_calls);
  put(form, "max_output_tokens", request.max_output_tokens);
  put(form, "temperature", request.temperature);
  put(form, "top_p", request.top_p);
  put(form, "min_p", request.min_p);
  put(form, "frequency_penalty", request.frequency_penalty);
  put(form, "presence_penalty", request.presence_penalty);
  put(form, "repeat_penalty", request.repeat_penalty);
  put(form, "top_k", request.top_k);
  put(form, "seed", request.seed);
  put(form, "n", request.n);
  put(form, "logprobs", request.logprobs);
  put(form, "top_logprobs", request.top_logprobs);
  put(form, "verbosity", request.verbosity);
  put(form, "service_tier", request.service_tier);
  put(form, "user", request.user);
}

json::Object form(const chat::Usage& usage) {
  json::Object object;
  put(object, "input", usage.input);
  put(object, "output", usage.output);
  put(object, "cached", usage.cached);
  put(object, "cache_write", usage.cache_write);
  put(object, "cache_write_hour", usage.cache_write_hour);
  put(object, "reasoning", usage.reasoning);
  put(object, "audio_input", usage.audio_input);
  put(object, "audio_output", usage.audio_output);
  return object;
}

// Only these families' answers are lists of parts; the others have a field for each kind.
bool keeps_order(chat::Family family) { return family == chat::Family::anthropic || family == chat::Family::gemini; }

int rank(const chat::Part& part) {
  if (std::holds_alternative<chat::Thinking>(part.content)) return 0;
  if (std::holds_alternative<chat::ToolCall>(part.content)) return 2;
  return 1;
}

json::Object form(const chat::Choice& choice, chat::Family family) {
  std::vector<chat::Part> all;
  if (keeps_order(family)) all = choice.parts;
  for (int each = 0; all.size() < choice.parts.size(); ++each)
    std::ranges::copy_if(choice.parts, std::back_inserter(all),
                         [&](const chat::Part& part) { return rank(part) == each; });
  json::Array parts;
  bool calls = false;
  for (const chat::Part& part : all) {
    const auto* text = std::get_if<chat::Text>(&part.content);
    if (text != nullptr && text->text.empty()) continue;
    calls = calls || std::holds_alternative<chat::ToolCall>(part.content);
    add(parts, form(part));
  }
  chat::Finish finish = chat::read_finish(family, chat::write_finish(family, choice.finish), calls);
  json::Object object{{"parts", parts}, {"finish", chat::to_string(finish)}};
  put(object, "stop_sequence", choice.stop_sequence);
  if (!choice.logprobs.is_null()) object["logprobs"] = choice.logprobs;
  return object;
}

// A breakpoint behind nothing is none.
bool is_empty(const json::Value& value) {
  if (value.is_object() && value.get_object().size() == 1) return value.get_object().contains("cache");
  return (value.is_object() && value.get_object().empty()) || (value.is_array() && value.get_array().empty());
}

}  // namespace

json::Value normal_form(const chat::Request& request) {
  chat::Conversation conversation = chat::alternate(request);
  json::Object object;
  json::Array instructions;
  for (const chat::Part* part : conversation.instructions) add(instructions, form(*part));
  json::Array turns;
  for (const chat::Turn& turn : conversation.turns) {
    json::Array parts;
    for (const chat::Part* part : turn.parts) add(parts, form(*part));
    turns.push_back(json::Object{{"assistant", turn.assistant}, {"parts", parts}});
  }
  json::Array tools;
  for (const chat::Tool& tool : request.tools) tools.push_back(form(tool));
  if (!instructions.empty()) object["instructions"] = instructions;
  object["turns"] = turns;
  if (!tools.empty()) object["tools"] = tools;
  if (request.tool_choice.mode != chat::ToolChoice::Mode::unset) object["tool_choice"] = form(request.tool_choice);
  if (!request.stop.empty()) object["stop"] = json::Array(request.stop.begin(), request.stop.end());
  for (const auto& [token, bias] : request.logit_bias) {
    if (!object.contains("logit_bias")) object["logit_bias"] = json::Object();
    object["logit_bias"].get_object()[token] = bias;
  }
  for (const auto& [key, value] : request.metadata) {
    if (!object.contains("metadata")) object["metadata"] = json::Object();
    object["metadata"].get_object()[key] = value;
  }
  if (request.format.kind != chat::OutputFormat::Kind::text) object["format"] = form(request.format);
  if (request.reasoning.said()) object["reasoning"] = form(request.reasoning);
  put_parameters(object, request);
  return object;
}

json::Value normal_form(const chat::Answer& answer, chat::Family family) {
  json::Array choices;
  for (const chat::Choice& choice : answer.choices) choices.push_back(form(choice, family));
  json::Object object{{"id", answer.id}, {"model", answer.model}, {"choices", choices}};
  if (answer.usage.known) object["usage"] = form(answer.usage);
  put(object, "service_tier", answer.service_tier);
  put(object, "system_fingerprint", answer.system_fingerprint);
  return object;
}

void remove(json::Value& document, std::string_view path) {
  std::size_t dot = std::min(path.find('.'), path.size());
  std::string_view key = path.substr(0, dot);
  std::string_view rest = path.substr(std::min(dot + 1, path.size()));
  bool list = key.ends_with("[]");
  if (list) key.remove_suffix(2);
  if (!document.is_object()) return;
  json::Value* value = document.get_object().if_contains(key);
  if (value == nullptr) return;
  if (rest.empty()) {
    document.get_object().erase(key);
    return;
  }
  if (!list) {
    remove(*value, rest);
    if (is_empty(*value)) document.get_object().erase(key);
    return;
  }
  if (!value->is_array()) return;
  json::Array kept;
  for (json::Value& each : value->get_array()) {
    remove(each, rest);
    if (!is_empty(each)) kept.push_back(each);
  }
  value->get_array() = kept;
}

}  // namespace penstock::golden
