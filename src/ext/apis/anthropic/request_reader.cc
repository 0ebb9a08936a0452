#include "ext/apis/anthropic/request_reader.h"

#include <algorithm>

#include "chat/turns.h"
#include "ext/apis/anthropic/content_reader.h"

namespace penstock::ext::anthropic {
namespace {

using chat::OutputFormat;
using chat::Request;
using chat::ToolChoice;
using json::Place;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

void read_model(const Place& place, Request& request) { request.model = place.required_text(); }

void read_messages(const Place& place, Request& request) {
  if (!place.is_array() || place.value()->get_array().empty()) return place.wrong("must be a list of messages");
  place.each([&](const Place& message) { read_message(message, request.messages, request.unread); });
}

void read_system(const Place& place, Request& request) {
  auto parts = read_instructions(place, request.unread);
  if (parts.empty()) return;
  request.messages.insert(request.messages.begin(), {.role = chat::Role::system, .parts = std::move(parts)});
}

void read_tool(const Place& place, Request& request) {
  if (place.required_object() == nullptr) return;
  // Tools of other types are Anthropic's own.
  if (std::string_view type = place.at("type").text(); !type.empty() && type != "custom") {
    request.unread.push_back(place.path());
    return;
  }
  chat::Tool tool;
  tool.name = place.at("name").required_text();
  tool.description = place.at("description").text();
  if (const json::Value* schema = place.at("input_schema").required_object()) tool.schema = *schema;
  tool.strict = place.at("strict").boolean();
  tool.cache = read_cache_control(place);
  place.list_others({"type", "name", "description", "input_schema", "strict", "cache_control"}, request.unread);
  request.tools.push_back(std::move(tool));
}

void read_tools(const Place& place, Request& request) {
  place.each([&](const Place& tool) { read_tool(tool, request); });
}

void read_tool_choice(const Place& place, Request& request) {
  if (place.required_object() == nullptr) return;
  std::string_view type = place.at("type").required_text();
  ToolChoice& choice = request.tool_choice;
  if (type == "auto") {
    choice.mode = ToolChoice::Mode::automatic;
  } else if (type == "any") {
    choice.mode = ToolChoice::Mode::required;
  } else if (type == "none") {
    choice.mode = ToolChoice::Mode::none;
  } else if (type == "tool") {
    choice.mode = ToolChoice::Mode::one;
    choice.name = place.at("name").required_text();
  } else {
    place.at("type").wrong("must be auto, any, tool or none");
  }
  if (auto disabled = place.at("disable_parallel_tool_use").boolean()) request.parallel_tool_calls = !*disabled;
  place.list_others({"type", "name", "disable_parallel_tool_use"}, request.unread);
}

void read_thinking(const Place& place, Request& request) {
  if (place.required_object() == nullptr) return;
  std::string_view type = place.at("type").required_text();
  chat::Reasoning& reasoning = request.reasoning;
  if (type == "enabled") {
    reasoning.on = true;
    reasoning.budget_tokens = place.at("budget_tokens").integer();
    if (!reasoning.budget_tokens || *reasoning.budget_tokens < 1)
      place.at("budget_tokens").wrong("must be a positive number of tokens");
  } else if (type == "adaptive") {
    reasoning.on = true;
  } else if (type == "disabled") {
    reasoning.on = false;
  } else {
    request.unread.push_back(place.path());
  }
  if (std::string_view display = place.at("display").text(); display == "summarized" || display == "omitted") {
    reasoning.show = display == "summarized";
  } else if (!display.empty()) {
    place.at("display").wrong("must be summarized or omitted");
  }
  place.list_others({"type", "budget_tokens", "display"}, request.unread);
}

void read_format(const Place& place, Request& request) {
  if (place.required_object() == nullptr) return;
  if (place.at("type").required_text() != "json_schema") place.at("type").wrong("must be json_schema");
  request.format.kind = OutputFormat::Kind::schema;
  if (const json::Value* schema = place.at("schema").required_object()) request.format.schema = *schema;
  place.list_others({"type", "schema"}, request.unread);
}

void read_output_config(const Place& place, Request& request) {
  std::string_view effort = place.at("effort").text();
  if (!effort.empty() && !is_one_of(effort, {"low", "medium", "high", "xhigh", "max"}))
    place.at("effort").wrong("must be low, medium, high, xhigh or max");
  request.reasoning.effort = effort;
  if (place.at("format").present()) read_format(place.at("format"), request);
  place.list_others({"effort", "format"}, request.unread);
}

void read_max_tokens(const Place& place, Request& request) {
  request.max_output_tokens = place.integer();
  if (request.max_output_tokens.value_or(0) < 0) place.wrong("must not be negative");
}

void read_temperature(const Place& place, Request& request) {
  request.temperature = place.number();
  if (request.temperature && (*request.temperature < 0 || *request.temperature > 1)) place.wrong("must be from 0 to 1");
}

void read_top_p(const Place& place, Request& request) {
  request.top_p = place.number();
  if (request.top_p && (*request.top_p < 0 || *request.top_p > 1)) place.wrong("must be from 0 to 1");
}

void read_top_k(const Place& place, Request& request) {
  request.top_k = place.integer();
  if (request.top_k.value_or(0) < 0) place.wrong("must not be negative");
}

void read_stop(const Place& place, Request& request) {
  place.each([&](const Place& word) { request.stop.emplace_back(word.text()); });
}

void read_stream(const Place& place, Request& request) { request.stream = place.boolean().value_or(false); }

void read_metadata(const Place& place, Request& request) {
  request.user = place.at("user_id").text();
  place.list_others({"user_id"}, request.unread);
}

void read_service_tier(const Place& place, Request& request) {
  std::string_view tier = place.text();
  if (!is_one_of(tier, {"auto", "standard_only"})) return place.wrong("must be auto or standard_only");
  request.service_tier = tier == "auto" ? "auto" : "default";
}

// Marks the last block that can be marked.
void read_cache(const Place& body, Request& request) {
  auto cache = read_cache_control(body);
  if (!cache || request.messages.empty() || request.messages.back().parts.empty()) return;
  request.messages.back().parts.back().cache = std::move(cache);
}

struct FieldReader {
  std::string_view name;
  void (*read)(const Place&, Request&);
};

// The messages come before the system prompt, which is put in front of them.
constexpr FieldReader kFields[] = {
    {"messages", read_messages},
    {"system", read_system},
    {"tools", read_tools},
    {"tool_choice", read_tool_choice},
    {"thinking", read_thinking},
    {"output_config", read_output_config},
    {"output_format", read_format},
    {"max_tokens", read_max_tokens},
    {"temperature", read_temperature},
    {"top_p", read_top_p},
    {"top_k", read_top_k},
    {"stop_sequences", read_stop},
    {"stream", read_stream},
    {"metadata", read_metadata},
    {"service_tier", read_service_tier},
};

}  // namespace

Result<Request> read_messages_request(std::string_view body, bool counts) {
  auto document = json::parse(body);
  if (!document) return std::unexpected(document.error());
  json::Mistake mistake;
  Request request;
  const Place place(*document, mistake);
  if (!document->is_object()) return fail(Errc::invalid_argument, "the body must be a JSON object");
  read_model(place.at("model"), request);
  if (!place.at("messages").present()) place.at("messages").wrong("must be a list of messages");
  if (!counts && !place.at("max_tokens").present()) place.at("max_tokens").wrong("must be said: a number of tokens");
  for (const FieldReader& field : kFields) {
    if (const Place found = place.at(field.name); found.present()) field.read(found, request);
  }
  read_cache(place, request);
  place.members([&](std::string_view key, const Place& member) {
    bool known = key == "model" || key == "cache_control" ||
                 std::any_of(std::begin(kFields), std::end(kFields),
                             [&](const FieldReader& field) { return field.name == key; });
    if (!known && member.present()) request.unread.emplace_back(key);
  });
  if (mistake.made()) return fail(Errc::invalid_argument, mistake.text());
  chat::tie_calls(request.messages);
  return request;
}

}  // namespace penstock::ext::anthropic
